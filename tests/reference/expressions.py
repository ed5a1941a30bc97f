"""Evaluating expressions: selectors on a candidate event, values and aggregates in a scope."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import Any

from tests.reference import values
from tests.reference.aggregates import Window, over_field, streak, within
from tests.reference.events import STREAM_ORDER, Event
from tests.reference.localtime import days_until, duration_ms, local
from tests.reference.rules import parse

AGGREGATES = ("count", "sum", "mean", "min", "max", "std", "distinct")


def operators(node: ast.expr, of: Any) -> Any:
    """What selectors and values have in common; `of` evaluates an operand. Every operand is evaluated."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [of(entry) for entry in node.elts]
    if isinstance(node, ast.UnaryOp):
        operand = of(node.operand)
        return not values.truth(operand) if isinstance(node.op, ast.Not) else values.negative(operand)
    if isinstance(node, ast.BinOp):
        return values.arithmetic(type(node.op).__name__, of(node.left), of(node.right))
    if isinstance(node, ast.BoolOp):
        results = [values.truth(of(entry)) for entry in node.values]
        return all(results) if isinstance(node.op, ast.And) else any(results)
    if isinstance(node, ast.Compare):
        sides = [of(entry) for entry in [node.left, *node.comparators]]
        names = [type(op).__name__ for op in node.ops]
        return all(values.compare(name, a, b) for name, a, b in zip(names, sides, sides[1:], strict=False))
    raise ValueError(f"not in the language: {ast.unparse(node)}")


