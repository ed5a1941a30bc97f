"""Timers come in the order of section 4 of the contract, held decisions are counted."""

import random

from state.timers import DEADLINE, HELD, TICK, TimerQueue


def drain(queue):
    found = []
    while queue.next_ms() is not None:
        at_ms = queue.next_ms()
        timer = queue.pop()
        assert timer.at_ms == at_ms
        found.append((timer.at_ms, timer.rule, timer.kind, timer.row))
    return found


def test_order_is_time_then_rule_then_kind_then_when_it_was_set():
    rng = random.Random(3)
    queue, want = TimerQueue(), []
    for number in range(500):
        at_ms, kind, rule = rng.randrange(5), rng.choice([DEADLINE, HELD, TICK]), rng.randrange(3)
        queue.set(at_ms, kind, rule, number)
        want.append((at_ms, rule, kind, number))
    assert drain(queue) == sorted(want)


def test_deadline_before_held_before_tick():
    queue = TimerQueue()
    for kind in (TICK, HELD, DEADLINE):
        queue.set(7, kind, 0)
    assert [kind for _, _, kind, _ in drain(queue)] == [DEADLINE, HELD, TICK]


def test_held_decisions_are_counted():
    queue = TimerQueue()
    queue.set(1, HELD, 0, 1, indices=(0, 2))
    queue.set(0, DEADLINE, 0, 1)
    queue.set(2, HELD, 0, 1, indices=(1,))
    assert queue.held_decisions == 3
    assert queue.pop().kind == DEADLINE
    assert queue.held_decisions == 3
    assert queue.pop().indices == (0, 2)
    assert queue.held_decisions == 1
    queue.pop()
    assert (queue.held_decisions, queue.next_ms()) == (0, None)
