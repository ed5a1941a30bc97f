"""What a live process does now and then on the flow's own thread: follow what operators pause, and audit it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.live.meters import Meters
from flows.live.pause_watch import PauseFollower, PauseWatch
from flows.live.pauses import PausesError
from operators.tables import PlanTables

_LOG = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
AUDIT_AGAIN_SECONDS = 5.0
"""After files that could not be read, or written."""


class Chores:
    """Looks at the files of a state folder every half second, whenever it is asked.

    ``audit``: writes changes somewhere safe; null in all processes but one.
    """

    def __init__(
        self, state: Path, tables: PlanTables, meters: Meters, audit: Callable[[Sequence[bytes]], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tables, self._meters, self._clock = tables, meters, clock
        self._follower = PauseFollower(PauseWatch(state, self), self._apply, audit)
        self._audits = audit is not None
        self._next = self._next_audit = 0.0
        self._audit_error = ""
        self.do()

    def do(self) -> None:
        """What is due."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY_SECONDS
        self._follower.look()
        if self._audits and now >= self._next_audit:
            self._do_audit(now)

    def _do_audit(self, now: float) -> None:
        try:
            self._follower.audit_once()
            self._audit_error = ""
        except PausesError as error:
            self._next_audit = now + AUDIT_AGAIN_SECONDS
            if str(error) != self._audit_error:  # told once
                self._audit_error = str(error)
                _LOG.warning("changes of paused rules are not audited: %s", error)

    def _apply(self, paused: frozenset[str]) -> None:
        self._tables.paused = paused

    def paused_rules(self, rule_ids: frozenset[str]) -> None:
        """These are paused from now on."""
        self._meters.paused_rules(len(rule_ids))
        _LOG.warning("rules paused: %s", ", ".join(sorted(rule_ids)) or "none")

    def pauses_unreadable(self, error: str) -> None:
        """The file cannot be read: what was paused before still is."""
        _LOG.error("%s", error)
