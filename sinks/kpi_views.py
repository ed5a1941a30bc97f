"""The views of the key figures: facts under their names, and the figures by day for whoever draws boards of them.

They are part of the schema, not made by a command: a board, or a person who may only read, has them at once.
"""

from __future__ import annotations

from collections.abc import Collection

from sinks import kpi_facts, kpi_figures, kpi_surveys, kpi_tickets

FACTS = {
    "kpi_answers": kpi_facts.answers,
    "kpi_attempts": kpi_facts.attempts,
    "kpi_steps": kpi_facts.steps,
    "kpi_tickets": kpi_tickets.tickets,
    "kpi_contacts": kpi_facts.contacts,
    "kpi_sent": kpi_facts.sent,
    "kpi_firings": kpi_facts.firings,
    "kpi_survey_answers": kpi_surveys.survey_answers,
    "kpi_surveys": kpi_surveys.surveys,
}
"""In the order in which they read one another."""


def kpi_views(database: str) -> dict[str, str]:
    """The SELECT of each view by its name, in the order in which they can be made."""
    day = ("day",)
    return {name: select(database) for name, select in FACTS.items()} | {
        "kpi_voice_by_day": kpi_figures.voice(f"{database}.kpi_answers", ("day", "touchpoint", "channel", "tier")),
        "kpi_journeys_by_day": kpi_figures.journeys(database, day),
        "kpi_steps_by_day": kpi_figures.steps(database, day),
        "kpi_ticket_figures_by_day": kpi_tickets.ticket_figures(database, ("day", "origin", "rule_id", "queue")),
        "kpi_escalations_by_day": kpi_tickets.escalations(database, ("day", "rule_id", "queue", "level")),
        "kpi_conversion": kpi_figures.contacts(f"{database}.kpi_contacts", ()),
        "kpi_fatigue_by_class": kpi_figures.fatigue(database, ("class",)),
        "kpi_rules_by_day": kpi_figures.rules(database, day),
        "kpi_surveys_by_day": kpi_surveys.survey_figures(f"{database}.kpi_surveys", ("day", "rule_id", "touchpoint")),
        "kpi_survey_answers_by_day": kpi_figures.voice(f"{database}.kpi_survey_answers", ("day", "belongs")),
    }


KPI_VIEWS = tuple(kpi_views("cem"))
"""The names of the views."""


def kpi_view_statements(database: str, replaced: Collection[str]) -> list[str]:
    """Statements that make the views that are missing, and anew those ``replaced``.

    A view is replaced at once, so that boards always find it. That needs the right to drop views, which users of the
    program may lack as long as they have none of an older version.
    """
    makes = {name: "CREATE OR REPLACE VIEW" if name in replaced else "CREATE VIEW IF NOT EXISTS" for name in KPI_VIEWS}
    return [f"{makes[name]} {database}.{name} AS {select}" for name, select in kpi_views(database).items()]
