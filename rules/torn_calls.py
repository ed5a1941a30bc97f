"""Calls that YAML tears apart at their commas: ``{n: count(click, last="7d")}`` without quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rules.yaml_source import Map, Node, Scalar

_STRINGS = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(slots=True)
class TornCalls:
    """``begun`` are the keys whose value is the beginning of a call, ``rest`` those that are its further parts."""

    begun: set[str] = field(default_factory=set)
    rest: set[str] = field(default_factory=set)


def torn_calls(node: Map) -> TornCalls:
    """The calls among the values of ``node`` that YAML has torn apart."""
    result = TornCalls()
    open_brackets, begin = 0, ""
    rest: set[str] = set()
    for name, (key, value) in node.entries.items():
        if begin and _is_nothing(value) and key.style == "":
            rest.add(name)
            open_brackets += _open_brackets(name)
            if open_brackets <= 0:
                result.begun.add(begin)
                result.rest |= rest
                begin = ""
            continue
        begin, rest = "", set()
        if isinstance(value, Scalar) and value.style == "" and isinstance(value.value, str):
            open_brackets = _open_brackets(value.text)
            begin = name if open_brackets > 0 else ""
    return result


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None and node.text == ""


def _open_brackets(text: str) -> int:
    """How many round brackets are opened in ``text`` and not closed."""
    code = _STRINGS.sub("", text)
    return code.count("(") - code.count(")")
