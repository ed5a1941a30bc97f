"""What is asked of the database: a subject's rows by dimensions, for a period."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import isnan
from typing import Any

from clickhouse_connect.driver.client import Client

from sinks import kpi_facts, kpi_figures, kpi_surveys, kpi_tickets

Row = dict[str, Any]

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "voice": ("touchpoint", "channel", "tier", "day"),
    "surveys": ("metric", "rule_id", "touchpoint", "channel", "tier", "day"),
    "journeys": ("channel", "tier", "day"),
    "tickets": ("origin", "rule_id", "queue", "level", "tier", "day"),
    "contacts": ("kind", "class", "tier", "day"),
    "fatigue": ("kind", "class", "rule_id", "day"),
    "rules": ("class", "kind", "day"),
}
"""The subjects, and by which columns each can be asked besides its own (metric, journey, rule)."""

_GOAL = re.compile(r"(click|txn|feedback)\.[^.=]+=.+", re.DOTALL)


class KpiError(Exception):
    """The question cannot be answered; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Period:
    """Local days, both included; null for no bound."""

    first: date | None = None
    last: date | None = None

    @property
    def where(self) -> str:
        """The condition on `day`."""
        bounds = [(">=", self.first), ("<=", self.last)]
        return " AND ".join(f"day {sign} '{day.isoformat()}'" for sign, day in bounds if day is not None) or "1"

    def __str__(self) -> str:
        if self.first is None and self.last is None:
            return "all days"
        return " ".join(
            f"{word} {day.isoformat()}" for word, day in (("from", self.first), ("to", self.last)) if day is not None
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the views in one database of a client; ``goals`` by rule, ``*`` for all others."""

    client: Client
    database: str = "cem"
    period: Period = field(default_factory=Period)
    days: int = kpi_facts.RESPONSE_DAYS
    goals: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def voice(self, by: Sequence[str] = ()) -> list[Row]:
        """NPS, CSAT and CES."""
        return self._rows(kpi_figures.voice(f"{self._name}.kpi_answers", by, self.period.where), "metric", *by)

    def surveys(self, by: Sequence[str] = ()) -> list[Row]:
        """By metric: surveys sent, answered, how soon and with what score."""
        facts = f"({kpi_surveys.surveys(self._name, self.days)})"
        return self._rows(kpi_surveys.survey_figures(facts, by, self.period.where), "metric", *by)

    def survey_answers(self, by: Sequence[str] = ()) -> list[Row]:
        """By metric: answers by whether a survey asked for them, with the score of each kind."""
        facts = f"({kpi_surveys.survey_answers(self._name, self.days)})"
        return self._rows(kpi_figures.voice(facts, ("belongs", *by), self.period.where), "metric", "belongs", *by)

    def journeys(self, by: Sequence[str] = ()) -> list[Row]:
        """Attempts and completion by journey."""
        return self._rows(kpi_figures.journeys(self._name, by, self.period.where), "journey", *by)

    def steps(self, by: Sequence[str] = ()) -> list[Row]:
        """Break rates and times by step, in the order in which steps are come to."""
        return self._rows(kpi_figures.steps(self._name, by, self.period.where), "journey", *by, "place", "step")

    def paths(self, by: Sequence[str] = ()) -> list[Row]:
        """Paths through journeys, the most frequent first."""
        select = kpi_figures.paths(self._name, by, self.period.where)
        return self._rows(select, "journey", *by, "attempts DESC", "path", "outcome")

    def links(self) -> list[Row]:
        """Steps of paths and what came next, for a chart of paths."""
        select = kpi_figures.links(self._name, self.period.where)
        return self._rows(select, "journey", "place", "from_step", "to_step", "ends")

    def tickets(self, by: Sequence[str] = ()) -> list[Row]:
        """Response and resolution times, first-contact resolution, deadlines met, satisfaction."""
        return self._rows(kpi_tickets.ticket_figures(self._name, by, self.period.where), *by)

    def escalations(self, by: Sequence[str] = ()) -> list[Row]:
        """Warnings, breaches and other escalations of tickets."""
        return self._rows(kpi_tickets.escalations(self._name, by, self.period.where), *by, "event", "clock")

    def contacts(self, by: Sequence[str] = ()) -> list[Row]:
        """Response and conversion against the control group."""
        facts = f"({kpi_facts.contacts(self._name, self.days, self.goals)})"
        select = kpi_figures.contacts(facts, by, self.period.where)
        return self._rows(select, "rule_id", *by, "figure DESC", "compared")

    def fatigue(self, by: Sequence[str] = ()) -> list[Row]:
        """Contacts per customer."""
        return self._rows(kpi_figures.fatigue(self._name, by, self.period.where), *by)

    def spread(self, by: Sequence[str] = ()) -> list[Row]:
        """Customers by their number of contacts."""
        return self._rows(kpi_figures.spread(self._name, by, self.period.where), *by, "contacts")

    def rules(self, by: Sequence[str] = ()) -> list[Row]:
        """Firings, outcomes and precision by rule."""
        return self._rows(kpi_figures.rules(self._name, by, self.period.where), "rule_id", *by)

    @property
    def _name(self) -> str:
        return f"`{self.database}`"

    def _rows(self, select: str, *order: str) -> list[Row]:
        ordered = f"SELECT * FROM ({select}) ORDER BY {', '.join(order)}" if order else select
        found = self.client.query(ordered, settings=dict(self.options))
        return [{name: _plain(value) for name, value in row.items()} for row in found.named_results()]


def check_by(subject: str, by: Sequence[str]) -> None:
    """Raise KpiError if the subject has no such dimension."""
    for name in by:
        if name not in DIMENSIONS[subject]:
            raise KpiError(f"{subject} cannot be asked by {name!r}, only by {', '.join(DIMENSIONS[subject])}")


def read_goals(texts: Sequence[str]) -> dict[str, str]:
    """Goals by rule from ``RULE=STREAM.FIELD=VALUE``; KpiError for a text that is none."""
    goals = {}
    for text in texts:
        rule, _, goal = text.partition("=")
        if not rule or _GOAL.fullmatch(goal) is None:
            raise KpiError(f"{text!r} is no goal: write RULE=STREAM.FIELD=VALUE, such as idle-cash=txn.kind=investment")
        goals[rule] = goal
    return goals


def _plain(value: Any) -> Any:
    if isinstance(value, float) and isnan(value):
        return None
    return value.isoformat() if isinstance(value, date) else value
