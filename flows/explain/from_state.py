"""Why a rule has not acted, or would not act now, for a customer: by what a state folder keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.explain.answer import Answer, head_of, lets_of
from flows.explain.policy_now import Check, PolicyNow
from flows.explain.present import Present, Try
from flows.explain.standing import Standing
from flows.explain.verdicts import TIME
from flows.live.pauses import PauseFiles, PausesError
from flows.state_customer import ordering_of, shards_of_customer, waiting_of
from flows.state_folder import policy_digest
from flows.state_rules import FolderRules
from flows.words import duration, local_time
from operators.policy_gate import QUIET_HOURS
from operators.survey import end_of, find_customer, watermark_of
from operators.views import open_tickets
from rules.model import Rule, RuleSet
from rules.policy import Policy
from rules.unparse import selector_text
from state.disk import StateError
from state.row_snapshots import Sections
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS
from state.state_folder import StateFolder
from state.timers import Firing

QUESTION = "why_not_now"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a state folder: ``kept`` are the rules that it was written under."""

    folder: StateFolder
    kept: FolderRules
    rules: RuleSet
    policy: Policy
    customer_id: str
    rule: Rule


def explain_state(asked: Asked) -> Answer:
    """What the folder knows of the customer now, and what would come of it if the rule fired.

    Raises
    ------
    StateError
        A file is damaged or missing.
    """
    folder, rule, customer_id = asked.folder, asked.rule, asked.customer_id
    shards = shards_of_customer(folder, customer_id)
    head = head_of(rule, customer_id) | {"question": QUESTION, "notes": list(_notes(asked))}
    if "decide" not in shards:
        return head | {"as_of": None, "known": False, "waiting": 0, "summary": _unknown(asked, None, 0)}
    frames = shards["decide"].sections
    waiting = len(waiting_of(ordering_of(shards), customer_id))
    t_ms = _now_ms(folder, frames[-1])
    as_of = None if t_ms <= BEFORE_ALL_MS else t_ms
    found = find_customer(frames, customer_id)
    head |= {"as_of": as_of, "known": found is not None, "waiting": waiting}
    if found is None:
        return head | {"summary": _unknown(asked, as_of, waiting)}
    present = Present(
        asked.rules, rule, asked.policy, lambda rules_id: asked.kept.tables(rules_id).plan, frames, found, customer_id,
        t_ms,
    )  # fmt: skip
    tries = [_tried(asked, present, one) for one in present.tries()]
    armed = present.customer.armed.get(rule.id)
    return head | {
        "summary": list(_summary(asked, present, waiting, tries)),
        "armed": None if armed is None or armed.firing is None else {
            "deadline": armed.deadline_ms, **_event(armed.firing),
        },
        "held": [
            {"until": timer.at_ms, "actions": len(timer.indices), **_event(timer.firing)}
            for timer in present.held() if timer.firing is not None
        ],
        "tickets": [ticket for ticket in open_tickets(present.customer) if ticket["rule_id"] == rule.id],
        "next_tick": present.next_tick_ms,
        "tries": tries,
    }  # fmt: skip


def _now_ms(folder: StateFolder, sections: Sections) -> int:
    """Up to when a shard has taken events and let deadlines come, as of a file."""
    watermark_ms, end_ms = watermark_of(sections), end_of(sections)
    about = folder.about.get("run")
    until = str(about.get("--until")) if isinstance(about, dict) else ""
    if watermark_ms == AFTER_ALL_MS and until.isdecimal():
        end_ms = max(end_ms, int(until))
    return min(watermark_ms, end_ms)


def _notes(asked: Asked) -> Iterator[str]:
    known = asked.folder.about.get("policy")  # a folder of format 1 says it elsewhere, and as an older release did
    if known is not None and known != policy_digest(asked.policy):
        yield "The run has another contact policy than was given; what is said of it here is by the one given."


def _unknown(asked: Asked, as_of: int | None, waiting: int) -> list[str]:
    when = "yet" if as_of is None else f"as of {local_time(as_of, asked.rule.timezone, TIME)}"
    said = [f"{asked.folder.path} holds nothing of customer {asked.customer_id} {when}."]
    if waiting:
        return [*said, _waiting(waiting)]
    return [
        *said,
        "Either no event of theirs has come, or nothing that could matter is left of them, or the id is wrong.",
    ]


def _waiting(count: int) -> str:
    if count == 1:
        return "One event of the customer waits for its turn and does not count yet."
    return f"{count:,} events of the customer wait for their turn and do not count yet."


