"""Erases one customer from a state folder that no run uses, and looks whether anything is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.state_files import key_of, leftovers
from flows.state_folder import ERASING
from flows.state_rules import FolderRules
from flows.state_search import Trace, traces_of
from operators.erasure import Eraser
from state.delta_store import ShardFiles
from state.disk import DISK, explained
from state.state_folder import StateFolder


@dataclass(slots=True)
class Forgotten:
    """What an erasure did.

    Attributes
    ----------
    removed
        What was taken out, in words, and of how many files.
    files
        The files that were written anew, and those that a crash had left half written and that were removed.
    traces
        Where the bytes of the id still are.
    """

    removed: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the customer's own is left."""
        return not any(trace.is_own for trace in self.traces)


def forget(path: Path, customer_id: str, rules: Sequence[Path] = ()) -> Forgotten:
    """Take a customer out of every file of a state folder; a run that goes on from it never knew of their events.

    ``rules``: the run's rule files, for a folder that does not hold them.

    Each file is replaced at once. If this is interrupted, doing it again finishes it: what is done already is found
    to hold nothing of the customer. Until then no run goes on from the folder, of which some files know the customer.

    Raises
    ------
    StateError
        The folder is none, is in use, or cannot be read or written.
    """
    StateFolder.inspect(path)  # `open` would make a folder that is not there
    done = Forgotten()
    with StateFolder.open(path, {}) as folder:
        eraser = Eraser(customer_id, FolderRules(folder, rules).tables, key_of(folder))
        for reader in folder.shards():
            with ShardFiles(reader.folder) as files:
                for info in files.files():
                    erasure = eraser.erase(files.read(info.version).sections)
                    if erasure is not None:
                        folder.amend({**folder.about, ERASING: True})
                        files.rewrite(info.version, erasure.sections)
                        done.removed.update(erasure.removed)
                        done.files.append(reader.folder / f"{info.version:012d}.{'base' if info.is_base else 'delta'}")
        for half in leftovers(folder):
            if half.is_file():
                with explained(half, "remove the file"):
                    DISK.unlink(half)
                done.files.append(half)
        done.traces = list(traces_of(folder, customer_id))
        if ERASING in folder.about:
            folder.amend({name: value for name, value in folder.about.items() if name != ERASING})
    return done