@dataclass(frozen=True)
class Selector:
    stream: str
    predicate: ast.expr | None
    text: str

    def matches(self, event: Event, zone: str) -> bool:
        if event.stream != self.stream:
            return False
        if self.predicate is None:
            return True
        cache_key = (self.text, zone)
        if cache_key not in event.matches:
            event.matches[cache_key] = values.truth(self._value(self.predicate, event, zone))
        return event.matches[cache_key]

    def _value(self, node: ast.expr, event: Event, zone: str) -> Any:
        def of(operand: ast.expr) -> Any:
            return self._value(operand, event, zone)

        if isinstance(node, ast.Name):
            return event.fields.get(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return values.scalar(node.func.id, [of(arg) for arg in node.args], zone)
        return operators(node, of)


SELECTORS: dict[int, tuple[ast.expr, Selector | None]] = {}


def selector(node: ast.expr) -> Selector | None:
    """The selector that a node is, or None. Remembered by node, which the table keeps alive."""
    if id(node) not in SELECTORS:
        SELECTORS[id(node)] = (node, _selector(node))
    return SELECTORS[id(node)][1]


def _selector(node: ast.expr) -> Selector | None:
    if isinstance(node, ast.Name) and node.id in STREAM_ORDER:
        return Selector(node.id, None, node.id)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return Selector(node.value.id, node.slice, ast.unparse(node))
    return None


def matches_any(selectors: list[ast.expr], event: Event, zone: str) -> bool:
    return any(found is not None and found.matches(event, zone) for found in map(selector, selectors))


@dataclass
class Scope:
    """Everything one evaluation of a rule may look at. `events` and `all_events` end with the anchor."""

    t: int
    zone: str
    anchor: Event | None
    events: list[Event]
    all_events: list[Event]
    profile: dict[str, Any]
    holding: dict[str, Any]
    risen: dict[str, bool]  # `rises` conditions by their text: the previous evaluation, updated in place
    lets: dict[str, Any] = field(default_factory=dict)

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.t if node.id == "ts" else self.lets[node.id]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self._field_of(node.value.id, node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node.func.id, node.args, {word.arg or "": word.value for word in node.keywords})
        return operators(node, self.value)

    def _field_of(self, owner: str, name: str) -> Any:
        if owner == "profile":
            return self.profile.get(name)
        if owner == "holding":
            return self.holding.get(name)
        if self.anchor is None or self.anchor.stream != owner:
            return None
        return self.anchor.fields.get(name)

    def _call(self, name: str, args: list[ast.expr], words: dict[str, ast.expr]) -> Any:
        if name in AGGREGATES and not (name in ("min", "max") and len(args) > 1):
            return self._aggregate(name, args[0], words)
        special = {
            "last": self._last,
            "prev": self._prev,
            "age": self._age,
            "novel": self._novel,
            "seq": self._seq,
            "streak": self._streak,
            "rises": self._rises,
        }
        if name in special:
            return special[name](args, words)
        if name == "score":
            return None
        arguments = [self.value(arg) for arg in args]
        if name == "seconds":
            ms = duration_ms(arguments[0])
            return ms // 1000 if ms % 1000 == 0 else ms / 1000
        if name == "days_until":
            yearly = "yearly" in words and values.truth(self.value(words["yearly"]))
            return days_until(arguments[0], local(self.t, self.zone), yearly)
        return values.scalar(name, arguments, self.zone)

    def _matching(self, node: ast.expr, among: list[Event]) -> list[Event]:
        found = selector(node)
        assert found is not None, ast.unparse(node)
        return [event for event in among if found.matches(event, self.zone)]

    def _earlier(self) -> list[Event]:
        return [event for event in self.events if event is not self.anchor]

    def _is(self, node: ast.expr) -> bool:
        """Whether the anchor matches a selector."""
        return self.anchor is not None and bool(self._matching(node, [self.anchor]))

    def _aggregate(self, name: str, what: ast.expr, words: dict[str, ast.expr]) -> Any:
        window = Window("ever")
        for kind in ("last", "prior", "this"):
            if kind in words:
                window = Window(kind, self.value(words[kind]))
        among = self.events
        if "per" in words:
            per = self.value(words["per"])
            own = self.anchor.fields.get(per) if self.anchor else None
            among = [event for event in self.all_events if values.equal(event.fields.get(per), own)]
        field_name = None
        if name != "count":
            assert isinstance(what, ast.Attribute)
            what, field_name = what.value, what.attr
        found = [e for e in self._matching(what, among) if window.holds(e, self.anchor, self.t, self.zone)]
        if field_name is None:
            return len(found)
        return over_field(name, [event.fields.get(field_name) for event in found])

    def _latest(self, what: ast.expr, among: list[Event]) -> Any:
        assert isinstance(what, ast.Attribute)
        found = self._matching(what.value, among)
        return found[-1].fields.get(what.attr) if found else None

    def _last(self, args: list[ast.expr], _: dict[str, ast.expr]) -> Any:
        return self._latest(args[0], self.events)

    def _prev(self, args: list[ast.expr], _: dict[str, ast.expr]) -> Any:
        return self._latest(args[0], self._earlier())

    def _age(self, args: list[ast.expr], _: dict[str, ast.expr]) -> float | None:
        found = self._matching(args[0], self._earlier())
        return (self.t - found[-1].effective) / 1000 if found else None

    def _novel(self, args: list[ast.expr], words: dict[str, ast.expr]) -> bool:
        what = args[0]
        assert isinstance(what, ast.Attribute)
        if self.anchor is None or not self._is(what.value):
            return False
        own = self.anchor.fields.get(what.attr)
        length_ms = duration_ms(self.value(words["prior"]))
        earlier = [event for event in self._matching(what.value, self._earlier()) if within(event, length_ms, self.t)]
        return own is not None and not any(values.equal(event.fields.get(what.attr), own) for event in earlier)

    def _seq(self, args: list[ast.expr], words: dict[str, ast.expr]) -> bool:
        length_ms = duration_ms(self.value(words["last"]))
        # "All within D" is read to include the anchor: a late one may lie outside its own window.
        if self.anchor is None or not self._is(args[-1]) or not within(self.anchor, length_ms, self.t):
            return False
        steps = list(args[:-1])
        for event in self._earlier():
            if steps and within(event, length_ms, self.t) and self._matching(steps[0], [event]):
                steps.pop(0)
        return not steps

    def _streak(self, args: list[ast.expr], words: dict[str, ast.expr]) -> int:
        by = self.value(words["by"])
        what = args[0]

        def period(ts: int) -> int:
            return local(ts, self.zone).period(by)

        if selector(what) is not None:
            return streak([period(e.effective) for e in self._matching(what, self.events)], period(self.t))
        selectors = [node for node in ast.walk(what) if isinstance(node, (ast.Name, ast.Subscript)) and selector(node)]
        # The name inside `txn[...]` walks by too, but is no selector of its own.
        inside = {id(node.value) for node in selectors if isinstance(node, ast.Subscript)}
        inside |= {id(sub) for node in selectors if isinstance(node, ast.Subscript) for sub in ast.walk(node.slice)}
        selectors = [node for node in selectors if id(node) not in inside]
        own: dict[int, list[Event]] = {}
        for event in self.events:
            if any(self._matching(node, [event]) for node in selectors):
                own.setdefault(period(event.effective), []).append(event)
        if not own:
            return 0
        current, length = period(self.t), 0
        while current - length >= min(own):
            if not values.truth(replace(self, events=own.get(current - length, []), anchor=None).value(what)):
                break
            length += 1
        return length

    def _rises(self, args: list[ast.expr], _: dict[str, ast.expr]) -> bool:
        now = values.truth(self.value(args[0]))
        # Keyed by the text: equal texts in one rule have equal values. The first evaluation has none before.
        text = ast.unparse(args[0])
        before = self.risen.get(text, True)
        self.risen[f"{text}#now"] = now
        return now and not before


def settle(risen: dict[str, bool]) -> None:
    """End an evaluation: what `rises` saw now is what it saw before."""
    for text in [text for text in risen if text.endswith("#now")]:
        risen[text.removesuffix("#now")] = risen.pop(text)


PARSED: dict[str, ast.expr] = {}


def render(template: Any, scope: Scope) -> Any:
    """A payload with its templates filled in, at any depth."""
    if isinstance(template, dict):
        return {name: render(value, scope) for name, value in template.items()}
    if isinstance(template, list):
        return [render(value, scope) for value in template]
    if not isinstance(template, str):
        return template
    out, at = "", 0
    while at < len(template):
        pair = template[at : at + 2]
        if pair in ("{{", "}}"):
            out, at = out + pair[0], at + 2
        elif template[at] == "{":
            end = template.index("}", at)
            text, _, spec = template[at + 1 : end].partition(":")
            if text not in PARSED:
                PARSED[text] = parse(text)
            out, at = out + values.printed(scope.value(PARSED[text]), spec), end + 1
        else:
            out, at = out + template[at], at + 1
    return out
