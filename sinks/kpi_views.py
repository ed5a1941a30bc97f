"""The views of the key figures: facts under their names, and the figures by day for whoever draws boards of them.

They are part of the schema, not made by a command: a board, or a person who may only read, has them at once.
"""

from __future__ import annotations

from sinks import kpi_facts, kpi_figures

FACTS = {
    "kpi_answers": kpi_facts.answers,
    "kpi_attempts": kpi_facts.attempts,
    "kpi_steps": kpi_facts.steps,
    "kpi_tickets": kpi_facts.tickets,
    "kpi_contacts": kpi_facts.contacts,
    "kpi_sent": kpi_facts.sent,
    "kpi_firings": kpi_facts.firings,
}
"""In the order in which they read one another."""


def kpi_views(database: str) -> dict[str, str]:
    """The SELECT of each view by its name, in the order in which they can be made."""
    day = ("day",)
    return {name: select(database) for name, select in FACTS.items()} | {
        "kpi_voice_by_day": kpi_figures.voice(database, ("day", "touchpoint", "channel", "tier")),
        "kpi_journeys_by_day": kpi_figures.journeys(database, day),
        "kpi_steps_by_day": kpi_figures.steps(database, day),
        "kpi_ticket_figures_by_day": kpi_figures.tickets(database, ("day", "origin", "rule_id", "queue")),
        "kpi_conversion": kpi_figures.contacts(f"{database}.kpi_contacts", ()),
        "kpi_fatigue_by_class": kpi_figures.fatigue(database, ("class",)),
        "kpi_rules_by_day": kpi_figures.rules(database, day),
    }


KPI_VIEWS = tuple(kpi_views("cem"))
"""The names of the views."""


def kpi_view_statements() -> list[str]:
    """Statements that make the views that are missing; ``{database}`` stands for the database.

    Nothing is replaced: that needs the right to drop views, which users of the program may lack.
    """
    views = kpi_views("{database}").items()
    return [f"CREATE VIEW IF NOT EXISTS {{database}}.{name} AS {select}" for name, select in views]
