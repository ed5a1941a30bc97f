"""Which rules operators have paused: a file beside the state, and the log of every change.

``control/pauses.json`` says what is paused, and up to which byte the log ``control/changes.ndjson`` counts. A change is
appended to the log first and counts once the file says so: it is in both or in neither, whenever a command is stopped.
If the file is missing, the log says what it would.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

import msgspec

from state.state_folder import CONTROL_FOLDER

PAUSES, CHANGES, AUDITED = "pauses.json", "changes.ndjson", "audited.json"
_LOCK = "pauses.lock"
_LOCK_WAIT_S, _LOCK_RETRY_S = 10.0, 0.05


class PausesError(Exception):
    """The files cannot be used: which, why, and what to do."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path

    def __str__(self) -> str:
        path, problem, remedy = self.args
        return f"{path}: {problem}; {remedy}"


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change by an operator; a row of the audit. ``at_ms`` is the wall clock's."""

    id: str
    at_ms: int
    rule_id: str
    change: Literal["pause", "resume"]
    by: str
    why: str


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``pauses.json`` holds: the change that paused each rule, and the bytes of the log that count."""

    version: Literal[1]
    log_bytes: int
    paused: dict[str, Change]


class PauseFiles:
    """The files of one state folder.

    Parameters
    ----------
    state
        The state folder; it need not exist yet.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / CONTROL_FOLDER
        self._file, self._log = self._folder / PAUSES, self._folder / CHANGES

    def stamp(self) -> tuple[int, ...]:
        """Something that is another whenever the file is; ``()`` if there is none."""
        try:
            about = os.stat(self._file)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _refused(self._file, error) from error
        return about.st_ino, about.st_mtime_ns, about.st_size

    def paused(self) -> dict[str, Change]:
        """The rules that are paused, by id, with the change that paused them.

        Raises
        ------
        PausesError
            The file is damaged or cannot be read.
        """
        return dict(self._read().paused)

    def paused_by_log(self) -> dict[str, Change]:
        """The same by the log alone, as far as it can be read."""
        try:
            return _replayed(change for change, _ in self._logged(_bytes_of(self._log)))
        except PausesError:
            return {}

    def changes(self, after_bytes: int = 0) -> tuple[list[Change], int]:
        """The changes in the log after its first ``after_bytes``, and how many bytes it has with them.

        If the log is shorter than that it is another one: then all its changes.
        """
        end = self._read().log_bytes
        log = _bytes_of(self._log)[:end]
        start = after_bytes if after_bytes <= len(log) else 0
        found = list(self._logged(log[start:]))
        return [change for change, _ in found], start + (found[-1][1] if found else 0)

    def audited_bytes(self) -> int:
        """Up to where the log has been audited; 0 if nobody knows."""
        try:
            found = msgspec.json.decode(_bytes_of(self._folder / AUDITED), type=dict[str, int])
        except (msgspec.DecodeError, PausesError):
            return 0  # once more is harmless: rows have ids
        return found.get("bytes", 0)

    def note_audited(self, up_to_bytes: int) -> None:
        """Note up to where the log has been audited."""
        _replace(self._folder / AUDITED, msgspec.json.encode({"bytes": up_to_bytes}))

    def change(
        self, rule_ids: Iterable[str], change: Literal["pause", "resume"], *, at_ms: int, by: str, why: str
    ) -> tuple[list[Change], dict[str, Change]]:
        """Pause or resume some rules; the changes that this took, and what was paused before.

        A rule that is so already takes none. All is done or nothing, and one caller at a time does it.

        Raises
        ------
        PausesError
            The file is damaged, or cannot be written.
        """
        with self._locked():
            kept = self._read()
            wanted = [rule_id for rule_id in dict.fromkeys(rule_ids) if (rule_id in kept.paused) != (change == "pause")]
            made = [Change(secrets.token_hex(16), at_ms, rule_id, change, by, why) for rule_id in wanted]
            if made:
                log_bytes = self._append(kept.log_bytes, made)
                paused = _replayed(made, kept.paused)
                _replace(self._file, msgspec.json.format(msgspec.json.encode(_Kept(1, log_bytes, paused)), indent=2))
            return made, dict(kept.paused)

    def _read(self) -> _Kept:
        try:
            raw = self._file.read_bytes()
        except FileNotFoundError:
            log = _bytes_of(self._log)
            found = list(self._logged(log))
            return _Kept(1, found[-1][1] if found else 0, _replayed(change for change, _ in found))
        except OSError as error:
            raise _refused(self._file, error) from error
        try:
            kept = msgspec.json.decode(raw, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PausesError(
                self._file, f"the file is damaged: {error}",
                f"restore it from a copy, or remove it: then what is paused is taken from {self._log.name} beside it",
            ) from error  # fmt: skip
        return kept

    def _append(self, log_bytes: int, changes: Iterable[Change]) -> int:
        """Put changes behind what counts of the log, and return when they are on the disk; its length then."""
        try:
            with open(self._log, "r+b" if self._log.exists() else "w+b") as log:
                if os.fstat(log.fileno()).st_size < log_bytes:
                    raise PausesError(
                        self._log, "changes are missing at its end", "restore it from a copy, or move both files away"
                    )
                log.truncate(log_bytes)  # a command that was stopped before its change counted
                log.seek(log_bytes)
                log.write(b"".join(msgspec.json.encode(change) + b"\n" for change in changes))
                log.flush()
                os.fsync(log.fileno())
                return log.tell()
        except OSError as error:
            raise _refused(self._log, error) from error

    def _logged(self, log: bytes) -> Iterator[tuple[Change, int]]:
        """The changes in a part of the log, each with where it ends; a last line without an end does not count."""
        at = 0
        while (end := log.find(b"\n", at)) >= 0:
            try:
                change = msgspec.json.decode(log[at:end], type=Change)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise PausesError(self._log, f"the log is damaged: {error}", "restore it from a copy") from error
            at = end + 1
            yield change, at

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._folder / _LOCK
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            _wait_for(file, path)
            yield
        finally:
            os.close(file)


def _wait_for(file: int, path: Path) -> None:
    until = monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if monotonic() > until:
                raise PausesError(path, "another command holds it", "try again when that has ended") from error
            sleep(_LOCK_RETRY_S)
        else:
            return


def _replayed(changes: Iterable[Change], paused: Mapping[str, Change] | None = None) -> dict[str, Change]:
    """What is paused after some changes."""
    found = dict(paused or {})
    for change in changes:
        if change.change == "pause":
            found[change.rule_id] = change
        else:
            found.pop(change.rule_id, None)
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _refused(path, error) from error


def _replace(path: Path, contents: bytes) -> None:
    """Put a file in the place of another at once, on the disk when this returns."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> PausesError:
    return PausesError(
        path, f"cannot be used: {error.strerror or error}", "see that there is room and that this user may write there"
    )
