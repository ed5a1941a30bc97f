"""Event files as a topic keyed by customer would hold them: all streams in one, in order of time.

Neither the Bytewax flow nor Flink SQL orders a customer's events over several sources by itself, so that the files they
are compared on come ordered. The engine takes the same files; in any order of them it would decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import msgspec

from rules.model import STREAMS

_RANK = {stream: rank for rank, stream in enumerate(STREAMS)}


class _Head(msgspec.Struct, gc=False):
    stream: str
    ts: int
    event_id: str
    customer_id: str


def write_customer_files(events: Iterable[Path], folder: Path, partitions: int) -> list[Path]:
    """Write the lines of all ``events`` files into so many new ones in ``folder``, and return their paths.

    Each customer's events are in one of them, in the engine's order (time, stream, id). All lines are held in memory.

    Raises
    ------
    msgspec.DecodeError
        A line that is no event.
    """
    decode = msgspec.json.Decoder(_Head).decode
    rows = []
    for path in events:
        for line in path.read_bytes().splitlines():
            head = decode(line)
            rows.append((head.ts, _RANK[head.stream], head.event_id, head.customer_id, line))
    rows.sort()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number}.ndjson" for number in range(partitions)]
    for number, path in enumerate(paths):
        lines = [row[4] for row in rows if crc32(row[3].encode()) % partitions == number]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    return paths
