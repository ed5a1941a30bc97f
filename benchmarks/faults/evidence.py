"""What a run left behind, and whether it is what the events that were sent demand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from benchmarks.faults.clickhouse import embedded
from benchmarks.faults.stage import DATABASE, DEAD_LETTER_TOPIC, DECISION_TOPICS, POLICY, Stage, lines_of
from benchmarks.process import ROOT
from flows.live.outputs import REFUSED
from flows.live.positions import merged
from flows.runtime_database import read_remembered

_UNSENT_MS = 500
"""Event time that a reader may have promised and, being told to stop, not handed on: nothing is said about it."""

_COLUMNS = ("action_id", "kind", "rule_id", "customer_id", "ts_ms", "decision", "reason", "late")
_SHOWN = 3
_CUT_BYTES = 900_000
"""What is larger comes as a dead letter that was cut, and says how long it was."""

Decision = dict[str, Any]
Sequences = dict[tuple[str, str], list[str]]
"""Ids by topic and customer, in their order."""


@dataclass
class Verdict:
    """What was found: nothing in ``problems`` is a scenario passed; ``figures`` are for the report."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def demand(self, holds: bool, otherwise: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(otherwise)

    def same(self, what: str, found: Iterable[Any], wanted: Iterable[Any]) -> None:
        """Two sets are equal."""
        found, wanted = set(found), set(wanted)
        missing, besides = wanted - found, found - wanted
        if missing:
            self.problems.append(f"{what}: {len(missing)} missing of {len(wanted)}, such as {_some(missing)}")
        if besides:
            self.problems.append(f"{what}: {len(besides)} that should not be, such as {_some(besides)}")


def judge(stage: Stage, *, exact: bool) -> Verdict:
    """Compare what Kafka and ClickHouse hold with the replay of what was recorded.

    ``exact``: decisions have to be the replay's. Where a fault makes events late, they take effect later than they
    say, by the contract, and decisions about them may be others; all else is demanded nevertheless.
    """
    verdict = Verdict()
    recorded = lines_of(stage.event_files())
    messages = [*stage.read_before, *stage.brokers.read_all(DECISION_TOPICS)]
    sequences, live = deduplicated(verdict, messages)
    letters = stage.brokers.read_all([DEAD_LETTER_TOPIC])
    refused = check_dead_letters(verdict, letters, stage.poison.letters, recorded)
    if stage.setup.clickhouse != "none":
        with _database(stage) as client:
            _check_clickhouse(verdict, client, live, [line for line in recorded if line not in refused], letters)
    replayed, until_ms = _replay(stage, refused)
    verdict.demand(until_ms >= stage.last_event_ms(), f"event time stands still at {until_ms}")
    due = {key: d for key, d in live.items() if d["ts"] <= until_ms}
    wanted = {d["action_id"]: d for d in replayed if d["ts"] <= until_ms}
    if exact:
        verdict.same("decisions on Kafka", due, wanted)
        differing = [key for key in due.keys() & wanted.keys() if due[key] != wanted[key]]
        verdict.demand(
            not differing, f"{len(differing)} decisions have other content: {_differences(differing, due, wanted)}"
        )
        check_order(verdict, sequences, replayed, due)
    counters = stage.engine.watched.counters
    verdict.figures |= {
        "events": len(recorded), "decisions": len(wanted), "only_live": len(due.keys() - wanted.keys()),
        "only_replay": len(wanted.keys() - due.keys()), "repeated_on_kafka": len(messages) - len(live),
        "dead_letters": len(letters), "late_events": int(counters.get("cem_late_events_total", 0)),
        "late_decisions": sum(d["late"] for d in live.values()),
        "sink_failures": int(counters.get("cem_sink_failures_total", 0)),
        "waited_for": sorted(stage.engine.watched.sinks_waited_for),
        "peak_rss_mb": stage.engine.watched.peak_bytes >> 20, **stage.notes,
    }  # fmt: skip
    verdict.figures |= _delays(messages, live)
    verdict.demand(not (stage.state / REFUSED).exists(), "lines were refused, and lie in the state's folder")
    verdict.demand("exit_code" not in stage.notes, f"the engine ended with {stage.notes.get('exit_code')}")
    return verdict


def deduplicated(
    verdict: Verdict, messages: Sequence[Any]
) -> tuple[dict[tuple[str, str], list[str]], dict[str, Decision]]:
    """What a consumer sees that passes over ids it knows: ids by topic and customer, decisions by id."""
    sequences: Sequences = defaultdict(list)
    seen: dict[str, bytes] = {}
    others = 0
    for message in messages:
        value = message.value()
        headers = dict(message.headers() or [])
        action_id = headers["action_id"].decode()
        if action_id in seen:
            others += seen[action_id] != value
            continue
        seen[action_id] = value
        sequences[message.topic(), message.key().decode()].append(action_id)
    live = {action_id: json.loads(value) for action_id, value in seen.items()}
    strangers = sum(key != decision["action_id"] for key, decision in live.items())
    verdict.demand(not others, f"{others} messages repeat an action_id with other content")
    verdict.demand(not strangers, f"{strangers} messages have another action_id in their header than inside")
    return sequences, live


