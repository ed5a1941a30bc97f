"""One file of a shard's recovery state: a frame of named sections under a header, with a checksum over everything.

Layout, integers little-endian::

    magic (8 bytes) | format (u32) | length of the header (u32)
    header: JSON, filled up with spaces to a multiple of 8 bytes
    sections, each at a multiple of 8 bytes, zeros between them
    checksum: XXH3 of all that came before (16 bytes)

XXH3 finds what disks and people damage by accident, at the speed of memory. Files of format 1 have BLAKE2b in its
place, which took as long as writing the file; else they are the same.

Every file has an id of its own, and names the id of the file before it. So a file that is lost, or comes from another
run or folder, is noticed; and as the id stays when a file's contents are replaced, the chain stays whole.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np
import xxhash

from state.disk import CHUNK_BYTES, RESTORE, Disk, StateError, explained, read_chunks

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Checksum(Protocol):
    """As those of ``hashlib``."""

    def update(self, data: ReadableBuffer, /) -> None:
        """Go on with more bytes."""

    def digest(self) -> bytes:
        """Of all bytes so far."""


FORMAT = 2
"""Of the state folder and the files in it. A change that older programs cannot read takes the next number."""
OLDEST_FORMAT = 1
"""Which is still read. A folder may have files of several, as what an older program wrote stays."""

_MAGIC = b"CEMSTATE"
_PREFIX = struct.Struct("<8sII")
_ALIGN = 8
_DIGEST_BYTES = 16


class Header(msgspec.Struct, frozen=True):
    """What a file says about itself; `sections` are (name, offset behind the header, length), in bytes."""

    shard: str
    version: int
    is_base: bool
    id: str
    previous_version: int
    previous_id: str
    sections: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A file that was read and is what was written: `sections` are read-only, 8-byte aligned, and stay valid."""

    header: Header
    sections: dict[str, memoryview]
    bytes: int

    @property
    def version(self) -> int:
        """The version of the state that is reached with this frame."""
        return self.header.version

    @property
    def is_base(self) -> bool:
        """Whether the frame holds everything, and not only what changed since the version before."""
        return self.header.is_base


def _raw(data: ReadableBuffer) -> memoryview:
    # Unlike ``memoryview.cast``, takes arrays of any type and shape, empty ones too; without a copy.
    return pickle.PickleBuffer(data).raw()


def _padding(length: int) -> int:
    return -length % _ALIGN


def lay_out(sections: Mapping[str, ReadableBuffer]) -> tuple[tuple[str, int, int], ...]:
    """Where each section goes: (name, offset behind the header, length), in bytes."""
    placed, offset = [], 0
    for name, data in sections.items():
        length = _raw(data).nbytes
        placed.append((name, offset, length))
        offset += length + _padding(length)
    return tuple(placed)


def pieces(header: Header, sections: Mapping[str, ReadableBuffer]) -> Iterator[memoryview]:
    """The bytes of a file, in order, the caller's buffers among them; `header` lays them out as `lay_out` says."""
    encoded = msgspec.json.encode(header)
    encoded += b" " * _padding(len(encoded))
    checksum = _checksum(FORMAT)
    front = _PREFIX.pack(_MAGIC, FORMAT, len(encoded)) + encoded
    for whole in (front, *sections.values()):
        view = _raw(whole)
        for start in range(0, len(view), CHUNK_BYTES):
            chunk = view[start : start + CHUNK_BYTES]
            checksum.update(chunk)
            yield chunk
        if gap := bytes(_padding(len(view))):
            checksum.update(gap)
            yield memoryview(gap)
    yield memoryview(checksum.digest())


def _damaged(path: Path, what: str) -> StateError:
    return StateError(path, what, RESTORE)


def _checksum(file_format: int) -> Checksum:
    """Begin the checksum of a file."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES) if file_format == 1 else xxhash.xxh3_128()


def _length_and_checksum(path: Path, front: bytes | memoryview, size: int) -> tuple[int, Checksum]:
    """The length of the header and the checksum to go on with, by a file's first bytes, if it is one of ours."""
    if size < _PREFIX.size + _DIGEST_BYTES or len(front) < _PREFIX.size:
        raise _damaged(path, f"the file is cut short, {size} bytes")
    magic, found, length = _PREFIX.unpack_from(front)
    if magic != _MAGIC:
        raise _damaged(path, "this is no state file, or it is damaged")
    if not OLDEST_FORMAT <= found <= FORMAT:
        raise StateError(
            path,
            f"the file has format {found}, this program reads formats {OLDEST_FORMAT} to {FORMAT}",
            f"use the release that wrote it, or {RESTORE}",
        )
    if length > size - _PREFIX.size - _DIGEST_BYTES:
        raise _damaged(path, "the file is cut short or damaged")
    return int(length), _checksum(found)


def _decode(path: Path, encoded: bytes | memoryview) -> Header:
    try:
        return msgspec.json.decode(encoded, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, f"the header cannot be read: {error}") from error


def read_frame(disk: Disk, path: Path) -> Frame:
    """Read a whole file and check it against its checksum.

    Raises
    ------
    StateError
        It is missing, damaged, or not a state file of this format.
    """
    with explained(path, "read the file"):
        file = disk.open(path)
        try:
            whole = np.empty(disk.size(file), np.uint8).data  # aligned, and not filled with zeros first
            for _ in read_chunks(disk, file, whole):
                pass
        finally:
            disk.close(file)
    whole = whole.toreadonly()
    length, checksum = _length_and_checksum(path, whole, len(whole))
    checksum.update(whole[:-_DIGEST_BYTES])
    if checksum.digest() != whole[-_DIGEST_BYTES:]:
        raise _damaged(path, "the contents do not match the checksum: damaged or cut short")
    body = _PREFIX.size + length
    header = _decode(path, whole[_PREFIX.size : body])
    sections = {name: whole[body + offset : body + offset + size] for name, offset, size in header.sections}
    return Frame(header, sections, len(whole))


def read_header(disk: Disk, path: Path) -> tuple[Header, int]:
    """Read only what a file says about itself, unchecked, for inspection; and its bytes.

    Raises
    ------
    StateError
        It is missing, or is visibly no state file of this format.
    """
    with explained(path, "read the file"):
        file = disk.open(path)
        try:
            size = disk.size(file)
            front = memoryview(bytearray(min(size, _PREFIX.size)))
            read = sum(map(len, read_chunks(disk, file, front)))
            encoded = memoryview(bytearray(_length_and_checksum(path, front[:read], size)[0]))
            read = sum(map(len, read_chunks(disk, file, encoded)))
        finally:
            disk.close(file)
    return _decode(path, encoded[:read]), size
