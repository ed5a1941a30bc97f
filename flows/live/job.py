"""What a live run is: its rules, its settings, and the state that it goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import LiveSettings
from flows.live.source import ReaderSettings
from rules.model import RuleSet
from rules.policy import Policy
from state.hashing import Key


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What all processes of a cluster are told.

    ``workers`` is the number of processes; ``key``, ``by_entity`` and ``ordered_in`` are those of ``OpenState``;
    ``restarts``: how often the cluster was started again.
    """

    rules: RuleSet
    policy: Policy
    settings: LiveSettings
    workers: int
    key: Key
    by_entity: bool
    ordered_in: Mapping[str, int] = field(default_factory=dict)
    restarts: int = 0

    @property
    def state(self) -> Path:
        """The folder of the state."""
        return self.settings.state

    def readers(self) -> ReaderSettings:
        """What the settings say about reading."""
        settings, source = self.settings, self.settings.source
        clickhouse = settings.sinks.clickhouse
        return ReaderSettings(
            bootstrap=source.bootstrap,
            group=source.group,
            options=source.options,
            topics={topic: stream for stream, topics in source.topics.items() for topic in topics},
            readers=self.workers,
            lateness_ms=settings.lateness_ms,
            idle_ms=settings.idle_ms,
            poll_ms=source.poll_ms,
            max_ahead_ms=settings.max_ahead_ms,
            start_latest=source.start == "latest",
            on_lost_offset=source.on_lost_offset,
            archive=clickhouse is not None and clickhouse.events,
        )
