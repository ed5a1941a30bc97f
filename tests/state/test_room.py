"""Room grows and shrinks with what is in it, mapped or not, watched or not."""

import pytest

from state.room import Room, SpareRoom


@pytest.mark.parametrize("shape", [(), (4,)])
def test_a_room_keeps_what_is_in_it_and_is_zero_beyond(shape):
    room = Room(10, shape)
    room.cells[:] = 7
    for length in (100, 9_000, 50_000, 700_000, 40_000, 30, 10):
        room.resize(length)
        assert room.cells.shape == (length, *shape)
        assert (room.cells[:10] == 7).all()
        assert not room.cells[10:].any()


def test_an_array_that_somebody_looks_at_stays_as_it_is():
    room = Room(100_000)
    room.cells[:5] = 1, 2, 3, 4, 5
    seen = room.cells
    room.resize(200_000)
    room.cells[0] = 9
    assert seen[:5].tolist() == [1, 2, 3, 4, 5]
    assert len(seen) == 100_000
    assert room.cells[:6].tolist() == [9, 2, 3, 4, 5, 0]
    room.resize(300_000)
    assert room.cells[:3].tolist() == [9, 2, 3]


def test_a_system_that_cannot_grow_a_mapping_copies(monkeypatch):
    monkeypatch.setattr("state.room.mmap.mmap", _Fixed)
    room = Room(100_000)
    room.cells[99_999] = 5
    room.resize(100_001)
    assert room.cells[99_998:].tolist() == [0, 5, 0]


class _Fixed(bytearray):
    """A mapping that cannot change its size."""

    def __new__(cls, handle, size, flags):
        return super().__new__(cls, size)

    def __init__(self, handle, size, flags):
        super().__init__(size)

    def resize(self, size):
        raise SystemError("mmap: resizing not available")

    def madvise(self, advice):
        pass


def test_what_one_leaves_another_takes():
    spare = SpareRoom()
    for _ in range(3):
        spare.join()
    first, second = spare.take(100_000), spare.take(50)
    assert (len(first.cells), len(second.cells)) == (100_000, 50)
    spare.leave(first, 1)
    again = spare.take(120_000)
    assert again is first
    assert len(again.cells) == 120_000
    assert spare.take(10) is not first


def test_once_all_have_moved_nothing_is_kept():
    spare, rooms = SpareRoom(), [Room(100_000) for _ in range(6)]
    movers = [spare.join(), spare.join()]
    for again, first, second in (rooms[:3], rooms[3:]):
        for room in (again, first):  # one moves twice
            spare.leave(room, movers[0])
            assert spare.take(1) is room
        spare.leave(second, movers[1])
        assert spare.take(1) is not second
