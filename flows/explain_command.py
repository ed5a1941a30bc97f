"""`cem explain`: why a decision was made, or why another was not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

from flows.replay_options import duration_ms, time_ms
from rules.fields import TS_MAX_MS

if TYPE_CHECKING:
    from flows.explain.answer import Answer
    from flows.explain.run import Record, Told
    from flows.replay import ReplayJob
    from rules.model import Rule, RuleSet

WRONG_INPUT, WRONG_USAGE, FAILED = 1, 2, 3  # as in ``flows.cli``


def fail(message: str, code: int) -> NoReturn:
    """End with a message and an exit code."""
    print(f"cem explain: {message}", file=sys.stderr)
    raise typer.Exit(code)


def _file(help_text: str) -> Any:
    return typer.Option(readable=False, help=help_text)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: an action, or a customer and a rule at a time."""

    action: str | None
    customer: str | None
    rule: str | None
    at: str | None
    actions_file: Path | None


def explain(
    rules: Annotated[
        list[Path] | None, _file("A rule file of the run; repeat the option for several. With --state: of others.")
    ] = None,
    events: Annotated[
        list[Path] | None, _file("An event file of the run, in the run's order; repeat for several.")
    ] = None,
    state: Annotated[
        Path | None, _file("Instead of events: a run's state folder, and why not as of now; with --customer, --rule.")
    ] = None,
    action: Annotated[str | None, typer.Option(metavar="ID", help="Why: the action_id of a decision.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="C", help="Why not: the customer_id, with --rule.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="R", help="Why not: the rule's id.")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TS",
            help="Why not: the evaluation nearest before this time (milliseconds since 1970, or 2026-03-04T10:00 in "
            "the rule's timezone); else the latest.",
        ),
    ] = None,
    actions: Annotated[
        Path | None, _file("The run's actions.ndjson, where --action is looked up; without it the run is done twice.")
    ] = None,
    policy: Annotated[Path | None, _file("The run's contact policy.")] = None,
    models: Annotated[list[Path] | None, _file("The run's models files.")] = None,
    lateness: Annotated[int, duration_ms("As in the run.")] = "10s",  # type: ignore[assignment]  # typer parses it
    dedup: Annotated[int, duration_ms("As in the run.")] = "1h",  # type: ignore[assignment]
    until: Annotated[int | None, time_ms("As in the run.")] = None,
    max_jump: Annotated[int, duration_ms("As in the run.")] = "366d",  # type: ignore[assignment]
    text_model: Annotated[Path | None, _file("The run's model of feedback's sentiment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Tell why a decision was made (--action), or why a rule did not act for a customer (--customer, --rule)."""
    from flows.replay import ReplayJob
    from flows.replay_options import load_or_exit

    if state is not None:
        from flows.explain_state_command import answer_from_state

        others = {"--events": events, "--action": action, "--actions": actions, "--at": at, "--until": until,
                  "--text-model": text_model}  # fmt: skip
        _show(answer_from_state(state, rules, policy, models, customer=customer, rule=rule, others=others), as_json)
        return
    if not rules or not events:
        fail("give --rules and --events of the run, or --state, the folder that it keeps", WRONG_USAGE)
    if (action is None) == (customer is None and rule is None):
        fail("give --action ID, or --customer C and --rule R", WRONG_USAGE)
    if action is None and (customer is None or rule is None):
        fail("--customer and --rule belong together: whom, and which rule", WRONG_USAGE)
    if action is not None and at is not None:
        fail("--at belongs to --customer and --rule; an action has its own time", WRONG_USAGE)
    rule_set, contact_policy = load_or_exit(rules, policy, models)
    job = ReplayJob(
        rule_set, tuple(events), Path(), contact_policy, lateness, dedup, until, max_jump, text_model=text_model
    )
    _show(_replayed(job, _Question(action, customer, rule, at, actions)), as_json)


def _replayed(job: ReplayJob, question: _Question) -> Answer:
    """The answer of a replay, or what ended that and exit code 3."""
    from flows.failures import failure_message
    from flows.signals import stopped_by_signals

    try:
        with stopped_by_signals("cem explain: stopped"):
            return _answer(job, question)
    except (SystemExit, KeyboardInterrupt, typer.Exit):
        raise
    except BaseException as error:  # a panic of the runtime is no Exception
        fail(failure_message(error), FAILED)


def _show(answer: Answer, as_json: bool) -> None:
    from flows.explain.state_text import state_lines_of
    from flows.explain.text import lines_of

    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        print("\n".join((state_lines_of if "as_of" in answer else lines_of)(answer)))


def _answer(job: ReplayJob, question: _Question) -> Answer:
    from flows.explain.answer import explain_action, explain_rule
    from flows.explain.escalation import explain_escalation
    from operators.ticket_desk import is_told_of_ticket

    if question.action is not None:
        decision = _decision(job, question.action, question.actions_file)
        rule = rule_of(job.rules, decision["rule_id"])
        if is_told_of_ticket(decision):
            return explain_escalation(job, rule, decision)
        probes, told = _ask(job, rule, decision["customer_id"], lambda told: _entities_of(told, decision))
        found = explain_action(probes, job.policy, told, question.action)
        if found is not None:
            return found
        fail(
            f"action {question.action}: rule {rule.id} (version {rule.version}) does not make it over these events; "
            f"give the rules, policy and events of the run that made version {decision['rule_version']}", WRONG_INPUT,
        )  # fmt: skip
    assert question.rule is not None
    assert question.customer is not None
    rule = rule_of(job.rules, question.rule)
    at_ms = None if question.at is None else _time_of(question.at, rule.timezone)
    probes, told = _ask(job, rule, question.customer, lambda told: _entities_at(told, at_ms))
    return explain_rule(probes, job.policy, told, at_ms)


def _ask(job: ReplayJob, rule: Rule, customer: str, entities_of: Callable[[Told], dict[str, str]]) -> tuple[Any, Told]:
    """What the engine tells; asked again where the events of a device or terminal are evidence and are known now."""
    from flows.explain.probes import entity_fields, make_probes
    from flows.explain.run import ask
    from flows.progress import show_progress

    probes = make_probes(rule, customer)
    with show_progress(job.events, "replay") as progress:
        told = ask(job, probes, progress)
    entities = entities_of(told) if entity_fields(rule) else {}
    if entities:
        probes = make_probes(rule, customer, entities)
        with show_progress(job.events, "events of others") as progress:
            told = ask(job, probes, progress)
    return probes, told


def _entities_of(told: Told, decision: Record) -> dict[str, str]:
    anchor_id = decision["anchor_event_id"]
    found = [one for one in told.evaluations if one.anchor is not None and one.anchor.event_id == anchor_id]
    return found[-1].entities if found else {}


def _entities_at(told: Told, at_ms: int | None) -> dict[str, str]:
    found = [one for one in told.evaluations if at_ms is None or one.t_ms <= at_ms]
    return found[-1].entities if found else {}


def _decision(job: ReplayJob, action_id: str, actions_file: Path | None) -> Record:
    from flows.explain.run import decision_of, find_decision

    found = decision_of(job, action_id) if actions_file is None else find_decision(actions_file, action_id)
    if found is None:
        missing = f"{actions_file} has no such decision"
        where = "these rules, policy and events make no such decision" if actions_file is None else missing
        fail(
            f"action {action_id}: {where}; an action_id has 32 "
            "hexadecimal digits, as actions.ndjson has it", WRONG_INPUT,
        )  # fmt: skip
    return found


def rule_of(rules: RuleSet, rule_id: str) -> Rule:
    """The rule of an id; without one a message and exit code 1."""
    from difflib import get_close_matches

    for rule in rules.rules:
        if rule.id == rule_id:
            return rule
    known = [rule.id for rule in rules.rules]
    near = get_close_matches(rule_id, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"they have {', '.join(known[:10])}"
    fail(f"rule {rule_id!r} is not in the rules; {hint}", WRONG_INPUT)


def _time_of(text: str, timezone: str) -> int:
    if text.isdecimal() and int(text) <= TS_MAX_MS:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--at {text}: no time; give milliseconds since 1970, or such as 2026-03-04T10:00", WRONG_USAGE)
    at = at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(timezone))
    return round(at.timestamp() * 1000)
