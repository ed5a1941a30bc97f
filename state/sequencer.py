"""How far several inputs have come in event time."""

from __future__ import annotations

BEFORE_ALL_MS = -1
AFTER_ALL_MS = 1 << 62
"""The watermark of an input that is finished."""


class Frontier:
    """The lowest watermark over a fixed number of inputs: everything below it has arrived."""

    def __init__(self, inputs: int) -> None:
        self._watermarks = [BEFORE_ALL_MS] * inputs
        self.ms = BEFORE_ALL_MS

    def advance(self, source: int, watermark_ms: int) -> None:
        """Note an input's watermark, which never falls."""
        if watermark_ms > self._watermarks[source]:
            self._watermarks[source] = watermark_ms
            self.ms = min(self._watermarks)

    @property
    def watermarks(self) -> list[int]:
        """The inputs' watermarks."""
        return list(self._watermarks)

    def restore(self, watermarks: list[int]) -> None:
        """Take the watermarks of an earlier run."""
        self._watermarks = list(watermarks)
        self.ms = min(self._watermarks)
