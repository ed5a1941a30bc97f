"""What was acknowledged, as event files for `cem replay`: one for each partition, in its order."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO


class RecordingError(Exception):
    """The folder cannot be used; the message says why."""


class Recording:
    """Writes `TOPIC-PARTITION.ndjson` into a folder that holds no event files yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, int], IO[bytes]] = {}
        self._offsets: dict[tuple[str, int], int] = {}
        self._stack = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.glob("*.ndjson")):
                raise RecordingError(f"{folder}: holds event files of another run; choose another folder")
        except OSError as error:
            raise RecordingError(f"{folder}: cannot be written: {error.strerror or error}") from error

    def write(self, stream: str, topic: str, partition: int, offset: int, message: bytes) -> None:
        """One acknowledged message, an object without `stream`; those of a partition must come in order."""
        place = (topic, partition)
        file = self._files.get(place)
        if file is None:
            path = self._folder / f"{topic}-{partition}.ndjson"
            file = self._files[place] = self._stack.enter_context(path.open("wb", buffering=1 << 20))
        elif offset <= self._offsets[place]:
            raise RecordingError(f"{topic}/{partition}: offset {offset} was acknowledged after {self._offsets[place]}")
        self._offsets[place] = offset
        file.write(b'{"stream":"%b",%b\n' % (stream.encode(), message[1:]))

    def close(self) -> None:
        """All files are complete then."""
        self._stack.close()
