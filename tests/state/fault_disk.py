"""A file system in memory that stops, forgets, lies, fills up and decays, as a seed has it."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from state.disk import Disk

ROOT = Path("/disk")


class StopError(BaseException):
    """The process ends here; as it would for real, past every handler of errors."""


@dataclass(eq=False)
class Node:
    """A file or folder: its contents as processes see them, and as they are on the disk."""

    is_folder: bool = False
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""

    def after_power_loss(self, rng: random.Random) -> bytes:
        """What may be left of contents that were not fsynced."""
        seen = bytes(self.data)
        if seen == self.durable:
            return seen
        cut, other = sorted((rng.randint(0, len(seen)), rng.randint(0, len(seen))))
        zeros = seen[:cut] + bytes(other - cut) + seen[other:]
        return rng.choice([self.durable, seen, seen[:cut], bytes(len(seen)), zeros])


@dataclass
class Handle:
    """An open file, and how far it is read."""

    path: Path
    node: Node
    position: int = 0


class FaultDisk(Disk):
    """Keeps what processes see apart from what a loss of power leaves."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names: dict[Path, Node] = {ROOT: Node(is_folder=True)}
        self.durable_names = dict(self.names)
        self.pending: list[tuple[Path, dict[Path, Node | None]]] = []
        self.handles: dict[int, Handle] = {}
        self.locked: dict[Path, int] = {}
        self.next_handle = 3
        self.steps_left: int | None = None
        self.free_bytes: int | None = None
        self.read_only = False
        self.lies = 0.0
        """How often an fsync does nothing."""

    # What goes wrong.

    def kill(self) -> None:
        """The process ends, the machine goes on."""
        self.handles.clear()
        self.locked.clear()
        self.steps_left = None

    def lose_power(self) -> None:
        """The machine ends: of what was not fsynced, any part may be there."""
        self.kill()
        names = dict(self.durable_names)
        for _, changes in self.pending:
            if self.rng.random() < 0.5:
                self._apply(names, changes)
        self.pending = []
        names = {path: node for path, node in names.items() if path == ROOT or path.parent in names}
        names = {path: node for path, node in names.items() if path == ROOT or path.parent in names}
        for node in names.values():
            node.data = bytearray(node.after_power_loss(self.rng))
            node.durable = bytes(node.data)
        self.names, self.durable_names = names, dict(names)

    def damage(self, folder: Path) -> str:
        """Something happens to a file of the folder; what."""
        paths = sorted(path for path, node in self.names.items() if path.parent == folder and node.data)
        if not paths:
            return "nothing"
        path = self.rng.choice(paths)
        kind = self.rng.choice(["flip", "flip", "remove", "cut", "zeros", "grow", "mix"])
        data = self.names[path].data
        at = self.rng.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << self.rng.randrange(8)
        elif kind == "remove":
            del self.names[path]
        elif kind == "cut":
            del data[at:]
        elif kind == "zeros":
            data[at:] = bytes(len(data) - at)
        elif kind == "grow":
            data += data[at:]
        else:
            data[:] = self.names[self.rng.choice(paths)].data
        for node in self.names.values():
            node.durable = bytes(node.data)
        self.durable_names = dict(self.names)
        self.pending = []
        return f"{kind} {path.name}"

    def _step(self, *, changes: bool = True) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise StopError
        if self.read_only and changes:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    @staticmethod
    def _apply(names: dict[Path, Node], changes: dict[Path, Node | None]) -> None:
        for path, node in changes.items():
            if node is None:
                names.pop(path, None)
            else:
                names[path] = node

    def _change(self, folder: Path, changes: dict[Path, Node | None]) -> None:
        self._apply(self.names, changes)
        self.pending.append((folder, changes))

    def _node(self, path: Path) -> Node:
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.names[path]

    def _handle(self, path: Path, node: Node) -> int:
        self.next_handle += 1
        self.handles[self.next_handle] = Handle(path, node)
        return self.next_handle

    # What a disk does.

    def make_folder(self, path: Path) -> bool:
        if path in self.names:
            return False
        self._step()
        assert self._node(path.parent).is_folder
        self._change(path.parent, {path: Node(is_folder=True)})
        return True

    def list_folder(self, path: Path) -> list[str]:
        assert self._node(path).is_folder
        return sorted(name.name for name in self.names if name.parent == path)

    def is_folder(self, path: Path) -> bool:
        return path == ROOT.parent or (path in self.names and self.names[path].is_folder)

    def create(self, path: Path) -> int:
        self._step()
        assert self._node(path.parent).is_folder
        node = Node()
        self._change(path.parent, {path: node})
        return self._handle(path, node)

    def open(self, path: Path) -> int:
        return self._handle(path, self._node(path))

    def size(self, file: int) -> int:
        return len(self.handles[file].node.data)

    def read_into(self, file: int, buffer: memoryview) -> int:
        handle = self.handles[file]
        most = self.rng.randint(1, len(buffer)) if len(buffer) else 0
        data = handle.node.data[handle.position : handle.position + most]
        buffer[: len(data)] = data
        handle.position += len(data)
        return len(data)

    def write(self, file: int, data: memoryview) -> int:
        taken = self.rng.randint(1, len(data))
        if self.free_bytes is not None:
            taken = min(taken, self.free_bytes)
            if taken == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.free_bytes -= taken
        self.handles[file].node.data += data[:taken]
        self._step()
        return taken

    def fsync(self, file: int) -> None:
        self._step(changes=False)
        if self.rng.random() >= self.lies:
            node = self.handles[file].node
            node.durable = bytes(node.data)

    def fsync_folder(self, path: Path) -> None:
        self._step(changes=False)
        if self.rng.random() >= self.lies:
            for folder, changes in self.pending:
                if folder == path:
                    self._apply(self.durable_names, changes)
            self.pending = [(folder, changes) for folder, changes in self.pending if folder != path]

    def close(self, file: int) -> None:
        self.handles.pop(file, None)
        self.locked = {path: handle for path, handle in self.locked.items() if handle != file}

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        self._change(source.parent, {source: None, target: self._node(source)})

    def unlink(self, path: Path) -> None:
        self._step()
        self._node(path)
        self._change(path.parent, {path: None})

    def lock(self, path: Path) -> int:
        self._step()
        if path in self.locked:
            raise BlockingIOError(errno.EAGAIN, "")
        if path not in self.names:
            self._change(path.parent, {path: Node()})
        self.locked[path] = self._handle(path, self.names[path])
        return self.locked[path]

    def new_id(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"
