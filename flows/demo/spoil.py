"""Makes simulated clicks as messy as a real feed: broken messages, deliveries twice over, and late ones."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DUPLICATE_RATE = 0.001
LATE_RATE = 0.0005
LATE_LINES = 200
"""A late event stands this many lines further down: minutes to hours, far beyond the 10 s of lateness allowed."""
BROKEN_EACH = 6

_BROKEN: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: line[: len(line) // 2],
    lambda line: line.replace(b'"customer_id":', b'"cust_no":'),
    lambda line: line.replace(b'"ts":', b'"ts":"').replace(b',"channel"', b'","channel"', 1),
    lambda line: line.replace(b'"stream":"click"', b'"stream":"clickstream"'),
    lambda line: line.replace(b'"event_id":"', b'"event_id":"' + b"x" * 128),
)


@dataclass(frozen=True, slots=True)
class Mess:
    """How many messages were made broken (added), duplicate (added) and late (moved)."""

    broken: int
    duplicates: int
    late: int


def spoil(path: Path, seed: int, spare: Set[bytes]) -> Mess:
    """Rewrites an NDJSON file of clicks in place; the same seed gives the same file.

    Events whose id is in `spare` stay as they are, so that the stories remain what the truth says.
    """
    lines = path.read_bytes().splitlines()
    rng = np.random.default_rng((seed, 7))
    usable = [i for i, line in enumerate(lines[:-LATE_LINES]) if _event_id(line) not in spare]
    wanted = (BROKEN_EACH * len(_BROKEN), round(len(lines) * DUPLICATE_RATE), round(len(lines) * LATE_RATE))
    picked = rng.permutation(usable)[: sum(wanted)].tolist()
    broken = dict(zip(picked[: wanted[0]], _BROKEN * BROKEN_EACH, strict=False))
    twice = set(picked[wanted[0] : wanted[0] + wanted[1]])
    late = set(picked[wanted[0] + wanted[1] :])
    out: list[bytes] = []
    waiting: dict[int, bytes] = {}
    for i, line in enumerate(lines):
        if i in late:
            waiting[i + LATE_LINES] = line
        else:
            out.append(line)
        if i in twice:
            out.append(line)
        if i in broken:
            out.append(broken[i](line))
        if i in waiting:
            out.append(waiting.pop(i))
    path.write_bytes(b"\n".join(out) + b"\n")
    return Mess(len(broken), len(twice), len(late))


def _event_id(line: bytes) -> bytes:
    start = line.find(b'"event_id":"') + 12
    return line[start : line.find(b'"', start)]
