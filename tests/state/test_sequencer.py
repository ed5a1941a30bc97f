"""Watermarks, order and duplicates."""

import random
from collections import Counter

import pytest

from state import sequencer
from state.event import Event
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS, Deduplicator, Frontier, OrderedBuffer


def event(effective_ms, stream=0, event_id="e", customer_id="C", raw=b""):
    return Event(effective_ms, stream, event_id, customer_id, raw, effective_ms, False, 0, ({"not": "sortable"},))


def test_the_frontier_is_the_lowest_watermark_and_never_falls():
    frontier = Frontier(3)
    assert frontier.ms == BEFORE_ALL_MS
    for source, watermark_ms, want in [(0, 9, -1), (1, 5, -1), (2, 7, 5), (1, 3, 5), (1, 8, 7), (2, AFTER_ALL_MS, 8)]:
        frontier.advance(source, watermark_ms)
        assert frontier.ms == want
    frontier.advance(0, AFTER_ALL_MS)
    frontier.advance(1, AFTER_ALL_MS)
    assert frontier.ms == AFTER_ALL_MS


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("max_runs", [0, 2, 64])
def test_events_come_in_processing_order_whatever_the_order_of_arrival(monkeypatch, nested, max_runs):
    monkeypatch.setattr(sequencer, "_MAX_RUNS", max_runs)
    rng = random.Random(4)
    events = [
        event(rng.randrange(40), rng.randrange(6), rng.choice("ab"), rng.choice("CD"), rng.choice([b"", b"x"]))
        for _ in range(500)
    ]
    events = list({e[:5]: e for e in events}.values())  # the same one twice is a case of its own, below
    want = sorted(events, key=lambda e: e[:5])
    for ahead in (3, 20, 40):  # how far beyond the frontier a step brings events
        rng.shuffle(events)
        buffer, got, sent = OrderedBuffer(nested=nested), [], set()
        low = 0
        while low < 40:
            high = low + rng.randrange(1, 9)
            # those that come in this step lie at or above the frontier; some of those beyond it come later
            for e in events:
                due = e.effective_ms < high or (e.effective_ms < high + ahead and rng.random() < 0.5)
                if due and e[:5] not in sent:
                    sent.add(e[:5])
                    buffer.add([(e, 1) if nested else e])
            taken = [item[0] if nested else item for item in buffer.take(high)]
            assert all(e.effective_ms < high for e in taken)
            got += taken
            low = high
        assert got == want


def test_two_events_that_are_the_same_can_be_ordered():
    buffer = OrderedBuffer()
    buffer.add([event(1), event(1)])
    assert len(buffer.take(2)) == 2


def test_an_event_at_the_frontier_waits():
    buffer = OrderedBuffer()
    buffer.add([event(5)])
    assert buffer.take(5) == []
    assert buffer.take(6) == [event(5)]
    assert buffer.take(AFTER_ALL_MS) == []


@pytest.mark.parametrize("dedup_ms", [0, 1, 7, 1000])
def test_duplicates_against_a_plain_search(dedup_ms):
    rng = random.Random(dedup_ms)
    events = sorted(
        event(rng.randrange(400), rng.randrange(2), rng.choice("abc"), rng.choice("CD"), str(n).encode())
        for n in range(600)
    )
    kept = []
    for e in events:
        same = (k for k in kept if k[1:4] == e[1:4])
        if not any(e.effective_ms - k.effective_ms < dedup_ms for k in same):
            kept.append(e)
    deduplicator, got = Deduplicator(dedup_ms), []
    while events:
        size = rng.randrange(1, 50)
        got += deduplicator.keep_new(events[:size])
        del events[:size]
    assert got == kept
    assert Counter(e.stream for e in got).keys() == {0, 1}


def test_what_was_dropped_does_not_extend_the_horizon():
    deduplicator = Deduplicator(10)
    assert [bool(deduplicator.keep_new([event(t)])) for t in (0, 6, 9, 10, 16, 20)] == [
        True, False, False, True, False, True,
    ]  # fmt: skip