def _event(firing: Firing) -> Answer:
    return {"stream": firing.anchor_stream, "event_id": firing.anchor_id, "ts": firing.anchor_ms,
            "holding_id": firing.holding_id}  # fmt: skip


def _tried(asked: Asked, present: Present, one: Try) -> Answer:
    rule = present.rule
    condition = Standing(rule, present.probes.parts, one.values)
    policy = PolicyNow(
        asked.policy, present.plan, present.customer, asked.customer_id, present.profile, present.t_ms,
        _paused(asked), present.warm_from_ms,
    )  # fmt: skip
    checks = list(policy.checks(rule, one.firing))
    verdicts, held, until_ms = policy.verdicts(rule, one.firing)
    decided: dict[int, Answer] = {
        verdict.index: {"decision": "suppressed" if verdict.reason else "emitted", "reason": verdict.reason,
                        "would_be": verdict.would_be}
        for verdict in verdicts
    }  # fmt: skip
    decided |= {
        index: {"decision": "held", "reason": QUIET_HOURS, "would_be": None, "until": until_ms} for index in held
    }
    return {
        "holding_id": one.holding_id,
        "holds": True if rule.when is None else condition.holds(rule.when),
        "needs_event": condition.unknown_parts(),
        "failed": condition.failures(),
        "condition": [asdict(line) for line in condition.lines()],
        "lets": [
            let | {"needs_event": not condition.is_known(expr)}
            for let, (_, expr) in zip(lets_of(rule, one.values), rule.lets, strict=True)
        ],
        "policy": [asdict(check) for check in checks],
        "first": _first(checks),
        "actions": [{"kind": action.kind, **decided[index]} for index, action in enumerate(rule.actions)],
    }


def _first(checks: list[Check]) -> str | None:
    return next((check.reason for check in checks if check.holds_back), None)


def _paused(asked: Asked) -> str:
    """Why the rule is paused, empty if it is not."""
    if asked.rule.status == "paused":
        return "`status: paused` in its file: it is not evaluated at all"
    try:
        change = PauseFiles(Path(asked.folder.path)).paused().get(asked.rule.id)
    except PausesError as error:
        raise StateError(error.path, *error.args[1:]) from error
    if change is None:
        return ""
    return f"paused by {change.by} since {local_time(change.at_ms, asked.rule.timezone, TIME)}: {change.why}"


def _summary(asked: Asked, present: Present, waiting: int, tries: list[Answer]) -> Iterator[str]:
    rule, zone = present.rule, present.rule.timezone
    yield f"{asked.customer_id} as of {local_time(present.t_ms, zone, TIME)}, which is how far the state is."
    if waiting:
        yield _waiting(waiting)
    if rule.daily is None:
        yield f"The rule is tried at each {' or '.join(map(selector_text, rule.triggers))}, which then counts too."
    else:
        yield from _ticks(present, tries)
    if rule.unless is not None:
        yield from _deadline(present)
    for timer in present.held():
        count = "An action is" if len(timer.indices) == 1 else f"{len(timer.indices)} actions are"
        yield f"{count} held by quiet hours until {local_time(timer.at_ms, zone, TIME)}."


def _ticks(present: Present, tries: list[Answer]) -> Iterator[str]:
    rule, next_ms = present.rule, present.next_tick_ms
    assert rule.daily is not None
    each = " for each entry of profile.holdings" if rule.each_holding else ""
    at = "" if next_ms is None else f", next at {local_time(next_ms, rule.timezone, TIME)}"
    yield f"The rule is tried every day at {rule.daily.hour:02}:{rule.daily.minute:02}{each}{at}."
    if present.profile is None:
        yield "A date rule looks at customers with a profile, and there is none."
    elif not tries:
        yield "profile.holdings has no entry with an id: there is nothing to try it for."


def _deadline(present: Present) -> Iterator[str]:
    rule, zone = present.rule, present.rule.timezone
    assert rule.unless is not None
    armed = present.customer.armed.get(rule.id)
    awaited = " or ".join(map(selector_text, rule.unless.selectors))
    if armed is None or armed.firing is None:
        within = duration(rule.unless.within_ms)
        yield f"It waits for nothing now. Set off, it would wait {within} for {awaited}, and ask the policy then."
        return
    firing = armed.firing
    since = local_time(firing.anchor_ms, zone, TIME)
    yield (
        f"It waits since {firing.anchor_stream} {firing.anchor_id} of {since}: unless {awaited} comes, it fires at "
        f"{local_time(armed.deadline_ms, zone, TIME)}."
    )
    if rule.unless.restart == "first":
        yield "Until then another event that would set it off is ignored."
    else:
        yield "Another event that sets it off takes that one's place, and puts the deadline off."
