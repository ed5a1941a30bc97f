"""A rule's tests as data: events that go in, decisions that must come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rules.model import Position

DEFAULT_CUSTOMER = "C1"
SCORE_FIELD = "model_score_"
"""Before a model's name: the field of an event that holds the score which a test gives it."""


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One event of a test: ``fields`` are those that the test gives, without ids, stream and time."""

    stream: str
    customer: str
    event_id: str | None
    ts_ms: int
    fields: dict[str, Any]
    position: Position


@dataclass(frozen=True, slots=True)
class Expected:
    """One decision that must come; what is null or absent is not compared.

    ``features`` and ``payload`` hold what must be among the decision's own.
    """

    kind: str
    customer: str | None
    holding: str | None
    at_ms: int | None
    decision: str
    reason: str | None
    features: dict[str, Any]
    payload: dict[str, Any]
    position: Position


@dataclass(frozen=True, slots=True)
class RuleTest:
    """Events in the order of the text, and the decisions of the rule up to ``until_ms``; none for ``expect: none``."""

    name: str
    events: tuple[StoryEvent, ...]
    until_ms: int
    expected: tuple[Expected, ...]
    position: Position
