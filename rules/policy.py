"""The contact policy: control group, caps and quiet hours; and how tickets are followed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from rules.diagnostics import Diagnostic, Problems
from rules.load_ticket_policy import load_ticket_policy
from rules.mapping_reader import DEFAULT_TIMEZONE, MappingReader
from rules.model import CLASSES
from rules.ticket_policy import TicketPolicy
from rules.yaml_source import Map, Node, Scalar, Seq, describe, read_yaml

_SOFT_CLASSES = ("marketing", "survey")


@dataclass(frozen=True, slots=True)
class Holdout:
    """The control group: ``percent_hundredths`` of 10,000 customers, chosen by ``salt``, for ``classes``."""

    percent_hundredths: int
    salt: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``max`` emitted decisions of ``rule_class`` (``*``: any but risk) per customer within ``per_ms``.

    With ``metric`` it concerns surveys of that metric alone.
    """

    rule_class: str
    max: int
    per_ms: int
    metric: str | None = field(default=None, repr=False)  # as with `tickets` below


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Minutes after local midnight, ``[from_minute, to_minute)``; equal means never. ``defer`` holds, else drops."""

    from_minute: int
    to_minute: int
    classes: tuple[str, ...]
    defer: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """What limits contacts, and how tickets are followed; each part may be missing. ``timezone`` is that of the quiet
    hours.
    """

    timezone: str
    holdout: Holdout | None
    caps: tuple[Cap, ...]
    quiet_hours: QuietHours | None
    tickets: TicketPolicy | None = field(default=None, repr=False)  # folders of format 2 know policies by their text

    @classmethod
    def default(cls) -> Policy:
        """No control group, no caps, no quiet hours."""
        return cls(DEFAULT_TIMEZONE, None, (), None)


def load_policy(path: Path) -> tuple[Policy | None, list[Diagnostic]]:
    """The policy in ``path`` and all problems of the file; no policy exactly if one of them is an error.

    Never raises for bad input.
    """
    problems = Problems()
    root = read_yaml(path, problems)
    policy = None
    if root is not None:
        policy = _policy(root, Path(path).parent, problems)
    return (None if problems.errors else policy), problems.in_order([str(path)])


def _reader(node: Node, what: str, keys: tuple[str, ...], problems: Problems) -> MappingReader | None:
    if not isinstance(node, Map):
        problems.add("E101", node.position, f"{what} must be a mapping, not {describe(node)}")
        return None
    reader = MappingReader(node, what, problems)
    reader.known_keys(keys)
    return reader


def _policy(root: Node, folder: Path, problems: Problems) -> Policy | None:
    keys = ("version", "timezone", "holdout", "caps", "quiet_hours", "tickets")
    if isinstance(root, Map) and "rules" in root.entries:
        place = root.entries["rules"][0].position
        problems.add("E102", place, "a policy file has no key `rules`; this looks like a rule file")
        return None
    reader = _reader(root, "a policy file", keys, problems)
    if reader is None:
        return None
    reader.file_version()
    holdout, quiet_hours = reader.optional("holdout"), reader.optional("quiet_hours")
    tickets = reader.optional("tickets")
    return Policy(
        reader.timezone(),
        None if holdout is None else _holdout(holdout, problems),
        _caps(reader, problems),
        None if quiet_hours is None else _quiet_hours(quiet_hours, problems),
        None if tickets is None else load_ticket_policy(tickets, folder, problems),
    )


def _holdout(node: Node, problems: Problems) -> Holdout | None:
    reader = _reader(node, "`holdout`", ("percent", "salt", "classes"), problems)
    if reader is None:
        return None
    classes = reader.choices("classes", CLASSES, _SOFT_CLASSES)
    listed = reader.node.entries.get("classes")
    if "risk" in classes and listed is not None and isinstance(listed[1], Seq):
        place = next(item.position for item in listed[1].items if isinstance(item, Scalar) and item.value == "risk")
        problems.add("W501", place, "class `risk` is never held out", "remove it")
    return Holdout(_percent_hundredths(reader), reader.text_or_number("salt", ""), classes)


def _percent_hundredths(reader: MappingReader) -> int:
    """``percent`` times 100, exactly: from the decimal text, not from a binary fraction."""
    node = reader.require("percent")
    if node is None:
        return 0
    hundredths = None
    if isinstance(node, Scalar) and type(node.value) in (int, float):
        try:
            hundredths = Decimal(node.value if type(node.value) is int else node.text) * 100
        except InvalidOperation:  # infinite or not a number, which is reported already
            return 0
    if hundredths is None or not 0 <= hundredths <= 10_000 or hundredths != int(hundredths):
        message = f"`percent` must be a number from 0 to 100 with at most two decimals, not {describe(node)}"
        reader.problems.add("E501", node.position, message)
        return 0
    return int(hundredths)


def _caps(reader: MappingReader, problems: Problems) -> tuple[Cap, ...]:
    node = reader.optional("caps")
    if node is None:
        return ()
    if not isinstance(node, Seq):
        reader.wrong_type(node, "caps", "a list", "[{class: survey, max: 1, per: 30d}]")
        return ()
    caps = []
    for item in node.items:
        cap = _reader(item, "a cap", ("class", "metric", "max", "per"), problems)
        if cap is None:
            continue
        metric = _metric(cap)
        for key in ("class", "max") if metric is None else ("max",):
            if key not in cap.node.entries:
                cap.require(key)
        per_ms = cap.duration_ms("per", required=True)
        zero = cap.zero_duration("per")
        if zero is not None:
            problems.add("E109", zero, "`per` must be longer than nothing")
        rule_class = cap.choice("class", (*CLASSES, "*"), "*" if metric is None else "survey")
        caps.append(Cap(rule_class, cap.integer("max", 0, None, 0), per_ms, metric))
    return tuple(caps)


def _metric(cap: MappingReader) -> str | None:
    """The metric of a cap; empty if what is written is none, so that no class is asked for."""
    if "metric" not in cap.node.entries:
        return None
    node = cap.get("metric")
    metric = cap.string(node, "metric")
    if metric == "" and node is not None:
        cap.problems.add("E108", node.position, "`metric` is empty", "such as nps, csat or ces")
    return metric or ""


def _quiet_hours(node: Node, problems: Problems) -> QuietHours | None:
    reader = _reader(node, "`quiet_hours`", ("from", "to", "classes", "action"), problems)
    if reader is None:
        return None
    return QuietHours(
        reader.clock_minutes("from"),
        reader.clock_minutes("to"),
        reader.choices("classes", CLASSES, _SOFT_CLASSES),
        reader.choice("action", ("drop", "defer"), "drop") == "defer",
    )
