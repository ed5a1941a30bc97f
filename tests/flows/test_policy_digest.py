"""Two policies that say different things are told apart, so that a run that goes on under another one says so."""

from __future__ import annotations

from dataclasses import replace

from flows.state_folder import policy_digest
from rules.policy import Cap, Policy
from rules.ticket_policy import TicketPolicy
from rules.work_calendar import ALWAYS


def test_policies_are_told_apart() -> None:
    plain = replace(Policy.default(), caps=(Cap("survey", 1, 5),))
    tickets = TicketPolicy(ALWAYS, 20, (), (), 0, 0)
    policies = [
        Policy.default(), plain, replace(plain, caps=(Cap("survey", 1, 5, "nps"),)),
        replace(plain, caps=(Cap("survey", 1, 5, "ces"),)), replace(plain, tickets=tickets),
        replace(plain, tickets=replace(tickets, warn_percent=10)),
    ]  # fmt: skip
    assert len({policy_digest(policy) for policy in policies}) == len(policies)
