"""Rules with one threshold changed: a number or a duration, nudged up or down by as little as matters.

Integers up to 20 move by 1, all else by five per cent. Payloads, priorities, times of day and the digits of ``round``
hold no thresholds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from rules.diagnostics import Problems
from rules.durations import parse_duration_ms
from rules.load_rule import load_rule
from rules.mapping_reader import MappingReader
from rules.model import Position, Rule
from rules.yaml_source import Map, Node, Scalar, Seq, read_yaml

_KEYS = ("trigger", "let", "when", "unless", "cooldown")
_SMALL = 20
_SHARE = Decimal("0.05")
_TEXT = re.compile(r'"[^"]*"' + r"|'[^']*'")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_DURATION_AT = re.compile(r"""(?:\b(?:last|prior)\s*=\s*|\bseconds\(\s*)["'](\d+(?:ms|s|m|h|d|w))["']""")
_DIGITS_OF_ROUND = re.compile(r"\bround\(.*,\s*$")
_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Mutant:
    """``rule`` is the changed rule (under the id of the original); ``was`` and ``now`` are the threshold's texts."""

    rule: Rule
    was: str
    now: str
    position: Position


def mutants(paths: Sequence[Path], models: Collection[str], timezones: dict[str, str]) -> Iterator[Mutant]:
    """Every mutant of every rule in the files, which load without errors; ``timezones`` by rule id."""
    for path in paths:
        root = read_yaml(path, Problems())
        assert isinstance(root, Map)
        rules = root.entries["rules"][1]
        for node in rules.items if isinstance(rules, Seq) else ():
            assert isinstance(node, Map)
            rule_id = MappingReader(node, "", Problems()).string(node.entries["id"][1], "id") or ""
            for found in _places(node):
                for mutated in _changed(node, found):
                    rule = load_rule(mutated[0], timezones[rule_id], Problems(), {}, models)
                    if rule is not None:
                        yield Mutant(rule, found.text, mutated[1], found.position)


@dataclass(frozen=True, slots=True)
class _Threshold:
    """``text`` stands from ``start`` on in the scalar that ``path`` leads to from the rule."""

    path: tuple[str | int, ...]
    scalar: Scalar
    start: int
    text: str

    @property
    def position(self) -> Position:
        return self.scalar.place_of(self.start)


def _places(node: Map) -> Iterator[_Threshold]:
    for key in _KEYS:
        if key in node.entries:
            yield from _in_node((key,), node.entries[key][1])


def _in_node(path: tuple[str | int, ...], node: Node) -> Iterator[_Threshold]:
    if isinstance(node, Map):
        for key, (_, value) in node.entries.items():
            if key not in ("daily", "restart"):
                yield from _in_node((*path, key), value)
    elif isinstance(node, Seq):
        for number, item in enumerate(node.items):
            yield from _in_node((*path, number), item)
    elif isinstance(node, Scalar):
        if path[-1] in ("cooldown", "within"):
            if parse_duration_ms(node.text):
                yield _Threshold(path, node, 0, node.text)
            return
        for start, text in _in_text(node.text):
            yield _Threshold(path, node, start, text)


def _in_text(text: str) -> list[tuple[int, str]]:
    """The thresholds of an expression, with where they begin."""
    found = [(match.start(1), match[1]) for match in _DURATION_AT.finditer(text)]
    blank = _TEXT.sub(lambda match: " " * len(match[0]), text)
    for match in _NUMBER.finditer(blank):
        if not _DIGITS_OF_ROUND.search(blank[: match.start()]):
            found.append((match.start(), match[0]))
    return sorted(found)


def _changed(node: Map, threshold: _Threshold) -> Iterator[tuple[Map, str]]:
    for now in nudged(threshold.text):
        text = threshold.scalar.text
        end = threshold.start + len(threshold.text)
        changed = text[: threshold.start] + now + text[end:]
        value = changed if isinstance(threshold.scalar.value, str) else _number(changed)
        scalar = replace(threshold.scalar, text=changed, value=value)
        mutated = _with(node, threshold.path, scalar)
        assert isinstance(mutated, Map)
        yield mutated, now


def _with(node: Node, path: tuple[str | int, ...], scalar: Scalar) -> Node:
    if not path:
        return scalar
    step = path[0]
    if isinstance(node, Map):
        key, value = node.entries[str(step)]
        return replace(node, entries={**node.entries, str(step): (key, _with(value, path[1:], scalar))})
    assert isinstance(node, Seq)
    items = [_with(item, path[1:], scalar) if number == step else item for number, item in enumerate(node.items)]
    return replace(node, items=items)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def nudged(text: str) -> tuple[str, ...]:
    """A number or a duration a little greater and a little less.

    >>> nudged("3"), nudged("20000"), nudged("0.5"), nudged("7d"), nudged("0")
    (('4', '2'), ('21000', '19000'), ('0.525', '0.475'), ('10584m', '9576m'), ('1',))
    """
    size_ms = parse_duration_ms(text)
    if size_ms is not None:
        step_ms = max(1, size_ms // 20)
        return tuple(_duration(size_ms + way * step_ms) for way in (1, -1))
    value = Decimal(text)
    if "." in text:
        step = value * _SHARE or Decimal("0.05")
    else:
        step = Decimal(1) if value <= _SMALL else max(Decimal(1), (value * _SHARE).to_integral_value())
    return tuple(f"{value + way * step:f}" for way in (1, -1) if value + way * step >= 0)


def _duration(size_ms: int) -> str:
    return next(f"{size_ms // unit_ms}{unit}" for unit, unit_ms in _UNITS_MS if size_ms % unit_ms == 0)
