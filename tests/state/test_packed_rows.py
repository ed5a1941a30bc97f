"""Bytes by row are those that were put there last, and take little more than themselves."""

import random

import pytest

from state.packed_rows import PackedRows


@pytest.mark.parametrize("seed", range(4))
def test_a_row_has_what_was_put_there_last(seed):
    draw = random.Random(seed)
    rows, wanted = PackedRows(), {}
    count = 0
    for step in range(20_000):
        if step % 100 == 0 or not count:
            count += draw.randrange(1, 5)
            rows.make_room(count)
        row = draw.randrange(count)
        wanted[row] = rows[row] = draw.randbytes(draw.choice([0, 1, 17, 17, 17, draw.randrange(300)]))
    assert len(rows) == count
    assert [rows[row] for row in range(count)] == [wanted.get(row) for row in range(count)]
    needed = sum(map(len, wanted.values())) + 8 * count
    assert rows.used_bytes < 1.35 * needed + count + 8_192


def test_other_bytes_of_the_same_length_take_their_place():
    rows = PackedRows()
    rows.make_room(2)
    rows[0], rows[1] = b"first", b"second"
    before = rows.used_bytes
    for _ in range(1_000):
        rows[0] = b"other"
    assert (rows[0], rows[1], rows.used_bytes) == (b"other", b"second", before)
