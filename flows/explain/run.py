"""The replay that is explained: with a rule's probes beside the rules, and of it what is about one customer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.board import Board
from flows.explain.probes import DISARMED, EVALUATED, EVIDENCE, SEEN, WHEN, Probes
from flows.lines import LineReader
from flows.replay import ACTIONS, ReplayJob, replay
from operators.ticket_desk import is_told_of_ticket
from rules.model import STREAMS

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """An event that a probe saw: ``number`` is its place in the order of what is told of the customer.

    ``t_ms`` is when it took effect, ``ts_ms`` its own time; ``values`` are the probe's.
    """

    number: int
    t_ms: int
    stream: str
    event_id: str
    ts_ms: int
    customer_id: str
    values: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other events."""
        return self.stream, self.event_id, self.customer_id

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The order in which events of all customers are processed; ``number`` is that of one customer's only."""
        return self.t_ms, STREAMS.index(self.stream), self.event_id, self.customer_id


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation of the rule; ``anchor`` is null at a tick. ``values``: by let's name or part's name."""

    number: int
    t_ms: int
    anchor: Place | None
    holding_id: str | None
    values: dict[str, Any]
    holds: bool

    @property
    def entities(self) -> dict[str, str]:
        """The anchor's values of the ``per=`` fields, by field; those that are texts."""
        named = [(name.split(":")[1], value) for name, value in self.values.items() if name.startswith("per:")]
        return {name: value for name, value in named if isinstance(value, str)}


@dataclass(slots=True)
class Told:
    """What the engine told, in its own order; ``evidence`` by the number of the probe.

    ``decisions`` are all of the customer's, of all rules.
    """

    decisions: list[Record] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    disarming: list[Place] = field(default_factory=list)
    seen: list[Place] = field(default_factory=list)
    evidence: dict[int, list[Place]] = field(default_factory=dict)


def ask(job: ReplayJob, probes: Probes, progress: Callable[[Board], Any] | None = None) -> Told:
    """Replay the job with the probes, and collect what is about their customer.

    The job's ``out`` is not written. Raises what ``replay`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="cem-explain-") as folder:
        rules = replace(job.rules, rules=(*job.rules.rules, *probes.rules))
        replay(replace(job, rules=rules, out=Path(folder)), progress)
        return collect(records(Path(folder) / ACTIONS), probes)


def decision_of(job: ReplayJob, action_id: str) -> Record | None:
    """The decision of this id that a replay of the job makes, found by running it; null if it makes none."""
    with tempfile.TemporaryDirectory(prefix="cem-explain-") as folder:
        replay(replace(job, out=Path(folder)))
        return find_decision(Path(folder) / ACTIONS, action_id)


def find_decision(path: Path, action_id: str) -> Record | None:
    """The decision of this id in a file of decisions; null if there is none. Raises ``SourceError``."""
    wanted = action_id.encode()
    with LineReader(path) as reader:
        while (batch := reader.read_batch()) is not None:
            for line in batch.lines:
                if wanted in line:
                    record = _object(line)
                    if record is not None and record.get("action_id") == action_id:
                        return record
    return None


def _object(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def records(path: Path) -> Iterator[Record]:
    """The decisions of a file that a replay has written."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def collect(decisions: Iterator[Record], probes: Probes) -> Told:
    """Sort what a run has written into what the probes told and the customer's decisions."""
    told = Told()
    for number, record in enumerate(decisions):
        rule_id = record["rule_id"]
        if rule_id.startswith(EVIDENCE):
            place = _place(number, record)
            told.evidence.setdefault(int(rule_id.removeprefix(EVIDENCE)), []).append(place)
        elif record["customer_id"] != probes.customer_id:
            continue
        elif rule_id == EVALUATED:
            told.evaluations.append(_evaluated(number, record, probes))
        elif rule_id == DISARMED:
            told.disarming.append(_place(number, record))
        elif rule_id == SEEN:
            told.seen.append(_place(number, record))
        elif not is_told_of_ticket(record):  # which counts for no policy
            told.decisions.append(record)
    return told


def _evaluated(number: int, record: Record, probes: Probes) -> Evaluated:
    anchor = None if record["anchor_event_id"] is None else _place(number, record)
    values = record["features"]
    holds = bool(values[f"{WHEN}:"]) if probes.rule.when is not None else True
    return Evaluated(number, record["ts"], anchor, record["holding_id"], values, holds)


def _place(number: int, record: Record) -> Place:
    values = record["features"]
    stream = next(stream for stream in STREAMS if values.get(f"ts:{stream}") is not None)
    return Place(
        number, record["ts"], stream, record["anchor_event_id"], values[f"ts:{stream}"], record["customer_id"], values
    )
