"""The figures of each subject as tables: rows as the database gave them, and how to show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from flows.kpi import words
from flows.kpi.ask import DIMENSIONS, Asker, Row
from sinks.kpi_figures import OUTCOMES, REASONS

MOST_PATHS = 10
"""Paths of a journey that are shown."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table as people see it."""

    title: str
    show: Callable[[Row], str]
    right: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a name; `columns` are for people, `rows` hold everything."""

    name: str
    title: str
    rows: list[Row]
    columns: tuple[Column, ...]
    note: str = ""

    def cells(self) -> list[list[str]]:
        """The rows as people see them."""
        return [[column.show(row) for column in self.columns] for row in self.rows]


def subject_tables(subject: str, ask: Asker, by: Sequence[str] | None) -> list[Table]:
    """A subject's tables; ``by``: dimensions, checked before, or null for the usual ones."""
    return _TABLES[subject](ask, by)


def _key(name: str, title: str | None = None) -> Column:
    return Column(title or name, lambda row: words.text(row[name]), right=False)


def _keys(by: Sequence[str]) -> tuple[Column, ...]:
    return tuple(_key(name, name.removesuffix("_id")) for name in by)


def _value(name: str, title: str, form: words.Format = words.count) -> Column:
    return Column(title, lambda row: form(row[name]))


def _between(low: str, high: str, form: words.Format, title: str = "95 %") -> Column:
    return Column(title, lambda row: words.between(row[low], row[high], form))


def _by(by: Sequence[str]) -> str:
    return f" by {', '.join(name.removesuffix('_id') for name in by)}" if by else ""


