"""What every kind of model does: score, then learn, row after row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from state.model_rows import ModelRows, Scored


class Learner(Protocol):
    """A model's memory and arithmetic.

    What it answers depends on the rows and their order only, not on how they are cut into batches.
    """

    def take(self, rows: ModelRows, *, learns: bool = True) -> Scored:
        """Score the events among the rows, each before anything is learned from it or what follows.

        ``learns``: false for a model that is frozen.
        """

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """What changed since the last call, or all, as buffers by name."""

    def restore(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Take the state from files, the oldest first: one that held everything and those after it."""

    @property
    def used_bytes(self) -> int:
        """Bytes of what is remembered."""
