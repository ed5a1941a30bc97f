"""The file of a text model."""

import json
import zlib

import numpy as np
import pytest

from state.text_kernels import CLASSES, DENSE_VALUES, FEATURES_PER_CODE_POINT, gather
from state.text_model import _LENGTHS, _MAGIC, TextModel, TextModelError, load_text_model


def model(places=(3, 7, 255), bits=8):
    values = np.arange(4 * len(places), dtype=np.float16).reshape(-1, 4) / 8
    dense = np.linspace(-1, 1, DENSE_VALUES * CLASSES).reshape(-1, CLASSES)
    return TextModel(
        bits, np.array(places, np.uint32), values, dense, np.array([0.1, 0.2, 0.3]), np.zeros(3), {"texts": 5}
    )


@pytest.mark.parametrize("places", [(), (0,), (3, 7, 255)])
def test_what_is_written_is_read(places, tmp_path):
    made = model(places)
    made.save(tmp_path / "m")
    found = load_text_model(tmp_path / "m")
    assert found.to_bytes() == made.to_bytes()
    assert found.about == {"texts": 5}
    assert np.array_equal(found.table(), made.table())
    assert found.table()[list(places)].tolist() == made.values.tolist()


def test_any_byte_that_changes_is_noticed():
    content = model().to_bytes()
    for at in range(0, len(content), 7):
        wrong = bytearray(content)
        wrong[at] ^= 1
        with pytest.raises(TextModelError, match="m: "):
            TextModel.from_bytes(bytes(wrong), "m")


@pytest.mark.parametrize("length", [0, 5, 20, 60, -1])
def test_a_part_of_a_file_is_refused(length):
    with pytest.raises(TextModelError):
        TextModel.from_bytes(model().to_bytes()[:length], "m")


def forged(change, body=None):
    """A file with a right checksum and a header that is not."""
    content = model().to_bytes()
    begin = len(_MAGIC) + _LENGTHS.size
    length, _ = _LENGTHS.unpack(content[len(_MAGIC) : begin])
    head = json.dumps(json.loads(content[begin : begin + length]) | change).encode()
    body = content[begin + length :] if body is None else body
    return _MAGIC + _LENGTHS.pack(len(head), zlib.crc32(head + body)) + head + body


@pytest.mark.parametrize(
    "content",
    [
        forged({"bits": 60}), forged({"features": 10**9}), forged({"features": 4}), forged({"bias": [1]}),
        forged({"dense": [1, 2]}), forged({"offsets": [1, 2, float("nan")]}), forged({}, b"x"), forged({"bits": None}),
        forged({}, zlib.compress(np.array([3, 4, 250], "<u4").tobytes() + bytes(24))),
        forged({}, zlib.compress(np.array([3, 0, 1], "<u4").tobytes() + bytes(24))),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_refused(content):
    with pytest.raises(TextModelError):
        TextModel.from_bytes(content, "m")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TextModelError, match="nothing"):
        load_text_model(tmp_path / "nothing")


def features(text, lengths, bits=20):
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.empty(FEATURES_PER_CODE_POINT * len(points), np.int64)
    return places[: gather(points, np.array(lengths, np.int64), bits, places)]


def test_features_are_the_n_grams_each_once():
    # ab: a, b, ab; words a, b with their pairs
    assert len(features("ab", [1, 1])) == 3 + 4
    # characters: a, aa, aaa; words: the first pair has nothing before it
    assert len(features("aaaa", [1, 1, 1, 1])) == 3 + 1 + 2
    assert len(features("", [])) == 0
    found = features("今天天气不错", [2, 2, 2])
    assert (np.diff(found) > 0).all()
    assert found.max() < 1 << 20
    assert features("今天天气不错", [1, 1, 2, 2]).tolist() != found.tolist()