def _voice(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    form = words.VOICE

    def table(chosen: Sequence[str]) -> Table:
        columns = (
            _key("metric"), *_keys(chosen), _value("n", "answers"),
            Column("value", lambda row: form[row["metric"]](row["value"])),
            Column("95 %", lambda row: words.between(row["low"], row["high"], form[row["metric"]])),
        )  # fmt: skip
        name = "_by_".join(["voice", *chosen])
        return Table(name, f"What customers say{_by(chosen)}", ask.voice(chosen), columns, note)

    note = "NPS: promoters less detractors, -100 to +100. CSAT: share of 4 and 5 of 5. CES: mean of 1 to 7, 7 is easy."
    return [table(by)] if by is not None else [table([name] if name else []) for name in ("", *DIMENSIONS["voice"][:3])]


def _surveys(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    def score(row: Row, *names: str) -> str:
        form = words.VOICE.get(row["metric"], words.number)
        return words.between(row[names[0]], row[names[1]], form) if len(names) == 2 else form(row[names[0]])

    def table(name: str, chosen: Sequence[str]) -> Table:
        return Table(name, f"Surveys{_by(chosen)}", ask.surveys(chosen), (
            _key("metric"), *_keys([dim for dim in chosen if dim != "metric"]), _value("sent", "sent"),
            _value("n", "old enough"), _value("answered", "answered"), _value("rate", "response", words.percent),
            _between("rate_low", "rate_high", words.percent), _value("median_ms", "median time", words.span),
            _value("p90_ms", "90th percentile", words.span), _value("late", "late"), _value("scored", "scores"),
            Column("value", lambda row: score(row, "value")), Column("95 %", lambda row: score(row, "low", "high")),
        ), f"Old enough: sent at least {ask.days} days before the data end; what stands right of it is of those. "
           f"Late: answered, but not within {ask.days} days.")  # fmt: skip

    chosen = by or ()
    answers = Table("survey_answers", f"Answers by what asked for them{_by(chosen)}", ask.survey_answers(chosen), (
        _key("metric"), _key("belongs", "answer"), *_keys([dim for dim in chosen if dim != "metric"]),
        _value("n", "answers"), Column("value", lambda row: score(row, "value")),
        Column("95 %", lambda row: score(row, "low", "high")),
    ), "again: a further answer to a survey. unsolicited: no survey asked. unknown_survey: it names one that was not "
       "sent to the customer.")  # fmt: skip
    if by is not None:
        return [table("surveys", by), answers]
    return [table("surveys", ["rule_id"]), table("surveys_by_touchpoint", ["touchpoint"]), answers]


def _journeys(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    by = by or ()
    ways = tuple(_value(name, name) for name in OUTCOMES)
    journeys = Table("journeys", f"Journeys{_by(by)}", ask.journeys(by), (
        _key("journey"), *_keys(by), _value("attempts", "attempts"), *ways,
        _value("completion", "completion", words.percent), _between("low", "high", words.percent),
        _value("median_ms", "median time", words.span),
    ), "A journey that was never completed by anybody has no known end, and no rates.")  # fmt: skip
    steps = Table("steps", f"Steps of journeys{_by(by)}", ask.steps(by), (
        _key("journey"), *_keys(by), _key("step"), _value("reached", "reached"),
        *(_value(name, name) for name in OUTCOMES[1:4]),
        _value("break_rate", "break rate", words.percent), _between("low", "high", words.percent),
        _value("mean_ms", "mean time", words.span), _between("mean_low_ms", "mean_high_ms", words.span),
        _value("median_ms", "median", words.span),
    ), "The time of a step is that until the next step; who broke at a step has none.")  # fmt: skip
    most = [row for _, rows in groupby(ask.paths(), lambda row: row["journey"]) for row in islice(rows, MOST_PATHS)]
    paths = Table("paths", f"The {MOST_PATHS} most frequent paths of each journey", most, (
        _key("journey"), Column("path", lambda row: " → ".join(map(words.text, row["path"])), right=False),
        _key("outcome"), _value("attempts", "attempts"),
    ))  # fmt: skip
    return [journeys, steps, paths]


def _tickets(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    by = ("origin",) if by is None else by
    order = list(words.TICKET)
    rows = sorted(ask.tickets(by), key=lambda row: ([str(row[name]) for name in by], order.index(row["figure"])))

    def shown(row: Row, *names: str) -> str:
        form = words.TICKET[row["figure"]][1]
        return words.between(row[names[0]], row[names[1]], form) if len(names) == 2 else form(row[names[0]])

    columns = (
        *_keys(by), Column("figure", lambda row: words.TICKET[row["figure"]][0], right=False),
        _value("opened", "tickets"), _value("n", "known of"), Column("value", lambda row: shown(row, "value")),
        Column("95 %", lambda row: shown(row, "low", "high")), Column("median", lambda row: shown(row, "median")),
    )  # fmt: skip
    note = "Tickets of rules are opened by the decision; of others, the first message about them counts as that."
    escalations = Table("escalations", f"Escalations of tickets{_by(by)}", ask.escalations(by), (
        *_keys(by), _key("event"), _key("clock"), _value("n", "escalations"), _value("tickets", "tickets"),
    ), "By the engine's clocks, of the tickets of rules.")  # fmt: skip
    return [Table("tickets", f"Tickets{_by(by)}", rows, columns, note), escalations]


def _contacts(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    by = by or ()
    form = words.percent
    columns = (
        _key("rule_id", "rule"), *_keys(by), _key("figure"), _key("compared"), _value("n", "customers"),
        _value("value", "share", form), _between("low", "high", form), _value("control_n", "control"),
        _value("control", "share", form), _between("control_low", "control_high", form),
        _value("difference", "points", words.points), _between("difference_low", "difference_high", words.points),
    )  # fmt: skip
    note = (
        f"Within {ask.days} days of a rule's first contact with a customer in the period. meant: contacted or held "
        "back, which is what the control group can be compared with fairly."
    )
    rows = [row for row in ask.contacts(by) if row["compared"] == "contacted" or row["control_n"]]
    return [Table("contacts", f"Contacts against the control group{_by(by)}", rows, columns, note)]


def _fatigue(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    by = by or ()
    fatigue = Table("fatigue", f"Contacts per customer{_by(by)}", ask.fatigue(by), (
        *_keys(by), _value("all_customers", "customers"), _value("customers", "contacted"),
        _value("share_contacted", "share", words.percent), _value("contacts", "contacts"),
        _value("mean", "mean", words.number), _between("mean_low", "mean_high", words.number),
        _value("median", "median", words.number), _value("p95", "95th percentile", words.number),
        _value("most", "most"), _value("most_in_7_days", "most in 7 days"),
    ), "Mean and percentiles are over customers who were contacted.")  # fmt: skip
    columns = (*_keys(by), _value("contacts", "contacts"), _value("customers", "customers"))
    return [fatigue, Table("spread", f"Customers by number of contacts{_by(by)}", ask.spread(by), columns)]


def _rules(ask: Asker, by: Sequence[str] | None) -> list[Table]:
    by = by or ()
    rows = ask.rules(by)
    used = [name for name in (*REASONS, "other") if any(row[name] for row in rows)]
    outcomes = Table("rules", f"Rules{_by(by)}", rows, (
        _key("rule_id", "rule"), *_keys(by), _value("fired", "fired"), _value("decisions", "decisions"),
        _value("emitted", "emitted"), *(_value(name, name) for name in used),
    ), "A firing may make several decisions.")  # fmt: skip
    labelled = [row for row in rows if row["labelled"]]
    precision = Table("precision", f"Precision of rules by labels{_by(by)}", labelled, (
        _key("rule_id", "rule"), *_keys(by), _value("fired", "fired"), _value("labelled", "labelled"),
        _value("confirmed", "confirmed"), _value("precision", "precision", words.percent),
        _between("low", "high", words.percent),
    ), "Of the firings whose event a label speaks of, the share that it confirms.")  # fmt: skip
    return [outcomes, precision]


_TABLES: dict[str, Callable[[Asker, Sequence[str] | None], list[Table]]] = {
    "voice": _voice, "surveys": _surveys, "journeys": _journeys, "tickets": _tickets, "contacts": _contacts,
    "fatigue": _fatigue, "rules": _rules,
}  # fmt: skip
SUBJECTS = tuple(_TABLES)
