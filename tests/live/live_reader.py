"""A reader of the live engine as a test turns it, without the rest of the flow."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flows.live.positions import Positions, Snapshot, merged
from flows.live.reader import KafkaReader
from flows.live.source import ReaderSettings
from flows.live.watermarks import EngineClock
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder
from operators.delivery import Delivery
from operators.read_columns import ColumnReader
from rules.model import STREAMS
from rules.plan import ColumnLayout

LATENESS = 500
WITHIN_SECONDS = 30.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event(event_id: str, ts: int | None = None, customer_id: str = "C1", **fields: Any) -> bytes:
    found = {"event_id": event_id, "customer_id": customer_id, "ts": now_ms() if ts is None else ts} | fields
    return json.dumps(found, ensure_ascii=False).encode()


class RecordedMeter:
    """What a reader said of itself last."""

    def __init__(self) -> None:
        self.turns = 0
        self.lags: dict[tuple[str, int], int] = {}
        self.missing: Sequence[str] | None = None
        self.unreachable: Sequence[str] | None = None

    def turned(self) -> None:
        self.turns += 1

    def epoch_ends(self) -> None:
        pass

    def lag(self, topic: str, partition: int, messages: int) -> None:
        self.lags[topic, partition] = messages

    def watermark(self, delay_seconds: float) -> None:
        pass

    def assigned(self, missing: Sequence[str], unreachable: Sequence[str]) -> None:
        self.missing, self.unreachable = missing, unreachable


class Reading:
    """A reader, and what it has given so far.

    ``others``: the watermarks of the other readers, by their numbers, as the shards were told them.
    """

    def __init__(
        self, bootstrap: str, topics: Mapping[str, str], after: Sequence[Snapshot] = (), *, number: int = 0,
        readers: int = 1, **settings: Any,
    ) -> None:  # fmt: skip
        layout = ColumnLayout()
        decoder = Decoder({}, lateness_ms=settings.get("lateness_ms", LATENESS), max_jump_ms=0, annotate=None)
        found = {
            "group": "cem-tests", "options": {"log_level": 0}, "lateness_ms": LATENESS, "idle_ms": 60_000,
            "poll_ms": 10, "max_ahead_ms": 0, "refresh_seconds": 0.1, "archive": True,
        }  # fmt: skip
        self.settings = ReaderSettings(bootstrap=bootstrap, topics=topics, readers=readers, **(found | settings))
        self.positions: Positions = merged(after)
        self.engine, self.meter, self.stop = EngineClock(readers), RecordedMeter(), threading.Event()
        self.number, self.ahead_ms = number, 0
        self.ids: list[str] = []
        self.streams: list[str] = []
        self.effective_ms: list[int] = []
        self.letters: list[dict[str, Any]] = []
        self.archive: list[bytes] = []
        self.watermarks: list[int] = []
        columns = ColumnReader({}, decoder, Columniser(layout, ColumnMasks([]), (1, 2)))
        self.reader = KafkaReader(
            number, self.settings, columns, self.positions, self.engine, self.meter, self.stop,
            lambda: now_ms() + self.ahead_ms,
        )  # fmt: skip
        self._closed = False

    def told(self, reader: int, watermark_ms: int, *, idle: bool = False) -> None:
        """The shards hear of another reader."""
        self.engine.received([Delivery(reader, watermark_ms, watermark_ms, None, idle=idle)])

    def turn(self) -> None:
        for batch in self.reader.next_batch():
            for part in batch.events:
                self.ids += [part.event_id.bytes_at(i).decode() for i in range(len(part))]
                self.streams += [STREAMS[code] for code in part.stream.tolist()]
                self.effective_ms += part.effective_ms.tolist()
            self.letters += map(json.loads, batch.dead_letters)
            self.archive += batch.archive
            self.watermarks.append(batch.watermark_ms)
            self.told(self.number, batch.watermark_ms, idle=batch.idle)

    def until(self, holds: Callable[[], Any], what: str = "what was waited for did not come") -> None:
        last = time.monotonic() + WITHIN_SECONDS
        while not holds():
            assert time.monotonic() < last, (what, len(self.ids), self.letters[-3:], self.meter.missing)
            self.turn()
            time.sleep(0.005)

    def turns(self, count: int) -> None:
        """So many turns at least, ten milliseconds apart."""
        self.until(lambda last=self.meter.turns + count: self.meter.turns >= last)

    def snapshot(self) -> Snapshot:
        return self.reader.snapshot()

    def next_offset(self, topic: str, number: int = 0) -> int | None:
        """What would be in a snapshot, without taking one: each of them commits."""
        partition = self.reader._partitions.get((topic, number))
        return None if partition is None else partition.next_offset

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.reader.close()
