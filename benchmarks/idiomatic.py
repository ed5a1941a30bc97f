"""The five rules as a Bytewax flow of operators: what a team would write that knows Bytewax but not this engine.

An operator per step, a key per customer, a deque per window. There are two of it:

- the plain one takes it for granted that each customer's events come in one file (see `benchmarks.customer_files`), in
  order, once and well-formed;
- the careful one sorts events that are out of order by up to the lateness, drops duplicates and sets lines aside that
  can't be decoded, as the engine does (it doesn't take in late events, and holds a customer's last events back until
  that customer's next one or the end).
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from heapq import heappop, heappush
from pathlib import Path
from typing import TypeGuard

import bytewax.operators as op
import msgspec
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import cluster_main

from benchmarks.result import Result, measure
from rules.model import STREAMS

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LATENESS_MS = 10_000
RANKS = {stream: rank for rank, stream in enumerate(STREAMS)}
UNITS = 10_000
"""Amounts are summed as integers of this part of a yuan, so that adding and evicting never drifts."""


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


class BadLine(msgspec.Struct, gc=False):
    """A line that is no event, and why."""

    raw: str
    reason: str


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
            if len(logins) >= 4:
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
        if spent > 50_000:
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
            if amount > 10 * usual:
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


class CarefulCustomer(Customer):
    """The same for events that come out of order, by up to ``LATENESS_MS``, and more than once."""

    __slots__ = ("_high_ms", "_seen", "_seen_order", "_waiting")

    def __init__(self, state: State | None) -> None:
        super().__init__(state)
        self._waiting: list[tuple[int, int, str, Event]] = []
        self._high_ms = 0
        self._seen: set[tuple[str, str]] = set()
        self._seen_order: deque[tuple[int, tuple[str, str]]] = deque()

    def on_batch(self, values: list[Event]) -> tuple[list[Decision], bool]:
        """Take the customer's next events in any order, and process those that can't be preceded any more."""
        waiting = self._waiting
        for event in values:
            heappush(waiting, (event.ts, RANKS[event.stream], event.event_id, event))
            if event.ts > self._high_ms:
                self._high_ms = event.ts
        return self._release(self._high_ms - LATENESS_MS)

    def on_eof(self) -> tuple[list[Decision], bool]:
        """Process what still waits."""
        return self._release(self._high_ms + 1)

    def _release(self, watermark_ms: int) -> tuple[list[Decision], bool]:
        waiting, seen, seen_order = self._waiting, self._seen, self._seen_order
        ready = []
        while waiting and waiting[0][0] < watermark_ms:
            ts, _, event_id, event = heappop(waiting)
            while seen_order and seen_order[0][0] <= ts - HOUR_MS:
                seen.discard(seen_order.popleft()[1])
            key = (event.stream, event_id)
            if key not in seen:
                seen.add(key)
                seen_order.append((ts, key))
                ready.append(event)
        return super().on_batch(ready)


def _is_event(decoded: Event | BadLine) -> TypeGuard[Event]:
    return isinstance(decoded, Event)


def _decode_or_explain(decode: Callable[[str], Event]) -> Callable[[str], Event | BadLine]:
    def decode_line(line: str) -> Event | BadLine:
        try:
            return decode(line)
        except msgspec.DecodeError as error:
            return BadLine(line, str(error))

    return decode_line


def build_flow(events: Sequence[Path], out: Path, *, careful: bool = False) -> Dataflow:
    """The flow from event files to a file of decisions, one JSON object a line.

    The careful one writes the lines that it can't decode to ``out`` with ``.dead`` added.
    """
    decode = msgspec.json.Decoder(Event).decode
    encode = msgspec.json.Encoder().encode
    flow = Dataflow("five_rules")
    inputs = [op.input(f"lines_{number}", flow, FileSource(path)) for number, path in enumerate(events)]
    lines = op.merge("merge", *inputs) if len(inputs) > 1 else inputs[0]
    if careful:
        decoded = op.branch("decoded", op.map("decode", lines, _decode_or_explain(decode)), _is_event)
        bad_lines = op.map("encode_bad_lines", decoded.falses, lambda line: ("", encode(line).decode()))
        op.output("dead_letters", bad_lines, FileSink(dead_letters_of(out)))
        valid = decoded.trues
    else:
        valid = op.map("decode", lines, decode)
    keyed = op.key_on("by_customer", valid, lambda event: event.customer_id)
    decisions = op.stateful_batch("decide", keyed, CarefulCustomer if careful else Customer)
    encoded = op.map("encode", decisions, lambda keyed: (keyed[0], encode(keyed[1]).decode()))
    op.output("out", encoded, FileSink(out))
    return flow


def dead_letters_of(out: Path) -> Path:
    """Where the careful flow that writes its decisions to ``out`` puts the lines that are no events."""
    return out.with_name(out.name + ".dead")


def run(events: Sequence[Path], out: Path, *, careful: bool = False) -> Result:
    """Decide about the files, in this process, and write the decisions to ``out``, which is overwritten."""
    dead_letters_of(out).unlink(missing_ok=True)

    def work() -> None:
        cluster_main(build_flow(events, out, careful=careful), [], 0)  # type: ignore[no-untyped-call]

    return measure(work, events, out)


def main() -> None:
    """Run once and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=Path, action="append", required=True, help="an event file; may be repeated")
    parser.add_argument("--out", type=Path, required=True, help="the file of decisions")
    parser.add_argument("--careful", action="store_true", help="order, deduplicate and set bad lines aside")
    arguments = parser.parse_args()
    print(json.dumps(asdict(run(arguments.events, arguments.out, careful=arguments.careful))))


if __name__ == "__main__":
    main()
