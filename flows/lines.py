"""Lines of NDJSON files, plain, gzip or zstandard, in batches of bounded size."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from flows.plain_lines import PlainBlock
from operators.decode import MAX_LINE_BYTES
from operators.line_buffer import TAIL, LineBuffer

_READ_BYTES = 1 << 18
# A zstandard block can hold 128 KiB in 4 bytes: small helpings bound what one of them can become (64 MiB).
_ZSTD_HELPING_BYTES = 2048


class SourceError(Exception):
    """A file that cannot be read, or not to its end; the message says what, where and how to mend it."""


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Some lines of one file, without their newlines; ``first_line`` counts from 1. Blank lines are among them."""

    file: str
    first_line: int
    lines: Sequence[bytes]


class LineReader:
    """Reads a file's lines, in order, in batches.

    A line ends at a newline byte or at the end of the file. ``.gz`` and ``.zst`` files are unpacked on the way,
    also if they are several such files one after the other.

    Parameters
    ----------
    path
        The file.
    skip_lines
        So many lines are read over, for going on where an earlier reader was.

    Attributes
    ----------
    bytes_read, bytes_total
        Position in the file and its size, both as stored (so compressed), for showing progress.

    Raises
    ------
    SourceError
        It is missing, a folder or may not be read; from ``read_batch`` also if it is cut off or corrupt.
    """

    def __init__(self, path: str | Path, *, skip_lines: int = 0) -> None:
        self.path = os.fsencode(path).decode("utf-8", "replace")  # for people and dead letters: always a real text
        self._file = _open(os.fspath(path))
        about = os.fstat(self._file.fileno())
        self.bytes_total = about.st_size
        self._tells_size = stat.S_ISREG(about.st_mode)
        self.bytes_read = 0
        self._is_packed = self.path.endswith((".gz", ".zst"))
        self._blocks = self._unpacked() if self._is_packed else iter(())
        self._block = b""
        self._block_at = 0  # what of the block went into earlier batches
        self._lines_read = 0
        self._partial: list[bytes] = []  # the start of a line whose newline was not seen yet
        self._partial_bytes = 0
        self._ended = False
        self._trouble = ""  # why the file could not be read to its end
        self._skip_lines = skip_lines

    def read_batch(self, max_bytes: int = 1 << 20) -> RawBatch | None:
        """The next lines, at least one and about ``max_bytes`` of them; null at the end of the file.

        An error is raised only when every whole line before it was handed out.
        """
        while not self._ended:
            batch = self._next_batch(max_bytes) if self._is_packed else self._next_plain(max_bytes)
            if batch is not None:
                return batch
        if self._trouble:
            where = f"after line {self._lines_read}" if self._lines_read else "before the first line"
            raise SourceError(f"{self.path}: {where}: {self._trouble}")
        if self._skip_lines:
            raise SourceError(
                f"{self.path}: has {self._lines_read} lines, fewer than were read before; bring the file back as it "
                "was, or start anew with another --state and --out"
            )
        return None

    def close(self) -> None:
        """Close the file; reading ends."""
        self._ended = True
        self._file.close()

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _next_batch(self, max_bytes: int) -> RawBatch | None:
        """Lines from the next ``max_bytes``; null if no line ended there."""
        pieces: list[bytes] = []
        size = 0
        while size < max_bytes and not self._ended:
            if self._block_at >= len(self._block) and not self._next_block():
                break
            piece = self._block[self._block_at : self._block_at + max_bytes - size]
            self._block_at += len(piece)
            size += len(piece)
            if not pieces:  # nothing has ended the line before
                end = piece.find(b"\n")
                self._add_partial(piece if end < 0 else piece[:end])
                if end < 0:
                    continue
                pieces = [self._take_partial()]
                piece = piece[end:] if end else piece
            pieces.append(piece)
        self._cut_last(pieces)
        if self._ended and not self._trouble and self._partial_bytes:
            pieces += [self._take_partial(), b"\n"]
        return self._batch_of(LineBuffer.of_joined(b"".join([*pieces, TAIL]))) if pieces else None

    def _next_plain(self, max_bytes: int) -> RawBatch | None:
        """As ``_next_batch``, of a file that is not packed."""
        carried = self._take_partial()
        left = self.bytes_total - self.bytes_read if self._tells_size else max_bytes
        try:
            block = PlainBlock(self._file, carried, max_bytes, left)
        except OSError as error:
            self._end(error)
            return None
        self.bytes_read += block.read
        if block.at_end:
            self._end()
        if not block.end:
            self._add_partial(carried)
        self._add_partial(block.rest)
        return self._batch_of(LineBuffer.of_joined(block.lines(MAX_LINE_BYTES + 1))) if block.end else None

    def _batch_of(self, lines: LineBuffer) -> RawBatch | None:
        first_line = self._lines_read + 1
        self._lines_read += len(lines)
        if self._skip_lines:
            skipped = min(self._skip_lines, len(lines))
            self._skip_lines -= skipped
            first_line += skipped
            lines = lines[skipped:]
        return RawBatch(self.path, first_line, lines) if lines else None

    def _cut_last(self, pieces: list[bytes]) -> None:
        """Take what follows the last newline; there is one in the second piece, if there are pieces."""
        after: list[bytes] = []
        while pieces:
            piece = pieces.pop()
            end = piece.rfind(b"\n") + 1
            if end:
                pieces.append(piece[:end])
                after.append(piece[end:])
                break
            after.append(piece)
        for piece in reversed(after):
            self._add_partial(piece)

    def _next_block(self) -> bool:
        try:
            self._block = next(self._blocks)
        except StopIteration:
            self._end()
        except (EOFError, zlib.error, zstandard.ZstdError, OSError) as error:
            self._end(error)
        self._block_at = 0
        return not self._ended

    def _add_partial(self, piece: bytes) -> None:
        # Of a line that is too long so much is kept as tells the decoder.
        room = MAX_LINE_BYTES + 1 - self._partial_bytes
        if piece and room > 0:
            self._partial.append(piece[:room])
            self._partial_bytes += len(self._partial[-1])

    def _take_partial(self) -> bytes:
        line = b"".join(self._partial)
        self._partial.clear()
        self._partial_bytes = 0
        return line

    def _end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._file.close()
        if isinstance(error, EOFError):
            self._trouble = "the file is cut off; copy it again, or unpack what is there and use that"
        elif isinstance(error, OSError):
            self._trouble = f"reading failed ({error.strerror or error}); check the disk and start again"
        elif error is not None:
            kind = "zstandard" if isinstance(error, zstandard.ZstdError) else "gzip"
            self._trouble = (
                f"no {kind} data, or corrupt ({error}); copy the file again, or rename it if it is not packed"
            )

    def _stored(self, size: int) -> Iterator[bytes]:
        while block := self._file.read(size):
            self.bytes_read += len(block)
            yield block

    def _unpacked(self) -> Iterator[bytes]:
        if self.path.endswith(".gz"):
            return _gunzip(self._stored(_READ_BYTES))
        return _unzstd(self._stored(_ZSTD_HELPING_BYTES))


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise SourceError(f"{path}: is a folder; name the files in it one by one") from None
    except PermissionError:
        raise SourceError(f"{path}: may not be read; give the user that runs this the right to (chmod)") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be opened: {error}") from None


def _gunzip(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip members; zeros after the last are padding.

    Raises
    ------
    zlib.error
        The data are corrupt or no gzip.
    EOFError
        They end inside a member, or there are none.
    """
    member = zlib.decompressobj(wbits=31)
    started = finished_one = False
    for data in stored:
        while data:
            if not started and finished_one:
                data = data.lstrip(b"\0")
                if not data:
                    break
            started = True
            block = member.decompress(data, _READ_BYTES)
            if block:
                yield block
            data = member.unconsumed_tail
            if member.eof:
                data = member.unused_data
                member = zlib.decompressobj(wbits=31)
                started, finished_one = False, True
    if started or not finished_one:
        raise EOFError


def _unzstd(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack zstandard frames.

    Raises
    ------
    zstandard.ZstdError
        The data are corrupt or no zstandard.
    EOFError
        They end inside a frame, or there are none.
    """
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    started = finished_one = False
    for data in stored:
        while data:
            started = True
            block = frame.decompress(data)
            if block:
                yield block
            data = b""
            if frame.eof:
                data = frame.unused_data
                frame = decompressor.decompressobj()
                started, finished_one = False, True
    if started or not finished_one:
        raise EOFError