def _delays(messages: Sequence[Any], live: dict[str, Decision]) -> dict[str, Any]:
    """From a decision's `ts` to when its message was made, in ms; of the second half, when the start is over."""
    half = sorted(message.timestamp()[1] for message in messages)[len(messages) // 2 :]
    found: list[int] = []
    for message in messages:
        made_ms = message.timestamp()[1]
        if half and made_ms >= half[0]:
            found.append(made_ms - live[dict(message.headers() or [])["action_id"].decode()]["ts"])
    found.sort()
    return {f"delay_p{part}_ms": found[len(found) * part // 100] for part in (50, 99) if found}


def check_dead_letters(
    verdict: Verdict, letters: Sequence[Any], expected: dict[bytes, str], recorded: Sequence[bytes]
) -> set[bytes]:
    """Dead letters by their reasons; those recorded lines that became one for being ahead of the clock."""
    lines = {b"{" + line.partition(b",")[2]: line for line in recorded}  # without the stream, as it was on Kafka
    found: dict[bytes, str] = {}
    refused: set[bytes] = set()
    for letter in letters:
        headers = dict(letter.headers() or [])
        value, reason = letter.value() or b"", headers["reason"].decode()
        if reason == "future_ts" and value in lines:
            refused.add(lines[value])
        elif "cut_from" in headers:
            found[b"%d bytes" % int(headers["cut_from"])] = reason
        else:
            found[value] = reason
    wanted = {b"%d bytes" % len(raw) if len(raw) > _CUT_BYTES else raw: reason for raw, reason in expected.items()}
    verdict.same("dead letters", _shortened(found), _shortened(wanted))
    return refused


def _shortened(letters: dict[bytes, str]) -> set[tuple[str, str]]:
    return {
        (repr(raw if len(raw) < 120 else b"%b... %d bytes" % (raw[:40], len(raw))), r) for raw, r in letters.items()
    }


@contextmanager
def _database(stage: Stage) -> Iterator[Client]:
    opened = embedded(stage.folder / "clickhouse") if stage.clickhouse is None else stage.clickhouse.client()
    with opened as client:
        yield client


def _check_clickhouse(
    verdict: Verdict, client: Client, live: dict[str, Decision], recorded: Sequence[bytes], letters: Sequence[Any]
) -> None:
    bodies = Counter(bytes(row[0]) if isinstance(row[0], bytes) else row[0].encode()
                     for row in client.query(f"SELECT body FROM {DATABASE}.events FINAL").result_rows)  # fmt: skip
    verdict.same("events in ClickHouse", map(_event_key, bodies), map(_event_key, set(recorded)))
    verdict.demand(bodies.total() == len(bodies), "events stand twice in ClickHouse, FINAL notwithstanding")
    rows = client.query(f"SELECT {', '.join(_COLUMNS)} FROM {DATABASE}.decisions FINAL").result_rows
    ts = _COLUMNS.index("ts_ms")
    wanted = {tuple(d["ts" if name == "ts_ms" else name] for name in _COLUMNS) for d in live.values()}
    verdict.same("decisions in ClickHouse, as on Kafka", {(*r[:ts], int(r[ts]), *r[ts + 1 :]) for r in rows}, wanted)
    sources = [row[0] for row in client.query(f"SELECT source FROM {DATABASE}.dead_letters FINAL").result_rows]
    told = {dict(letter.headers() or [])["source"].decode() for letter in letters}
    verdict.same("dead letters in ClickHouse, as on Kafka", sources, told)


def _event_key(line: bytes) -> tuple[str, str, str, int, int]:
    event = json.loads(line)
    return event["stream"], event["customer_id"], event["event_id"], event["ts"], len(line)


def _replay(stage: Stage, refused: set[bytes]) -> tuple[list[Decision], int]:
    """The decisions of `cem replay`, and until when both have decided everything."""
    until_ms = merged(read_remembered(stage.state).others).promised_ms - _UNSENT_MS
    out = stage.folder / "replayed"
    files = stage.event_files()
    if refused:
        files = [_without(path, refused, stage.folder / "taken") for path in files]
    command = [sys.executable, "-m", "flows.cli", "replay", "--policy", str(POLICY)]
    command += ["--out", str(out), "--until", str(until_ms)]
    for path in stage.setup.rules:
        command += ["--rules", str(path)]
    for path in stage.setup.models:
        command += ["--models", str(path)]
    for path in files:
        command += ["--events", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cem replay failed:\n{done.stderr}")
    return [json.loads(line) for line in (out / "actions.ndjson").read_bytes().splitlines()], until_ms


def _without(path: Path, refused: set[bytes], folder: Path) -> Path:
    folder = folder / path.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / path.name
    kept.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().splitlines() if line not in refused))
    return kept


def check_order(verdict: Verdict, sequences: Sequences, replayed: Sequence[Decision], due: dict[str, Decision]) -> None:
    """Each customer's decisions of each topic come in the order of the replay."""
    wanted: Sequences = defaultdict(list)
    for d in replayed:
        if d["action_id"] in due:
            topic = f"cem.{d['kind']}" if d["decision"] == "emitted" else "cem.suppressed"
            wanted[topic, d["customer_id"]].append(d["action_id"])
    wrong = [key for key, ids in sequences.items() if [i for i in ids if i in due] != wanted[key]]
    verdict.demand(
        not wrong, f"{len(wrong)} customers get decisions in another order than in the replay: {wrong[:_SHOWN]}"
    )


def _differences(keys: Sequence[str], found: dict[str, Decision], wanted: dict[str, Decision]) -> str:
    shown = []
    for key in keys[:_SHOWN]:
        pairs = {n: (found[key][n], wanted[key][n]) for n in wanted[key] if found[key].get(n) != wanted[key][n]}
        shown.append(f"{wanted[key]['rule_id']} {pairs}")
    return "; ".join(shown)


def _some(values: set[Any]) -> str:
    return ", ".join(str(value) for value in sorted(values, key=str)[:_SHOWN])
