"""The five rules as a Bytewax flow of operators: what a team would write that knows Bytewax but not this engine.

An operator per step, a key per customer, a deque per window. It takes order in time for granted: each customer's events
must be in one file and sorted, see `benchmarks.customer_files`. It knows no lateness, duplicates or dead letters.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import cluster_main

from benchmarks.customer_files import count_lines

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
UNITS = 10_000
"""Amounts are summed as integers of this part of a yuan, so that adding and evicting never drifts."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measured run: ``seconds`` from building the flow to its end, without the start of the interpreter."""

    seconds: float
    events: int
    decisions: int

    @property
    def events_per_second(self) -> int:
        """The rate over the whole run."""
        return round(self.events / self.seconds)


class Event(msgspec.Struct, gc=False):
    """What the rules read of an event; the decoder skips all other fields."""

    stream: str
    event_id: str
    customer_id: str
    ts: int
    action: str | None = None
    query: str | None = None
    error_code: str | None = None
    amount: float = 0.0
    direction: str | None = None
    currency: str = "CNY"
    metric: str | None = None
    score: float | None = None


class Decision(msgspec.Struct, gc=False):
    """A rule that holds at an event."""

    rule_id: str
    customer_id: str
    ts: int
    anchor_event_id: str
    features: dict[str, float]


State = tuple[list[int], list[int], list[tuple[int, int]], list[tuple[int, int]], list[int]]


class Customer(StatefulBatchLogic[Event, Decision, "State"]):
    """One customer's windows and the rules over them."""

    __slots__ = ("_errors", "_hour", "_hour_units", "_logins", "_month", "_month_units", "_searches")

    def __init__(self, state: State | None) -> None:
        searches, logins, hour, month, errors = state or ((), (), (), (), ())
        self._searches = deque(searches)
        self._logins = deque(logins)
        self._hour = deque(hour)
        self._month = deque(month)
        self._errors = deque(errors)
        self._hour_units = sum(units for _, units in self._hour)
        self._month_units = sum(units for _, units in self._month)

    def on_batch(self, values: list[Event]) -> tuple[list[Decision], bool]:
        """Take the customer's next events, in order of time."""
        decisions: list[Decision] = []
        for event in values:
            stream = event.stream
            if stream == "click":
                self._click(event, decisions)
            elif stream == "txn":
                if event.direction == "out" and event.currency == "CNY":
                    self._payment(event, decisions)
            elif stream == "feedback" and event.metric == "nps" and event.score is not None and event.score <= 6:
                self._low_score(event, decisions)
        return decisions, StatefulBatchLogic.RETAIN

    def _click(self, event: Event, decisions: list[Decision]) -> None:
        ts = event.ts
        if event.error_code is not None:
            self._errors.append(ts)
            _evict(self._errors, ts - DAY_MS)  # or those of customers who give no scores would pile up
        if event.action == "login":
            logins = self._logins
            logins.append(ts)
            _evict(logins, ts - 10 * MINUTE_MS)
            if len(logins) >= 2:
                decisions.append(_decision("login-burst", event, {"logins": len(logins)}))
        if event.query is not None and "提前还款" in event.query:
            searches = self._searches
            searches.append(ts)
            _evict(searches, ts - 7 * DAY_MS)
            if len(searches) >= 3:
                decisions.append(_decision("prepay-searches", event, {"searches": len(searches)}))

    def _payment(self, event: Event, decisions: list[Decision]) -> None:
        ts = event.ts
        amount = event.amount
        item = (ts, round(amount * UNITS))
        hour = self._hour
        hour.append(item)
        units = self._hour_units + item[1]
        while hour[0][0] <= ts - HOUR_MS:
            units -= hour.popleft()[1]
        self._hour_units = units
        spent = units / UNITS
        if spent > 5_000:
            decisions.append(_decision("spending-spree", event, {"spent": spent}))
        month = self._month
        month.append(item)
        units = self._month_units + item[1]
        while month[0][0] <= ts - 30 * DAY_MS:
            units -= month.popleft()[1]
        self._month_units = units
        payments = len(month)
        if payments >= 5:
            usual = units / UNITS / payments
            if amount > 5 * usual:
                decisions.append(_decision("unusual-payment", event, {"payments": payments, "usual": usual}))

    def _low_score(self, event: Event, decisions: list[Decision]) -> None:
        errors = self._errors
        _evict(errors, event.ts - DAY_MS)
        if len(errors) >= 2:
            decisions.append(_decision("low-score-after-errors", event, {"errors": len(errors)}))

    def snapshot(self) -> State:
        """The windows, for recovery."""
        return list(self._searches), list(self._logins), list(self._hour), list(self._month), list(self._errors)


def _evict(window: deque[int], until_ms: int) -> None:
    while window and window[0] <= until_ms:
        window.popleft()


def _decision(rule_id: str, event: Event, features: dict[str, float]) -> Decision:
    return Decision(rule_id, event.customer_id, event.ts, event.event_id, features)


def build_flow(events: Sequence[Path], out: Path) -> Dataflow:
    """The flow from event files to a file of decisions, one JSON object a line."""
    decode = msgspec.json.Decoder(Event).decode
    encode = msgspec.json.Encoder().encode
    flow = Dataflow("five_rules")
    lines = [op.input(f"lines_{number}", flow, FileSource(path)) for number, path in enumerate(events)]
    decoded = op.map("decode", op.merge("merge", *lines) if len(lines) > 1 else lines[0], decode)
    keyed = op.key_on("by_customer", decoded, lambda event: event.customer_id)
    decisions = op.stateful_batch("decide", keyed, Customer)
    encoded = op.map("encode", decisions, lambda keyed: (keyed[0], encode(keyed[1]).decode()))
    op.output("out", encoded, FileSink(out))
    return flow


def run(events: Sequence[Path], out: Path) -> Result:
    """Decide about the files, in this process, and write the decisions to ``out``, which is overwritten."""
    out.unlink(missing_ok=True)
    started = perf_counter()
    cluster_main(build_flow(events, out), [], 0)  # type: ignore[no-untyped-call]
    seconds = perf_counter() - started
    return Result(seconds, count_lines(events), count_lines([out]))


def main() -> None:
    """Run once and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=Path, action="append", required=True, help="an event file; may be repeated")
    parser.add_argument("--out", type=Path, required=True, help="the file of decisions")
    arguments = parser.parse_args()
    result: dict[str, Any] = asdict(run(arguments.events, arguments.out))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
