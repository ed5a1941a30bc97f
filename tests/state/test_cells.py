"""Where arrays begin, however it is found out."""

import mmap

import numpy as np
import pytest

from state import cells

WHOLE = np.arange(60, dtype=np.int64).reshape(10, 6)
READ_ONLY = np.frombuffer(b"0123456789", np.uint8)
ARRAYS = {
    "whole": WHOLE,
    "rows": WHOLE[3:7],
    "one cell": WHOLE[4, 5:],
    "bytes": READ_ONLY,
    "part of bytes": READ_ONLY[3:],
    "nothing": np.empty(0),
    "no columns": np.empty((7, 0)),
    "shared memory": np.frombuffer(mmap.mmap(-1, 4096), np.float64)[8:],
    "structured": np.zeros(3, [("a", np.int64), ("b", np.uint8)])[1:],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_begins_where_its_interface_says(name):
    array = ARRAYS[name]
    begin = array.__array_interface__["data"][0]
    assert cells._by_layout(array) == cells._by_interface(array) == cells.address(array) == begin


def test_an_array_with_gaps_is_refused():
    with pytest.raises(AssertionError):
        cells.address(WHOLE[:, 1:])
