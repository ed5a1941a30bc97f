"""A followed ticket's record says all of it."""

import json
from random import Random

import pytest

from state.business_time import BusinessTime
from state.followed_tickets import FollowedTicket, TicketMessage
from state.ticket_clocks import CLOCKS, Clock, Limit

HOURS = BusinessTime("Asia/Shanghai", [((540, 720), (810, 1080))] * 5 + [(), ()], {})
STAGES = ("accepted", "analysing", "resolved", "followed_up", "closed", "reopened")
LIMITS = (Limit(3_600_000, "open"), Limit(28_800_000, "open"), Limit(15, "days", 40))


@pytest.mark.parametrize("seed", range(30))
def test_a_record_says_all(seed: int) -> None:
    rng = Random(seed)
    t_ms = 1_772_000_000_000 + rng.randrange(10**9)
    clocks = [Clock.start(name, limit, 20, t_ms, HOURS) for name, limit in zip(CLOCKS, LIMITS, strict=True)]
    ticket = FollowedTicket("t", "r", None, "level", t_ms, "q", None, clocks=clocks)
    seen = set()
    for _ in range(30):
        t_ms += rng.choice([0, 60_000, 3_600_000, 40_000_000, 200_000_000])
        if rng.random() < 0.2:
            ticket.reopen(t_ms, HOURS)
        paused, days = rng.choice([None, True, False]), rng.choice([None, None, 5, 99])
        ticket.told(TicketMessage(rng.choice([ticket.stage, *STAGES]), paused, days), t_ms, HOURS)
        for clock in ticket.clocks:
            clock.tell(t_ms)
        seen.add((ticket.paused, ticket.closed_ms is None, ticket.asked_to_reopen))
        assert FollowedTicket.from_record(json.loads(json.dumps(ticket.to_record()))) == ticket
    assert len(seen) > 1
