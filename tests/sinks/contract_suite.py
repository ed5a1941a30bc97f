"""What holds for every writer; a test module gives a fixture `target` and takes the tests over by name."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Protocol

import pytest

from sinks.contract import SinkStopped, Writer
from tests.sinks.recording import RecordingEvents, Refusals, decision

Ids = dict[str, list[str]]


class Target(Protocol):
    """Where a writer writes, with the faults that it can be told to make."""

    keeps_order: bool
    waits_at_start: bool  # opening a writer needs nothing of the target

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        """A new writer; ``small``: one that holds only about 50 lines."""

    def line(self, number: int, customer: str) -> bytes:
        """A line with id ``a000007`` for number 7."""

    def found(self) -> list[tuple[str, str]]:
        """(customer, id) of all lines at the target, as they came to lie there, repetitions too."""

    def away(self) -> None:
        """Nothing can be written."""

    def back(self) -> None:
        """All is well again."""

    def fail_some(self, *, after: bool) -> None:
        """Some of the next attempts fail, before or after they took effect."""

    def slow(self) -> None:
        """Everything takes longer."""


def numbered(target: Target, numbers: range) -> list[bytes]:
    return [target.line(number, f"C{number % 5}") for number in numbers]


def expected(numbers: range) -> Ids:
    ids: Ids = defaultdict(list)
    for number in numbers:
        ids[f"C{number % 5}"].append(f"a{number:06d}")
    return ids


def seen(target: Target) -> Ids:
    """By customer, what a reader sees that drops what it has seen."""
    ids: dict[str, dict[str, None]] = defaultdict(dict)
    for customer, id_ in target.found():
        ids[customer][id_] = None
    return {customer: list(found) if target.keeps_order else sorted(found) for customer, found in ids.items()}


class WriterContract:
    """The tests. Events and refusals are fixtures of the module that takes them over."""

    def test_what_was_flushed_is_there(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals)
        for start in range(0, 60, 20):
            writer.write(numbered(target, range(start, start + 20)))
            writer.flush()
            assert seen(target) == expected(range(start + 20))
        writer.close()
        assert (events.rows, events.failures, refusals.lines) == (60, [], [])

    def test_nothing_to_flush(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals)
        writer.write([])
        writer.flush()
        writer.close()
        assert (target.found(), events.rows) == ([], 0)

    def test_more_than_it_holds(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals, small=True)
        writer.write(numbered(target, range(400)))
        writer.flush()
        writer.close()
        assert seen(target) == expected(range(400))

    def test_away_and_back(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals, small=True)
        writer.write(numbered(target, range(10)))
        writer.flush()
        target.away()
        events.mend = target.back
        writer.write(numbered(target, range(10, 200)))
        writer.flush()
        writer.close()
        assert seen(target) == expected(range(200))
        assert events.attempts[:3] == [1, 2, 3]
        assert events.recoveries >= 1
        assert events.rows >= 200

    def test_away_from_the_start(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        if not target.waits_at_start:
            return
        target.away()
        events.mend = target.back
        writer = target.writer(events, refusals)
        writer.write(numbered(target, range(10)))
        writer.flush()
        writer.close()
        assert seen(target) == expected(range(10))
        assert events.recoveries == 1

    @pytest.mark.parametrize("after", [False, True])
    def test_attempts_that_fail(self, target: Target, events: RecordingEvents, refusals: Refusals, after: bool) -> None:
        writer = target.writer(events, refusals, small=True)
        target.fail_some(after=after)
        for start in range(0, 200, 40):
            writer.write(numbered(target, range(start, start + 40)))
            writer.flush()
        writer.close()
        assert seen(target) == expected(range(200))
        assert refusals.lines == []

    def test_slow(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals, small=True)
        target.slow()
        writer.write(numbered(target, range(120)))
        writer.flush()
        writer.close()
        assert seen(target) == expected(range(120))

    def test_stop_while_away_and_again(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals)
        writer.write(numbered(target, range(10)))
        writer.flush()
        target.away()
        events.stop_at = 2
        with pytest.raises(SinkStopped):
            write_and_flush(writer, numbered(target, range(10, 20)))
        writer.close()
        writer.close()
        target.back()
        events.stop_at = None
        again = target.writer(events, refusals)
        again.write(numbered(target, range(5, 25)))  # the epoch that was not finished, again
        again.flush()
        again.close()
        assert seen(target) == expected(range(25))

    def test_a_writer_that_is_away_holds_little(
        self, target: Target, events: RecordingEvents, refusals: Refusals
    ) -> None:
        writer = target.writer(events, refusals, small=True)
        target.away()
        events.stop_at = 1
        taken: list[int] = []

        def write_for_ever() -> None:
            for number in count():
                writer.write([target.line(number, "C1")])
                taken.append(number)

        with pytest.raises(SinkStopped):
            write_for_ever()
        assert 20 <= len(taken) <= 100
        writer.close()
        target.back()

    def test_repeated_lines_do_no_harm(self, target: Target, events: RecordingEvents, refusals: Refusals) -> None:
        writer = target.writer(events, refusals)
        for _ in range(3):
            writer.write(numbered(target, range(20)))
            writer.flush()
        writer.close()
        assert seen(target) == expected(range(20))


def write_and_flush(writer: Writer, lines: list[bytes]) -> None:
    writer.write(lines)
    writer.flush()


class Decisions:
    """Targets whose lines are decisions."""

    def line(self, number: int, customer: str) -> bytes:
        return decision(number, customer)
