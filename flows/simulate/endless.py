"""The bank's events in order of time and without an end, ready to be stamped with other times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from flows.simulate.book import StoryBook
from flows.simulate.clock import calendar, local_midnight
from flows.simulate.columns import STREAMS, Array, Columns, Names, generator, take
from flows.simulate.lines import Formatter
from flows.simulate.population import build_population
from flows.simulate.run import DEFAULT_EVENTS_PER_CUSTOMER_DAY, DEFAULT_STORY_RATE, Bank
from flows.simulate.stories import tell
from flows.simulate.writer import StoryLine

DAYS_OF_A_LIFE = 36
"""Long enough for every kind of story; then the customers begin anew, with other attributes and another course."""
_FORMATTED_ROWS = 20_000
_BLOCK_ROWS = 2_000
"""A block is handed between processes as a whole: small, so that taking one in never holds up the sending for long."""
_DAYS_SINCE_YEAR_1 = 719_163
_PARTS = re.compile(rb'{"stream":"[a-z]+",("event_id":"[^"]+","customer_id":"([^"]+)","ts":)[0-9]+(.*)}\n')


@dataclass(frozen=True, slots=True)
class Block:
    """Events in order of time: places in ``STREAMS``, customer ids, and what stands before and after the `ts`.

    The message as a topic has it, without `stream`, is ``b"{" + head + ts + tail + b"}"``.
    """

    streams: bytes
    customers: list[bytes]
    heads: list[bytes]
    tails: list[bytes]

    def __len__(self) -> int:
        return len(self.heads)


def endless_events(
    customers: int, seed: int, prefix: str, now_ms: Callable[[], int], days: int = DAYS_OF_A_LIFE
) -> Iterator[Block]:
    """Events for ever: after ``days`` the same customers begin a new life, with the next seed and other event ids.

    ``prefix`` stands before every event id. Dates in the events (maturities, birthdays) are as of ``now_ms``, which is
    asked at the beginning of each life.
    """
    for life in count():
        yield from _life(customers, seed + life, f"{prefix}{life}-", now_ms(), days)


def _life(customers: int, seed: int, prefix: str, now_ms: int, days: int) -> Iterator[Block]:
    run = calendar(local_midnight(now_ms), days)
    names = Names(seed, prefix)
    pop = build_population(customers, seed, run[0].date.toordinal() - _DAYS_SINCE_YEAR_1, days)
    book = StoryBook(names, pop, run, generator(seed, 2))
    tell(book, DEFAULT_STORY_RATE)
    bank = Bank(seed, pop, DEFAULT_EVENTS_PER_CUSTOMER_DAY)
    formatter = Formatter(names, pop, bank.sessions.table.fragments, bank.texts)
    for day in run:
        tables = bank.day(day)
        stories = {stream: book.lines.pop((day.index, stream), []) for stream in STREAMS}
        yield from _in_order(tables, stories, formatter)


def _in_order(
    tables: dict[str, Columns], stories: dict[str, list[StoryLine]], formatter: Formatter
) -> Iterator[Block]:  # fmt: skip
    """A day's events of all streams, merged by time."""
    times = [
        np.concatenate((tables[stream]["ts"], np.array([line[0] for line in stories[stream]], dtype=np.int64)))
        for stream in STREAMS
    ]
    places = np.repeat(np.arange(len(STREAMS), dtype=np.uint8), [len(ts) for ts in times])
    rows = np.concatenate([np.arange(len(ts)) for ts in times])
    order = np.argsort(np.concatenate(times), kind="stable")
    for first in range(0, len(order), _FORMATTED_ROWS):
        part = order[first : first + _FORMATTED_ROWS]
        lines = np.empty(len(part), dtype=object)
        for place, stream in enumerate(STREAMS):
            at = np.flatnonzero(places[part] == place)
            lines[at] = _lines(formatter, stream, tables[stream], stories[stream], rows[part[at]])
        yield from _blocks(places[part], lines.tolist())


def _lines(
    formatter: Formatter, stream: str, table: Columns, stories: list[StoryLine], rows: Array
) -> list[str]:  # fmt: skip
    background = len(table["ts"])
    told = rows >= background
    lines = formatter.lines(stream, take(table, rows[~told])) if not told.all() else []
    for at in np.flatnonzero(told).tolist():
        lines.insert(at, stories[int(rows[at]) - background][2])
    return lines


def _blocks(places: Array, lines: list[str]) -> Iterator[Block]:
    for first in range(0, len(lines), _BLOCK_ROWS):
        found = _PARTS.findall("".join(lines[first : first + _BLOCK_ROWS]).encode())
        heads, customers, tails = map(list, zip(*found, strict=True))
        yield Block(places[first : first + _BLOCK_ROWS].tobytes(), customers, heads, tails)
