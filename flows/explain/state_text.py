"""An answer from a state folder, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.explain.answer import Answer
from flows.explain.text import title_of, values_text
from flows.explain.verdicts import TIME
from flows.table import table
from flows.words import REASONS, local_time, value_text

_HOLDS = {True: "yes", False: "NO", None: "needs an event"}


def state_lines_of(answer: Answer) -> Iterator[str]:
    """The answer's lines."""
    yield title_of(answer)
    yield ""
    yield from answer["summary"]
    yield from answer["notes"]
    for one in answer.get("tries", ()):
        yield from _tried(answer, one)


def _tried(answer: Answer, one: dict[str, Any]) -> Iterator[str]:
    if one["holding_id"] is not None:
        yield ""
        yield f"Holding {one['holding_id']}"
    yield _condition(answer, one)
    yield from one["failed"]
    yield _fired(answer, one)
    if one["condition"]:
        yield from ["", "Condition, by what is known now"]
        rows = [
            ("  " * line["depth"] + line["text"], _HOLDS[line["holds"]], values_text(line["values"]))
            for line in one["condition"]
        ]
        yield from table(("part", "holds", "values"), rows)
    if one["lets"]:
        yield from ["", "Values"]
        lets = [
            (let["name"], "needs an event" if let["needs_event"] else value_text(let["value"]), let["means"])
            for let in one["lets"]
        ]
        yield from table(("name", "value", "what it is"), lets)
    yield from ["", "What would hold it back, in the order in which it is looked at"]
    checks = [(check["reason"], "YES" if check["holds_back"] else "no", check["text"]) for check in one["policy"]]
    yield from table(("reason", "now", "why"), checks)


def _condition(answer: Answer, one: dict[str, Any]) -> str:
    if answer["when"] is None:
        return "The rule has no condition."
    if one["holds"] is None:
        count = one["needs_event"]
        parts = "one part of it needs" if count == 1 else f"{count} parts of it need"
        return f"Nothing of the condition fails now; {parts} an event to be told."
    return "The condition holds now." if one["holds"] else "The condition does not hold now."


def _fired(answer: Answer, one: dict[str, Any]) -> str:
    """What would become of the actions."""
    said: dict[str, list[str]] = {}
    for action in one["actions"]:
        said.setdefault(_outcome(answer, action), []).append(action["kind"])
    outcomes = "; ".join(f"{', '.join(kinds)} {outcome}" for outcome, kinds in said.items())
    return f"If it fired now: {outcomes}."


def _outcome(answer: Answer, action: dict[str, Any]) -> str:
    reason, would_be = action["reason"], action["would_be"]
    if action["decision"] == "held":
        return f"held by quiet hours until {local_time(action['until'], answer['timezone'], TIME)}"
    if would_be is not None:
        return f"suppressed (shadow), live {'emitted' if would_be == 'emitted' else f'suppressed ({would_be})'}"
    return "emitted" if reason is None else f"suppressed ({reason}): {REASONS[reason]}"
