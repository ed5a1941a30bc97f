"""The events of a step, and the room for what walks hand to Python."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from state.cells import address
from state.log import Words
from state.walk import Records

RECORDS, VALUES = 4_096, 65_536
"""Room for what one walk hands to Python; it goes on where it had to stop."""


class RecordBuffer:
    """Room for what walks hand to Python; may be shared by stores that take turns."""

    def __init__(self) -> None:
        self.events, self.rules, self.starts = (np.empty(RECORDS, np.int64) for _ in range(3))
        self.kinds, self.integers, self.doubles = (
            np.empty(VALUES, np.int64),
            np.empty(VALUES, np.int64),
            np.empty(VALUES),
        )
        self.counters = np.zeros(2, np.int64)
        self.addresses = Records(
            address(self.events), address(self.rules), address(self.starts), address(self.kinds),
            address(self.integers),
            address(self.doubles), address(self.counters), RECORDS, VALUES,
        )  # fmt: skip


class Events:
    """Events of one shard in processing order, ready for the kernels.

    ``entities``: kinds, integers and doubles of entities' features, [n, features] each.
    """

    def __init__(
        self, effective_ms: Words, ts_ms: Words, stream: NDArray[np.uint8], signature: Words,
        masks: NDArray[np.uint64], words: Words, hashes: NDArray[np.uint64], rows: Words,
        entities: tuple[Words, Words, NDArray[np.float64]],
    ) -> None:  # fmt: skip
        self.effective_ms, self.ts_ms, self.stream, self.signature = effective_ms, ts_ms, stream, signature
        self.masks, self.words, self.hashes, self.rows = masks, words, hashes, rows
        self.entity_kind, self.entity_integer, self.entity_double = entities

    def __len__(self) -> int:
        return len(self.rows)
