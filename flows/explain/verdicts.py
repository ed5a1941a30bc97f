"""What the contact policy said of a decision, with what it looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows.explain.run import Record
from flows.words import REASONS, duration, local_time, value_text
from rules.model import Rule
from rules.policy import Cap, Policy

TIME = "%Y-%m-%d %H:%M:%S"


def _same(decision: Record, other: Record) -> bool:
    return (decision["rule_id"], decision["holding_id"]) == (other["rule_id"], other["holding_id"])


def _asks(decision: Record, metric: str) -> bool:
    return bool(decision["kind"] == "survey" and decision["payload"].get("metric") == metric)


class Verdicts:
    """Explains decisions of one rule; ``decisions`` are all of the customer's, of all rules, in order."""

    def __init__(self, rule: Rule, policy: Policy, decisions: Sequence[Record]) -> None:
        self._rule, self._policy, self._decisions = rule, policy, decisions

    def words(self, decision: Record, values: Mapping[str, Any]) -> list[str]:
        """Sentences about one decision; ``values`` are those of its evaluation."""
        reason = decision["reason"]
        if reason is None:
            return ["Emitted: nothing held it back.", *self._passed(decision)]
        if reason == "shadow":
            would_be = decision["would_be"]
            found = ["Suppressed (shadow): the rule is on trial, nothing is sent."]
            if would_be == "emitted":
                return [*found, "Live, it would have been emitted."]
            detail = self._detail(would_be, decision, values)
            return [*found, f"Live, it would have been suppressed ({would_be}): {detail}"]
        return [f"Suppressed ({reason}): {self._detail(reason, decision, values)}"]

    def _before(self, decision: Record) -> list[Record]:
        """What was emitted for the customer before a decision."""
        place = next(number for number, one in enumerate(self._decisions) if one is decision)
        return [one for one in self._decisions[:place] if one["decision"] == "emitted"]

    def _detail(self, reason: str, decision: Record, values: Mapping[str, Any]) -> str:
        rule, policy, ts_ms = self._rule, self._policy, decision["ts"]
        if reason == "cooldown":
            last = [one for one in self._before(decision) if _same(one, decision) and one["ts"] < ts_ms]
            if last:
                at, until_ms = last[-1], last[-1]["ts"] + rule.cooldown_ms
                return (
                    f"this rule last acted for the customer at {local_time(at['ts'], rule.timezone, TIME)} (action "
                    f"{at['action_id']}), and its cooldown of {duration(rule.cooldown_ms)} ends at "
                    f"{local_time(until_ms, rule.timezone, TIME)}."
                )
        if reason == "cap":
            full = [text for cap, count, text in self._caps(decision) if count >= cap.max]
            if full:
                return f"the policy's limit is reached: {'; '.join(full)}."
        if reason == "holdout" and policy.holdout is not None:
            return (
                f"the customer is in the control group ({policy.holdout.percent_hundredths / 100:g}% of all, salt "
                f"{policy.holdout.salt!r}), which classes {', '.join(policy.holdout.classes)} leave alone."
            )
        if reason == "opt_out":
            channel = decision["payload"].get("channel")
            of = f"class {rule.rule_class!r}" + (f" or channel {channel!r}" if isinstance(channel, str) else "")
            listed = value_text(values.get("profile:opt_out"))
            return f"the customer does not want {of}: the profile's opt_out lists {listed}."
        if reason == "quiet_hours" and policy.quiet_hours is not None:
            quiet = policy.quiet_hours
            return (
                f"it was {local_time(ts_ms, policy.timezone, '%H:%M:%S')} in {policy.timezone}, and class "
                f"{rule.rule_class!r} is quiet from {clock(quiet.from_minute)} to {clock(quiet.to_minute)}."
            )
        if reason == "open_ticket":
            return f"ticket {decision['open_ticket_id']} of this rule is still open for the customer."
        return f"{REASONS.get(reason, 'held back')}."

    def _caps(self, decision: Record) -> Iterator[tuple[Cap, int, str]]:
        """The caps that concern a decision: how many contacts each counted, in words as well."""
        rule_class, ts_ms = self._rule.rule_class, decision["ts"]
        for cap in self._policy.caps:
            if cap.rule_class != rule_class and (cap.rule_class != "*" or rule_class == "risk"):
                continue
            if cap.metric is not None and not _asks(decision, cap.metric):
                continue
            counted = [
                one for one in self._before(decision)
                if ts_ms - cap.per_ms < one["ts"]
                and (one["class"] == cap.rule_class if cap.rule_class != "*" else one["class"] != "risk")
                and (cap.metric is None or _asks(one, cap.metric))
            ]  # fmt: skip
            named = ", ".join(f"{one['rule_id']} {one['action_id'][:8]}…" for one in counted)
            text = cap_text(cap, len(counted))
            yield cap, len(counted), text + (f" ({named})" if named else "")

    def _passed(self, decision: Record) -> Iterator[str]:
        rule, policy = self._rule, self._policy
        if policy.holdout is not None and rule.rule_class in policy.holdout.classes and rule.rule_class != "risk":
            yield "Control group: the customer is not in it."
        if rule.cooldown_ms:
            last = [one for one in self._before(decision) if _same(one, decision) and one["ts"] < decision["ts"]]
            said = "this rule had not acted for the customer before"
            if last:
                said = f"this rule last acted for the customer {local_time(last[-1]['ts'], rule.timezone, TIME)}"
            yield f"Cooldown of {duration(rule.cooldown_ms)}: {said}."
        for _, _, text in self._caps(decision):
            yield f"Contacts before it: {text}."
        quiet = policy.quiet_hours
        if quiet is not None and rule.rule_class in quiet.classes:
            at = local_time(decision["ts"], policy.timezone, "%H:%M:%S")
            yield f"Quiet hours {clock(quiet.from_minute)} to {clock(quiet.to_minute)}: it was {at}."


def cap_text(cap: Cap, count: int) -> str:
    """How much of a cap is used, as `1 of at most 2 of class 'survey' within 20 days`."""
    what = "of any class but risk" if cap.rule_class == "*" else f"of class {cap.rule_class!r}"
    if cap.metric is not None:
        what = f"surveys of {cap.metric!r} {what}"
    return f"{count} of at most {cap.max} {what} within {duration(cap.per_ms)}"


def clock(minute: int) -> str:
    """A minute of the day as `21:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"
