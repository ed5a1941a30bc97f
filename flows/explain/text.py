"""An answer for people: sentences and small tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flows.explain.answer import Answer
from flows.explain.escalation import QUESTION
from flows.explain.verdicts import TIME
from flows.table import table
from flows.words import local_time, value_text

_OUTCOMES = {
    "condition_failed": "condition failed", "waiting": "still waiting", "disarmed": "disarmed",
    "already_waiting": "ignored, was waiting already", "replaced": "replaced by a later one",
    "held_over": "held by quiet hours", "paused": "rule is paused",
}  # fmt: skip


def lines_of(answer: Answer) -> Iterator[str]:
    """The answer's lines."""
    zone = answer["timezone"]
    shadow = "" if answer["status"] == "live" else f", {answer['status']}"
    title = f": {answer['title']}" if answer["title"] else ""
    yield f"{answer['rule_id']} v{answer['rule_version']}{shadow}{title}"
    yield ""
    yield from answer["summary"]
    if answer["question"] == QUESTION:
        yield from ["", "What happened to it"]
        rows = [(local_time(one["ts"], zone, TIME), one["what"], one["detail"]) for one in answer["history"]]
        yield from table(("time", "what", "details"), rows)
        return
    if "evaluation" not in answer:
        yield from _near(answer)
        return
    yield from answer["failed"]
    for decision in answer["decisions"]:
        yield ""
        yield f"{decision['kind']} {decision['action_id']}, {local_time(decision['ts'], zone, TIME)}"
        yield from (f"  {sentence}" for sentence in decision["why"])
        for name, model in decision.get("models", {}).items():
            parts = ", ".join(f"{feature} {part:+.4f}" for feature, part in model.get("because", {}).items())
            because = f", most of it from {parts}" if parts else ""
            yield f"  Model {name} version {model['version']}: score {value_text(model['score'])}{because}."
    if answer["condition"]:
        yield from ["", "Condition"]
        rows = [
            ("  " * line["depth"] + line["text"], "yes" if line["holds"] else "NO", _values(line["values"]))
            for line in answer["condition"]
        ]
        yield from table(("part", "holds", "values"), rows)
    if answer["lets"]:
        yield from ["", "Values"]
        rows = [(let["name"], value_text(let["value"]), let["means"]) for let in answer["lets"]]
        yield from table(("name", "value", "what it is"), rows)
    yield from _evidence(answer["evidence"], zone)
    yield from _latest(answer, zone)


def _values(values: dict[str, Any]) -> str:
    return "; ".join(f"{text} = {value_text(value)}" for text, value in values.items())


def _evidence(groups: Sequence[dict[str, Any]], zone: str) -> Iterator[str]:
    for group in groups:
        yield ""
        yield "Events behind " + ", ".join(f"{text} = {value_text(value)}" for text, value in group["values"].items())
        if not group["events"]:
            yield "  none"
            continue
        left_out = group["matched"] - len(group["events"])
        if left_out:
            yield f"  … {left_out:,} earlier"
        rows = [
            (
                local_time(event["ts"], zone, TIME), f"{event['stream']} {event['event_id']}",
                "; ".join(f"{name} = {value_text(value)}" for name, value in event["fields"].items()),
                event.get("customer_id", "") + ("this one" if event.get("anchor") else ""),
            )
            for event in group["events"]
        ]  # fmt: skip
        yield from table(("time", "event", "what it says", ""), rows)


def _latest(answer: Answer, zone: str) -> Iterator[str]:
    if answer["question"] != "why_not":
        return
    latest, count = answer["latest"], answer["evaluations"]
    yield ""
    yield f"Evaluations of this rule for the customer: {count:,}" + (
        f", the latest {len(latest)}" if len(latest) < count else ""
    )
    rows = []
    for one in latest:
        anchor = one["anchor"]
        event = "daily tick" if anchor is None else f"{anchor['stream']} {anchor['event_id']}"
        holding = "" if one["holding_id"] is None else f", holding {one['holding_id']}"
        outcome = ", ".join(one["decisions"]) or _OUTCOMES.get(one["outcome"], one["outcome"])
        mark = "explained here" if one == answer["evaluation"] else ""
        rows.append((local_time(one["ts"], zone, TIME), event + holding, outcome, mark))
    yield from table(("time", "because of", "what became of it", ""), rows)


def _near(answer: Answer) -> Iterator[str]:
    if not answer["near"]:
        return
    yield from ["", "Events that came nearest"]
    rows = [
        (
            local_time(one["ts"], answer["timezone"], TIME), f"{one['stream']} {one['event_id']}",
            f"{one['held']} of {one['parts']}", one["failed"], one["words"],
        )
        for one in answer["near"]
    ]  # fmt: skip
    yield from table(("time", "event", "parts that hold", "first that does not", "as"), rows)
