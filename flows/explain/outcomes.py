"""What became of each evaluation of a rule: nothing, waiting, disarmed, or decisions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flows.explain.run import Evaluated, Place, Record, Told
from operators.decision import action_ids
from rules.model import Rule
from state.timers import Firing

NOT_HELD, FIRED, WAITING, DISARMED, IGNORED, REPLACED, PENDING, PAUSED = (
    "condition_failed", "fired", "waiting", "disarmed", "already_waiting", "replaced", "held_over", "paused",
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What became of an evaluation.

    ``deadline_ms``: of a rule with ``unless``. ``by``: the event that disarmed it. ``other``: the evaluation that was
    waiting already, or the later one that took its place. ``decisions``: in the order of ``then``.
    """

    evaluated: Evaluated
    status: str = NOT_HELD
    deadline_ms: int | None = None
    by: Place | None = None
    other: Evaluated | None = None
    decisions: list[Record] = field(default_factory=list)


def outcomes(rule: Rule, customer_id: str, told: Told) -> list[Outcome]:
    """One for each evaluation, in order. Whether a rule fired is never guessed: its decisions are there or not."""
    left: dict[str, deque[Record]] = {}
    for decision in told.decisions:
        if decision["rule_id"] == rule.id:
            left.setdefault(decision["action_id"], deque()).append(decision)
    found = [Outcome(evaluated) for evaluated in told.evaluations]
    if rule.unless is not None:
        _wait(rule, found, told.disarming)
    for outcome in found:
        if not outcome.evaluated.holds:
            continue
        if rule.status == "paused":
            outcome.status = PAUSED
        elif outcome.status in (NOT_HELD, WAITING):
            ids = decision_ids(rule, customer_id, outcome.evaluated)
            outcome.decisions = [left[one].popleft() for one in ids if left.get(one)]
            if outcome.decisions:
                outcome.status = FIRED
            elif rule.unless is None:
                outcome.status = PENDING
    return found


def decision_ids(rule: Rule, customer_id: str, evaluated: Evaluated) -> list[str]:
    """The ids of the decisions that an evaluation leads to, in the order of ``then``."""
    anchor = evaluated.anchor
    if anchor is None:
        local = datetime.fromtimestamp(evaluated.t_ms / 1000, UTC).astimezone(ZoneInfo(rule.timezone)).date()
        about = "daily", local.isoformat(), evaluated.t_ms
    else:
        about = anchor.stream, anchor.event_id, anchor.ts_ms
    firing = Firing(*about, False, evaluated.holding_id, {}, ())
    return list(action_ids(rule, customer_id, firing, range(len(rule.actions))).values())


def _wait(rule: Rule, found: Sequence[Outcome], disarming: Sequence[Place]) -> None:
    """Which evaluations waited for their deadline, and what ended that."""
    unless = rule.unless
    assert unless is not None
    armed: Outcome | None = None
    holding = [outcome for outcome in found if outcome.evaluated.holds]
    steps: list[tuple[int, Place | Outcome]] = [(outcome.evaluated.number, outcome) for outcome in holding]
    steps += [(place.number, place) for place in disarming]
    for _, step in sorted(steps, key=lambda step: step[0]):
        t_ms = step.t_ms if isinstance(step, Place) else step.evaluated.t_ms
        if armed is not None and armed.deadline_ms is not None and t_ms > armed.deadline_ms:
            armed = None
        if isinstance(step, Place):
            if armed is not None:
                armed.status, armed.by = DISARMED, step
                armed = None
            continue
        if armed is not None and unless.restart == "first":
            step.status, step.other = IGNORED, armed.evaluated
            continue
        if armed is not None:
            armed.status, armed.other = REPLACED, step.evaluated
        step.status, step.deadline_ms = WAITING, t_ms + unless.within_ms
        armed = step
