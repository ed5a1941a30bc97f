"""Names, fields and selectors."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rules.diagnostics import did_you_mean, nearest, shown
from rules.fields import FIELDS, HOLDING_FIELDS, STANDARD_NAMES
from rules.functions import AGGREGATES, ALL, SELECTOR_FUNCTIONS
from rules.model import STREAMS, AnchorField, EvalTime, Expr, Field, HoldingField, LetRef, ProfileField, Selector
from rules.scope import Scope

if TYPE_CHECKING:
    from rules.parse import Parser

STREAM_CUTOFF = 0.6
"""Streams are few and short: a looser match than for other names still hits."""

_EXAMPLES = {
    "click": "page",
    "txn": "amount",
    "feedback": "score",
    "profile": "tier",
    "holding": "amount",
    "ticket": "stage",
    "label": "label",
}
_SPELLINGS = {"true": "True", "false": "False", "null": "None", "none": "None", "nil": "None"}


def name(parser: Parser, node: ast.Name) -> Expr:
    """A bare name outside selectors."""
    name, scope = node.id, parser.scope
    if name == "ts":
        return EvalTime()
    if name in scope.lets:
        return LetRef(scope.lets[name])
    if name in scope.all_lets:
        hint = f"a {scope.named_value} can use earlier ones only"
        return parser.fail("E203", node, f"{shown(name)} is not defined yet", hint)
    if name in STREAMS or name == "holding":
        hint = f"name a field, such as {name}.{_EXAMPLES[name]}"
        return parser.fail("E213", node, f"{shown(name)} is not a value by itself", hint)
    if name in ALL:
        return parser.fail("E203", node, f"{shown(name)} is a function", f"call it: {name}(…)")
    return parser.fail("E203", node, f"unknown name {shown(name)}", _name_hint(scope, name, node in parser.texts))


def _name_hint(scope: Scope, name: str, compared_with_text: bool) -> str | None:
    if name.lower() in _SPELLINGS:
        return f"did you mean `{_SPELLINGS[name.lower()]}`?"
    if compared_with_text and name not in STANDARD_NAMES and not nearest(name, scope.lets.values(), 0.8):
        return f'did you mean `"{name}"`?'
    # A field of a stream that triggers the rule is likelier to be meant than one of another stream.
    fields = {field: f"{stream}.{field}" for stream in STREAMS for field in FIELDS[stream]}
    for stream in scope.trigger_streams:
        fields |= {field: f"{stream}.{field}" for field in FIELDS[stream]}
    near = nearest(name, [*scope.lets.values(), "ts", *fields, *sorted(ALL), *STREAMS])
    if near is None:
        return "a text is written in quotes" if not name.isascii() else None
    return f"did you mean `{near if near in scope.lets.values() else fields.get(near, near)}`?"


def field(parser: Parser, node: ast.Name) -> Expr:
    """A bare name inside a selector's brackets."""
    name = node.id
    if name in _SPELLINGS:
        return parser.fail("E203", node, f"unknown name {shown(name)}", f"did you mean `{_SPELLINGS[name]}`?")
    if name in ("profile", "holding"):
        return parser.fail("E210", node, f"a selector can't use `{name}`", "test it in `when`")
    if name in parser.scope.all_lets and name not in STANDARD_NAMES:
        hint = "test it in `when`"
        return parser.fail("E210", node, f"a selector can't use lets, and {shown(name)} is one", hint)
    assert parser.stream is not None
    near = check_field(parser, node, parser.stream, name)
    if node in parser.texts and not near and name not in STANDARD_NAMES:
        hint = f'a text needs quotes: "{name}"'
        parser.warn("W208", node, f"{shown(name)} is read as a field of {parser.stream}", hint)
    return Field(name)


def check_field(parser: Parser, node: ast.AST, stream: str, name: str, entity: bool = False) -> bool:
    """Warn of a field that is nearly a standard one; for an ``entity`` (``per=``) also without its ``_id``.

    The result says whether there was a warning.
    """
    known = HOLDING_FIELDS if stream == "holding" else FIELDS[stream]
    if name in SELECTOR_FUNCTIONS and parser.stream is not None:
        parser.warn("W201", node, f"{shown(name)} without brackets is a field here", f"call it: {name}(…)")
    hint = None if name in known else did_you_mean(name, known, cutoff=0.8)
    if entity and hint is None and name not in known:
        short = {field.removesuffix("_id"): field for field in known if field.endswith("_id")}
        near = nearest(name, short, cutoff=0.8)
        hint = f"did you mean `{short[near]}`?" if near else None
    if hint:
        parser.warn("W201", node, f"{shown(name)} is no standard field of {stream}", hint)
    return hint is not None


