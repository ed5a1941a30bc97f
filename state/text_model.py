"""The text classifier as it is kept: a file of the features that it knows, and the table that kernels read."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.text_kernels import CLASSES

_MAGIC = b"cem-text-model 1\n"
_LENGTHS = struct.Struct("<II")
_LEAST_BITS, _MOST_BITS = 8, 24
_MOST_BYTES = 1 << 29


class TextModelError(ValueError):
    """A model file that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class TextModel:
    """A linear classifier over hashed features, for the classes negative, positive, neutral.

    ``bits``: places are below ``2**bits``; ``places``: of the features known, ascending; ``values``: their idf and
    three weights, as 16-bit floats; ``dense_weights``: by dense value and class; ``offsets`` are added to the scores
    for the decision; ``about``: what it was made from, as JSON would have it.
    """

    bits: int
    places: NDArray[np.uint32]
    values: NDArray[np.float16]
    dense_weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    offsets: NDArray[np.float64]
    about: dict[str, Any]

    def table(self) -> NDArray[np.float32]:
        """By place: idf and three weights, zero where nothing is known."""
        table = np.zeros((1 << self.bits, 1 + CLASSES), np.float32)
        table[self.places] = self.values
        return table

    def to_bytes(self) -> bytes:
        """The file's content; the same model gives the same bytes."""
        header = {
            "bits": self.bits, "features": len(self.places), "dense": self.dense_weights.tolist(),
            "bias": self.bias.tolist(), "offsets": self.offsets.tolist(), "about": self.about,
        }  # fmt: skip
        head = json.dumps(header, ensure_ascii=False, sort_keys=True).encode()
        gaps = np.diff(self.places.astype(np.int64), prepend=0).astype("<u4")
        body = zlib.compress(gaps.tobytes() + self.values.T.astype("<f2").tobytes(), 9)
        return _MAGIC + _LENGTHS.pack(len(head), zlib.crc32(head + body)) + head + body

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> TextModel:
        """Read a file's content; ``name`` is for messages.

        Raises
        ------
        TextModelError
            It is no model, was damaged, or is of another format.
        """
        begin = len(_MAGIC) + _LENGTHS.size
        if not content.startswith(_MAGIC) or len(content) < begin:
            raise TextModelError(f"{name}: no text model of this version (make one with `cem text train`)")
        length, checksum = _LENGTHS.unpack(content[len(_MAGIC) : begin])
        if zlib.crc32(content[begin:]) != checksum:
            raise TextModelError(f"{name}: the text model is damaged: its checksum is wrong")
        try:
            return cls._read(json.loads(content[begin : begin + length]), content[begin + length :])
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise TextModelError(f"{name}: no usable text model: {error}") from error

    @classmethod
    def _read(cls, header: dict[str, Any], body: bytes) -> TextModel:
        bits, count = int(header["bits"]), int(header["features"])
        if not _LEAST_BITS <= bits <= _MOST_BITS or not 0 <= count <= 1 << bits:
            raise ValueError(f"{count} features of {bits} bits")
        raw = zlib.decompressobj().decompress(body, _MOST_BYTES)
        places = np.cumsum(np.frombuffer(raw, "<u4", count), dtype=np.int64)
        values = np.frombuffer(raw, "<f2", (1 + CLASSES) * count, 4 * count).reshape(1 + CLASSES, count).T
        numbers = [np.array(header[name], np.float64) for name in ("dense", "bias", "offsets")]
        dense, bias, offsets = numbers
        if dense.ndim != 2 or dense.shape[1] != CLASSES or bias.shape != (CLASSES,) or offsets.shape != (CLASSES,):
            raise ValueError("weights of another shape")
        if not all(np.isfinite(array).all() for array in (*numbers, values)):
            raise ValueError("a weight that is no finite number")
        if count and (places[-1] >= 1 << bits or (np.diff(places) <= 0).any()):
            raise ValueError("a feature beyond the table")
        kept = np.ascontiguousarray(values.astype(np.float16))
        return cls(bits, places.astype(np.uint32), kept, dense, bias, offsets, dict(header["about"]))

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.to_bytes())


def load_text_model(path: Path) -> TextModel:
    """Read a model's file.

    Raises
    ------
    TextModelError
        The file cannot be read or is no model.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TextModelError(f"{path}: cannot read the text model: {error.strerror or error}") from error
    return TextModel.from_bytes(content, str(path))
