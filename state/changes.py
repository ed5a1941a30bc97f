"""Which rows of a store changed since they were last written to disk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from state.log import Words
from state.row_index import RowIndex
from state.texts import Texts


class Changes:
    """Notes rows that changed and ids whose rows were removed."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._rows: list[Words] = []
        self._removed: list[tuple[NDArray[np.uint64], Texts]] = []

    def note(self, rows: Words) -> None:
        """Some rows changed; one may be among them often."""
        self._rows.append(rows)

    def note_removed(self, rows: Words) -> None:
        """Some rows are about to be removed."""
        self._removed.append((self._index.hashes[rows], self._index.ids_of(rows).compact()))

    def take(self, *, everything: bool = False) -> tuple[Words, tuple[NDArray[np.uint64], Texts]]:
        """The rows that changed (or all there are) and are still there, ascending; hashes and ids of the removed ones.

        From now on changes are noted anew.
        """
        if everything:
            rows = np.arange(len(self._index))
        else:
            changed = np.zeros(len(self._index.places), np.bool_)
            for some in self._rows:
                changed[some] = True
            rows = np.flatnonzero(changed)
        rows = rows[self._index.places[rows] >= 0]
        hashes, ids = [np.empty(0, np.uint64)], [Texts.from_lines([])]
        if not everything:
            hashes += [of for of, _ in self._removed]
            ids += [of for _, of in self._removed]
        self._rows, self._removed = [], []
        return rows, (np.concatenate(hashes), Texts.concat(ids).compact())