def attribute(parser: Parser, node: ast.Attribute) -> Expr:
    """``stream.field``, ``profile.field`` or ``holding.field``."""
    base = node.value
    if parser.stream is not None:
        return _attribute_in_selector(parser, node)
    if isinstance(base, ast.Subscript):
        hint = "ask for one event's: last(…), or for all: sum(…), max(…)"
        return parser.fail("E213", node, "a selector's field is many values", hint)
    if not isinstance(base, ast.Name):
        return parser.fail("E202", node, "attribute access is not part of the language", _function_hint(node))
    name = base.id
    if name == "holding":
        if not parser.scope.each_holding:
            hint = "it needs `trigger: {daily: …}` and `each: holdings`"
            return parser.fail("E207", node, "`holding` outside a rule with `each: holdings`", hint)
        check_field(parser, node, "holding", node.attr)
        return HoldingField(node.attr)
    if name in STREAMS:
        check_field(parser, node, name, node.attr)
        return ProfileField(node.attr) if name == "profile" else AnchorField(name, node.attr)
    if name in parser.scope.all_lets or name == "ts":
        return parser.fail("E202", node, f"{shown(name)} is a value and has no fields")
    return parser.fail(
        "E203", node, f"unknown stream {shown(name)}", did_you_mean(name, [*STREAMS, "holding"], STREAM_CUTOFF)
    )


def _function_hint(node: ast.Attribute) -> str | None:
    """For ``txn.amount.sum``, which other languages write as a call without brackets."""
    base = node.value
    if node.attr not in ALL or not isinstance(base, ast.Attribute):
        return None
    more = ", …" if node.attr in AGGREGATES else ""
    return f"write {node.attr}({ast.unparse(base)}{more})"


def _attribute_in_selector(parser: Parser, node: ast.Attribute) -> Expr:
    name = node.value.id if isinstance(node.value, ast.Name) else ""
    if name in ("profile", "holding"):
        return parser.fail("E210", node, f"a selector can't use `{name}`", "test it in `when`")
    if name in STREAMS:
        hint = f"inside the brackets a field is written `{node.attr}`" if name == parser.stream else "test it in `when`"
        return parser.fail("E210", node, f"a selector can't use `{name}.{node.attr}`", hint)
    return parser.fail("E202", node, "attribute access is not part of the language")


def subscript(parser: Parser, node: ast.Subscript) -> Expr:
    """``x[…]`` in the place of a value, which is always an error."""
    if isinstance(node.value, ast.Name) and node.value.id in STREAMS:
        if parser.stream is not None:
            return parser.fail("E210", node, "a selector inside a selector")
        return parser.fail("E213", node, "a selector is not a value by itself", "count it: count(…)")
    if isinstance(node.value, ast.Name) and parser.stream is None:
        name = node.value.id
        return parser.fail("E215", node, f"{shown(name)} is not a stream", did_you_mean(name, STREAMS, STREAM_CUTOFF))
    return parser.fail("E202", node, "`[…]` behind a value is not part of the language")


def selector(parser: Parser, node: ast.expr) -> Selector | None:
    """``stream`` or ``stream[predicate]``; None where there is an error."""
    base = node.value if isinstance(node, ast.Subscript) else node
    stream = base.id if isinstance(base, ast.Name) else None
    if stream not in STREAMS:
        _not_a_selector(parser, node, base)
        # Read on as the stream that was probably meant, to find the problems inside the brackets too.
        stream = nearest(stream, STREAMS, STREAM_CUTOFF) if stream is not None else None
        if stream is None:
            return None
    predicate = None
    if isinstance(node, ast.Subscript):
        outer, parser.stream = parser.stream, stream
        try:
            predicate = parser.value(node.slice)
        finally:
            parser.stream = outer
    result = Selector(stream, predicate)
    parser.put(result, node)
    return result


def _not_a_selector(parser: Parser, node: ast.expr, base: ast.expr) -> None:
    hint: str | None = "a selector is `stream` or `stream[condition]`"
    message = "this is not a selector"
    if isinstance(base, ast.Name):
        message = f"{shown(base.id)} is not a stream"
        hint = did_you_mean(base.id, STREAMS, STREAM_CUTOFF) or "the streams are " + ", ".join(STREAMS)
    elif isinstance(base, ast.Attribute):
        inner = base.value.value if isinstance(base.value, ast.Subscript) else base.value
        if isinstance(inner, ast.Name) and inner.id not in STREAMS:
            message = f"{shown(inner.id)} is not a stream"
            hint = did_you_mean(inner.id, STREAMS, STREAM_CUTOFF)
        elif isinstance(node, ast.Subscript):
            hint = "the brackets stand behind the stream: stream[condition].field"
        else:
            message = "a field where a selector is needed"
    parser.fail("E215", node, message, hint)
