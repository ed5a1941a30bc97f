"""Runs the bank day by day and writes what happens."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.simulate import profiles, vocabulary
from flows.simulate.clock import DEFAULT_START_MS, Day, calendar, local_midnight
from flows.simulate.columns import STREAMS, Columns, Counters, Names, concat, generator, take
from flows.simulate.lines import Formatter
from flows.simulate.payments import PaymentMaker, labels_of
from flows.simulate.population import BLOCK, CALM_MOVES, WEB_DEVICE, Population, build_population, tame
from flows.simulate.record import Record
from flows.simulate.sessions import SessionMaker
from flows.simulate.stories import PACK_STORIES, STORIES, StoryBook, tell, too_long
from flows.simulate.texts import Texts
from flows.simulate.voices import VoiceMaker
from flows.simulate.writer import Writer

DEFAULT_EVENTS_PER_CUSTOMER_DAY = 8.0
DEFAULT_STORY_RATE = 0.002
CLICK_SHARE, TXN_SHARE = 0.69, 0.25
TRAVEL_RATE = 0.004
NEW_PHONE_RATE = 0.0005
STORY_SETS = {"demo": STORIES, "pack": PACK_STORIES}
"""By name: the stories of the demonstration, and those of the bank's pack."""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was written: files, events by stream, expected instances and decoys by story, and how fast.

    ``left_out``: the stories that the run is too short for, and how many days each needs.
    """

    files: list[Path]
    events: dict[str, int]
    stories: dict[str, int]
    decoys: dict[str, int]
    seconds: float
    events_per_second: float
    left_out: dict[str, int]


def simulate(
    out_dir: Path, *, customers: int, days: int, seed: int, start_ms: int | None = None,
    events_per_customer_day: float = DEFAULT_EVENTS_PER_CUSTOMER_DAY, partitions_per_stream: int = 1,
    story_rate: float = DEFAULT_STORY_RATE, stories: str = "demo", progress: Callable[[int], None] | None = None,
) -> SimulationReport:  # fmt: skip
    """Writes a synthetic bank's events, one NDJSON file per stream (and partition), and `truth.ndjson` into `out_dir`.

    The same arguments give byte-identical files. `start_ms` is rounded down to local midnight (Asia/Shanghai).
    `story_rate` is the number of instances of each story kind per customer, at least one of each and one decoy where
    the run is long enough for the kind and there are customers left. `stories` names a set: `demo`, or `pack` for the
    scenarios of the bank's pack, whose background keeps clear of them or is in the truth too (see `record`). `progress`
    is called with the number of days done. Raises ValueError when a number makes no sense.
    """
    for name, value in (("customers", customers), ("days", days), ("partitions_per_stream", partitions_per_stream)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if events_per_customer_day <= 0 or story_rate < 0:
        raise ValueError("events_per_customer_day must be positive and story_rate not negative")
    if stories not in STORY_SETS:
        raise ValueError(f"stories must be one of {', '.join(STORY_SETS)}, not {stories!r}")
    began = time.perf_counter()
    out_dir.mkdir(parents=True, exist_ok=True)
    run = calendar(local_midnight(DEFAULT_START_MS if start_ms is None else start_ms), days)
    names = Names(seed)
    pop = build_population(customers, seed, run[0].date.toordinal() - _EPOCH_ORDINAL, days)
    book = StoryBook(names, pop, run, generator(seed, 2))
    record = Record(book, pop) if stories == "pack" else None
    if record is not None:
        tame(pop)
    tell(book, story_rate, STORY_SETS[stories])
    bank = Bank(seed, pop, events_per_customer_day, record)
    writer = Writer(out_dir, partitions_per_stream, Formatter(names, pop, bank.sessions.table.fragments, bank.texts))
    try:
        for day in run:
            tables = bank.day(day)
            for place, stream in enumerate(STREAMS):
                rng = generator(seed, 3, day.index, place)
                writer.write(rng, stream, tables[stream], book.lines.pop((day.index, stream), []))
            if progress is not None:
                progress(day.index + 1)
    finally:
        writer.close()
    if record is not None:
        record.settle()
    truth = out_dir / "truth.ndjson"
    truth.write_text("".join(book.truth_lines()), encoding="utf-8")
    seconds = time.perf_counter() - began
    total = sum(writer.events.values())
    return SimulationReport(
        [*writer.paths, truth], writer.events, book.count(expected=True), book.count(expected=False), seconds,
        total / seconds, too_long(STORY_SETS[stories], days),
    )  # fmt: skip


_EPOCH_ORDINAL = 719_163


class Bank:
    """The background: makes a day at a time and keeps what falls on later days.

    With a ``record``, which is told what happens, it is tame: clear of most of what the pack's stories are about.
    """

    def __init__(self, seed: int, pop: Population, per_customer_day: float, record: Record | None = None) -> None:
        tamed = record is not None
        self._record = record
        self._seed = seed
        self._pop = pop
        self.texts = Texts()
        probe = SessionMaker(1.0)
        self.sessions = SessionMaker(per_customer_day * CLICK_SHARE / probe.clicks_per_session(), tamed)
        self._payments = PaymentMaker(per_customer_day * TXN_SHARE, tamed)
        pace = per_customer_day / DEFAULT_EVENTS_PER_CUSTOMER_DAY
        self._voices = VoiceMaker(pop.customers, self.texts, pace, tamed)
        self._counters = Counters()
        self._pending: dict[str, list[Columns]] = {stream: [] for stream in STREAMS}

    def day(self, day: Day) -> dict[str, Columns]:
        """All background events with a `ts` on that day, by stream, in no particular order."""
        for block, lo in enumerate(range(0, self._pop.customers, BLOCK)):
            rng = generator(self._seed, 1, day.index, block)
            self._block(rng, lo, min(lo + BLOCK, self._pop.customers), day)
        out = {}
        for stream, waiting in self._pending.items():
            table = concat(waiting)
            now = table["ts"] < day.end_ms
            out[stream] = take(table, now)
            self._pending[stream] = [take(table, ~now)]
        return out

    def _block(self, rng: np.random.Generator, lo: int, hi: int, day: Day) -> None:
        pop, counters = self._pop, self._counters
        moves = (pop.calm[lo:hi] & CALM_MOVES) == 0
        away = moves & (rng.random(hi - lo) < TRAVEL_RATE)
        city = np.where(away, rng.integers(0, len(vocabulary.CITIES), hi - lo), pop.city[lo:hi])
        # Nobody buys a phone on a journey: a new device in a new city is what the takeover story is about.
        new_phone = moves & ~away & (rng.random(hi - lo) < NEW_PHONE_RATE) & (pop.device_no[lo:hi] < WEB_DEVICE - 1)
        pop.device_no[lo:hi] += new_phone
        pending = self._pending
        seen = profiles.due(rng, pop, lo, hi, day, counters)
        pending["profile"].append(seen)
        if self._record is not None:
            self._record.profiles(seen)
        clicks, sessions = self.sessions.make(rng, pop, lo, hi, day, counters, city)
        pending["click"].append(clicks)
        payments = self._payments.make(rng, pop, lo, hi, day, counters, city, sessions)
        pending["txn"].append(payments)
        pending["label"].append(labels_of(rng, payments, counters))
        feedback, tickets = self._voices.make(rng, pop, lo, hi, day, counters, sessions)
        pending["feedback"].append(feedback)
        pending["ticket"].append(tickets)
        if self._record is not None:
            self._record.sessions(sessions, clicks)
            self._record.payments(payments)
            self._record.voices(feedback, tickets)
