"""Loads what a replay read and wrote into the tables of `sinks.clickhouse`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flows.replay import ACTIONS, DEAD_LETTERS
from sinks.clickhouse import Tables


def load(tables: Tables, events: Sequence[Path], decisions: Path, progress: Callable[[int], None]) -> dict[str, int]:
    """Loads event files and a replay's output folder; returns the rows by table.

    `progress` is called with the number of bytes of the event files read since the last call. Lines that the replay
    called dead letters are left out of the events. Duplicates collapse in the table, as they did in the replay.
    """
    dead = _dead_lines(decisions / DEAD_LETTERS)
    rows = {"events": sum(tables.insert_events(_live_lines(path, dead[str(path)], progress)) for path in events)}
    with (decisions / ACTIONS).open("rb") as file:
        rows["decisions"] = tables.insert_decisions(file)
    with (decisions / DEAD_LETTERS).open("rb") as file:
        rows["dead_letters"] = tables.insert_dead_letters(file)
    return rows


def _dead_lines(path: Path) -> defaultdict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    with path.open("rb") as file:
        for line in file:
            source, _, number = json.loads(line)["source"].rpartition(":")
            found[source].add(int(number))
    return found


def _live_lines(path: Path, dead: set[int], progress: Callable[[int], None]) -> Iterator[bytes]:
    read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            read += len(line)
            if number % 10_000 == 0:
                progress(read)
                read = 0
            if number not in dead:
                yield line
    progress(read)
