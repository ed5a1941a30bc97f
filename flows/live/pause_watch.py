"""Follows what operators pause while the engine runs, and audits it; a damaged file changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from flows.live.pauses import Change, PauseFiles, PausesError

_UNREAD = (-1,)


class PauseEvents(Protocol):
    """Who is told of what happens."""

    def paused_rules(self, rule_ids: frozenset[str]) -> None:
        """These are paused from now on."""

    def pauses_unreadable(self, error: str) -> None:
        """The file cannot be read: what was paused before still is. Told once until that changes."""


class PauseWatch:
    """Looks at the files of a state folder when it is asked to."""

    def __init__(self, state: Path, events: PauseEvents) -> None:
        self._files, self._events = PauseFiles(state), events
        self._stamp: tuple[int, ...] | None = None
        self._error = ""
        self.paused: frozenset[str] = frozenset()

    def poll(self) -> frozenset[str]:
        """What is paused now; of a file that cannot be read, what it said before (at the start: what the log says)."""
        try:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return self.paused
            found = frozenset(self._files.paused())
        except PausesError as error:
            if self._stamp is None:
                self._take(frozenset(self._files.paused_by_log()))
            self._stamp = _UNREAD
            if str(error) != self._error:
                self._error = str(error)
                self._events.pauses_unreadable(self._error)
            return self.paused
        self._stamp, self._error = stamp, ""
        self._take(found)
        return self.paused

    def _take(self, found: frozenset[str]) -> None:
        if found != self.paused:
            self.paused = found
            self._events.paused_rules(found)

    def stamp(self) -> tuple[int, ...]:
        """Something that is another whenever there are changes.

        Raises
        ------
        PausesError
            The file cannot be looked at.
        """
        return self._files.stamp()

    def unaudited(self) -> tuple[list[Change], int]:
        """The changes that nobody has audited yet, and what ``audited`` is to be told once they are.

        Raises
        ------
        PausesError
            The files cannot be read.
        """
        return self._files.changes(self._files.audited_bytes())

    def audited(self, up_to_bytes: int) -> None:
        """These changes are safe at the target. If that is not written down, they come again."""
        self._files.note_audited(up_to_bytes)


class PauseFollower:
    """Applies what is paused and audits the changes, whenever it is asked.

    Parameters
    ----------
    watch
        Of the state folder.
    apply
        Takes the rules that are paused, whenever they are others.
    audit
        Takes changes as lines of JSON and returns when they are safe; if it raises it is asked again later. One process
        of a cluster is given one, the others none.
    """

    def __init__(
        self, watch: PauseWatch, apply: Callable[[frozenset[str]], None],
        audit: Callable[[Sequence[bytes]], None] | None = None,
    ) -> None:  # fmt: skip
        self._watch, self._apply, self._audit = watch, apply, audit
        self._applied: frozenset[str] = frozenset()
        self._audited: tuple[int, ...] = _UNREAD

    def look(self) -> None:
        """Apply what is paused now."""
        paused = self._watch.poll()
        if paused != self._applied:
            self._applied = paused
            self._apply(paused)

    def audit_once(self) -> int:
        """Write what is not audited yet; how many changes. The log is read only when there may be some.

        Raises
        ------
        PausesError
            The files cannot be read, or it cannot be noted there what is audited.
        """
        assert self._audit is not None
        stamp = self._watch.stamp()  # before the log is read: what is changed meanwhile is looked at again
        if stamp == self._audited:
            return 0
        changes, up_to_bytes = self._watch.unaudited()
        if changes:
            self._audit([msgspec.json.encode(change) for change in changes])
            self._watch.audited(up_to_bytes)
        self._audited = stamp
        return len(changes)
