"""Whether what a policy says of tickets fits the tickets that the rules open."""

from __future__ import annotations

from rules.diagnostics import Diagnostic, Problems, did_you_mean, one_of, shown
from rules.model import RuleSet
from rules.ticket_policy import TicketPolicy


def check_tickets(policy: TicketPolicy, rules: RuleSet) -> list[Diagnostic]:
    """A warning for each condition under `for` that no ticket of the rules can meet: a slip, most often."""
    problems = Problems()
    ids = [rule.id for rule in rules.rules]
    payloads = [action.payload for rule in rules.rules for action in rule.actions if action.kind == "ticket"]
    keys = {key for payload in payloads for key in payload}
    keys |= {key for route in policy.routes for key, _ in route.payload}
    for meant in [route.meant for route in policy.routes] + [level.meant for level in policy.levels]:
        if meant.position is None:
            continue
        for rule_id in meant.rules:
            if rule_id not in ids:
                message = f"no rule {shown(rule_id)} in the files that are checked"
                problems.add("W503", meant.position, message, did_you_mean(rule_id, ids))
        for key, _ in meant.payload:
            if key not in keys:
                hint = did_you_mean(key, ("rule", "class", *sorted(keys))) or one_of(("rule", "class", *sorted(keys)))
                problems.add("W503", meant.position, f"no ticket of the rules has {shown(key)} in its payload", hint)
    return problems.found
