"""Columns of byte strings."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.texts import Texts

strings = st.lists(st.text(max_size=6) | st.sampled_from(["\0", "a\0b", "", "转账", "C0000001"]), max_size=12)


def content(texts):
    return [texts.bytes_at(i) for i in range(len(texts))]


@given(strings)
def test_strings_and_lines_there_and_back(values):
    encoded = [value.encode() for value in values]
    for texts in (Texts.from_strings(values), Texts.from_lines(encoded), Texts.from_lines(encoded, b"|".join(encoded))):
        assert content(texts) == encoded
        assert (texts.buffer.dtype, texts.starts.dtype, texts.lengths.dtype) == (np.uint8, np.int64, np.int32)


@given(strings, strings, st.data())
def test_parts_are_what_lists_have(first, second, data):
    both = [value.encode() for value in first + second]
    texts = Texts.concat([Texts.from_strings(first), Texts.from_strings(second)])
    assert content(texts) == both
    start, end = (data.draw(st.integers(0, len(both))) for _ in range(2))
    part = texts[start:end]
    assert content(part) == both[start:end]
    order = np.array(data.draw(st.permutations(range(len(part)))), np.int64)
    taken = part.take(order)
    assert content(taken) == [both[start:end][i] for i in order]
    for own in (taken.compact(), pickle.loads(pickle.dumps(taken))):
        assert content(own) == content(taken)
        assert len(own.buffer) == sum(own.lengths)


def test_views_share_the_buffer_and_nobody_writes_to_it():
    texts = Texts.from_strings(["a", "bc"])
    assert texts[1:].buffer is texts.buffer
    for one in (texts, texts.compact(), pickle.loads(pickle.dumps(texts))):
        with pytest.raises(ValueError, match="read-only"):
            one.buffer[0] = 0


def test_a_pickle_holds_its_own_strings_only():
    texts = Texts.from_strings(["x" * 10_000, "short"])
    assert len(pickle.dumps(texts[1:])) < 1000
