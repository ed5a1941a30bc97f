"""The answer to "why?" and "why not?", as data; ``flows.explain.text`` has it for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flows.explain.condition import Condition
from flows.explain.evidence import evidence_of
from flows.explain.outcomes import DISARMED, IGNORED, PAUSED, PENDING, REPLACED, WAITING, Outcome, outcomes
from flows.explain.probes import Probes
from flows.explain.run import Place, Record, Told
from flows.explain.verdicts import TIME, Verdicts
from flows.words import duration, in_words, local_time, value_text
from rules.model import Rule
from rules.policy import Policy
from rules.unparse import selector_text, unparse

MAX_EVALUATIONS, MAX_NEAR = 10, 5

Answer = dict[str, Any]


def explain_action(probes: Probes, policy: Policy, told: Told, action_id: str) -> Answer | None:
    """Why a decision was made; null if these rules and events do not make it."""
    found = outcomes(probes.rule, probes.customer_id, told)
    for outcome in found:
        for decision in outcome.decisions:
            if decision["action_id"] == action_id:
                return _answer(probes, policy, told, found, outcome) | {"question": "why", "action": decision}
    return None


def explain_rule(probes: Probes, policy: Policy, told: Told, at_ms: int | None = None) -> Answer:
    """Why a rule did or did not act for the customer: at the evaluation nearest before a time, or the latest one."""
    found = outcomes(probes.rule, probes.customer_id, told)
    before = [one for one in found if at_ms is None or one.evaluated.t_ms <= at_ms]
    if not before:
        return head_of(probes.rule, probes.customer_id) | {
            "question": "why_not",
            "evaluations": 0,
            **_never(probes, told, found, at_ms),
        }
    return _answer(probes, policy, told, found, before[-1]) | {"question": "why_not"}


def head_of(rule: Rule, customer_id: str) -> Answer:
    """What every answer begins with."""
    when = None if rule.when is None else unparse(rule.when)
    return {
        "customer_id": customer_id, "rule_id": rule.id, "rule_version": rule.version, "title": rule.title,
        "status": rule.status, "timezone": rule.timezone, "when": when,
    }  # fmt: skip


def _answer(probes: Probes, policy: Policy, told: Told, found: Sequence[Outcome], chosen: Outcome) -> Answer:
    rule, evaluated = probes.rule, chosen.evaluated
    first = next(one for one in found if one.evaluated.holding_id == evaluated.holding_id) is chosen
    condition = Condition(rule, probes.parts, evaluated.values, first=first)
    verdicts = Verdicts(rule, policy, told.decisions)
    failed = condition.failures()
    return head_of(probes.rule, probes.customer_id) | {
        "summary": _summary(probes, policy, chosen),
        "evaluation": _evaluation(chosen),
        "failed": failed,
        "condition": [asdict(line) for line in condition.lines()],
        "lets": lets_of(rule, evaluated.values),
        "evidence": [asdict(group) for group in evidence_of(probes, told, evaluated)],
        "decisions": [
            {**_brief(decision), "why": verdicts.words(decision, evaluated.values)} for decision in chosen.decisions
        ],
        "evaluations": len(found),
        "latest": [_evaluation(one) for one in found[-MAX_EVALUATIONS:]],
    }


def lets_of(rule: Rule, values: Mapping[str, Any]) -> list[Answer]:
    """Every ``let`` with its value."""
    return [
        {"name": name, "value": values[name], "means": in_words(expr), "expression": unparse(expr)}
        for name, expr in rule.lets
    ]


def _brief(decision: Record) -> Record:
    names = ("action_id", "kind", "ts", "decision", "reason", "would_be", "open_ticket_id", "payload")
    models = {"models": decision["models"]} if "models" in decision else {}
    return {name: decision[name] for name in names} | models


def _event(place: Place | None) -> Answer | None:
    return None if place is None else {"stream": place.stream, "event_id": place.event_id, "ts": place.ts_ms}


def _evaluation(outcome: Outcome) -> Answer:
    evaluated = outcome.evaluated
    reasons = sorted({one["reason"] or "emitted" for one in outcome.decisions})
    return {
        "ts": evaluated.t_ms, "anchor": _event(evaluated.anchor), "holding_id": evaluated.holding_id,
        "holds": evaluated.holds, "outcome": outcome.status, "decisions": reasons, "deadline": outcome.deadline_ms,
        "disarmed_by": _event(outcome.by),
    }  # fmt: skip


def event_words(place: Place | None) -> str:
    """An event as `click e3`."""
    return "the daily tick" if place is None else f"{place.stream} {place.event_id}"


def _summary(probes: Probes, policy: Policy, outcome: Outcome) -> list[str]:
    rule, evaluated = probes.rule, outcome.evaluated
    at = local_time(evaluated.t_ms, rule.timezone, TIME)
    holding = f", holding {evaluated.holding_id}" if evaluated.holding_id is not None else ""
    said = [f"{probes.customer_id} was tried by {rule.id} at {at} because of {event_words(evaluated.anchor)}{holding}."]
    anchor = evaluated.anchor
    if anchor is not None and anchor.ts_ms < anchor.t_ms:
        said.append(f"The event's own time was {local_time(anchor.ts_ms, rule.timezone, TIME)}: it came late.")
    if not evaluated.holds:
        return [*said, "The condition did not hold."]
    said.append("The condition held." if rule.when is not None else "The rule has no condition.")
    if rule.unless is not None and outcome.deadline_ms is not None:
        awaited = " or ".join(map(selector_text, rule.unless.selectors))
        deadline = local_time(outcome.deadline_ms, rule.timezone, TIME)
        said.append(f"From then on it waited {duration(rule.unless.within_ms)}, until {deadline}, for {awaited}.")
    return said + _end(probes, policy, outcome)


def _end(probes: Probes, policy: Policy, outcome: Outcome) -> list[str]:
    """What became of an evaluation whose condition held."""
    rule, zone = probes.rule, probes.rule.timezone
    status = outcome.status
    if status == DISARMED and outcome.by is not None:
        at = local_time(outcome.by.t_ms, zone, TIME)
        return [f"That came at {at} ({event_words(outcome.by)}), so the rule did not fire."]
    if status in (IGNORED, REPLACED) and outcome.other is not None:
        at, what = local_time(outcome.other.t_ms, zone, TIME), event_words(outcome.other.anchor)
        if status == IGNORED:
            return [f"The rule was waiting already since {at} ({what}), so this one was ignored."]
        return [f"A later event took its place at {at} ({what}): `restart: latest`."]
    if status == WAITING:
        return ["The events end before that: it still waits. With --until, time goes on."]
    if status == PAUSED:
        return ["The rule is paused, so it is not evaluated at all; were it live, it would have gone on from here."]
    if status == PENDING:
        return ["Quiet hours hold its actions, and the events end before those do. With --until, time goes on."]
    fired = [one for one in outcome.decisions if one["decision"] == "emitted"]
    at = local_time(outcome.decisions[0]["ts"], zone, TIME)
    actions = f"{len(outcome.decisions)} {'action' if len(outcome.decisions) == 1 else 'actions'}"
    said = [f"It fired at {at}: {actions}, {len(fired)} emitted."]
    if len(outcome.decisions) < len(rule.actions) and policy.quiet_hours is not None:
        said.append("Quiet hours hold the others, and the events end before those do.")
    return said


def _never(probes: Probes, told: Told, found: Sequence[Outcome], at_ms: int | None) -> Answer:
    """Why there was no evaluation, and which events came near."""
    rule = probes.rule
    who, seen = probes.customer_id, [one for one in told.seen if at_ms is None or one.t_ms <= at_ms]
    until = "" if at_ms is None else f" up to {local_time(at_ms, rule.timezone, TIME)}"
    said = [f"{rule.id} was not tried for {who}{until}."]
    if found:
        said.append(f"The first time was {local_time(found[0].evaluated.t_ms, rule.timezone, TIME)}.")
    if not seen:
        return {"summary": [*said, f"There is no event of {who} in the files{until}. Is the id right?"], "near": []}
    if rule.daily is not None:
        if not any(one.stream == "profile" for one in seen):
            said.append("A date rule looks at customers with a profile, and there was none.")
        elif rule.each_holding:
            said.append("It looks at each entry of profile.holdings, and at its times there was none with an id.")
        else:
            said.append(
                f"Its time of day, {rule.daily.hour:02}:{rule.daily.minute:02}, did not come after the profile."
            )
        return {"summary": said, "near": []}
    streams = {stream for stream, _ in probes.triggers}
    near = sorted(filter(None, (_nearness(probes, one) for one in seen)), key=_distance)
    named = " or ".join(sorted(streams))
    if not near:
        said.append(f"Its trigger wants {named} events; of the {len(seen):,} events of {who} none is one.")
    else:
        said.append(
            f"Of the {len(seen):,} events of {who}, {len(near):,} are {named} events; none matches the trigger."
        )
    return {"summary": said, "near": near[:MAX_NEAR]}


def _distance(one: Answer) -> tuple[int, bool, int]:
    """Few parts held, the failed one looked at nothing, long ago: far."""
    return -one["held"], all(value is None for value in one["values"].values()), -one["ts"]


def _nearness(probes: Probes, place: Place) -> Answer | None:
    """How many parts of the trigger an event met, of the trigger that it met best, and which it failed first."""
    best: Answer | None = None
    for stream, parts in probes.triggers:
        if stream != place.stream:
            continue
        truths = [bool(place.values[part.name]) for part in parts]
        if all(truths):
            continue
        part = parts[truths.index(False)]
        values = {field: place.values[name] for field, name in part.fields.items()}
        is_given = ", ".join(f"{field} is {value_text(value)}" for field, value in values.items())
        one = {
            "ts": place.t_ms, "stream": stream, "event_id": place.event_id, "held": sum(truths), "parts": len(parts),
            "failed": part.text, "values": values, "words": is_given,
        }  # fmt: skip
        if best is None or one["held"] > best["held"]:
            best = one
    return best
