"""Packed values come back equal, of the same types, in less room."""

from __future__ import annotations

import marshal

from hypothesis import given
from hypothesis import strategies as st

from state import packing
from state.packing import Packer

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def holding(number):
    return {"holding_id": f"H-{number}", "kind": "fund", "amount": 1000.5 + number, "matures_on": "2026-01-21"}


@given(st.lists(st.lists(values, max_size=4).map(tuple), max_size=4))
def test_what_is_packed_comes_back(profiles):
    packer = Packer()
    packed = [packer.pack(profile) for profile in profiles]
    assert [repr(packer.unpack(one)) for one in packed] == [repr(profile) for profile in profiles]


def test_names_are_kept_once():
    packer = Packer()
    profiles = [("gold", [holding(2 * i), holding(2 * i + 1)]) for i in range(10)]
    assert sum(len(packer.pack(p)) for p in profiles) < 0.75 * sum(len(marshal.dumps(p)) for p in profiles)


def test_names_without_end_fill_no_memory(monkeypatch):
    monkeypatch.setattr(packing, "MAX_SHAPES", 3)
    packer = Packer()
    profiles = [([{f"name-{i}": i}],) for i in range(10)]
    packed = [packer.pack(profile) for profile in profiles]
    assert [packer.unpack(one) for one in packed] == profiles
    assert len(packer.shapes) == 3
