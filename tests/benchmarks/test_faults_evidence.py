"""The judge of the fault scenarios finds what it is there for."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.faults.evidence import Verdict, check_dead_letters, check_order, deduplicated


class FakeMessage:
    def __init__(self, topic: str, customer: str, action_id: str, **fields: Any) -> None:
        self._topic, self._key, self._id = topic, customer.encode(), action_id
        self._value = json.dumps({"action_id": action_id, **fields}).encode()

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [("action_id", self._id.encode())]


class FakeLetter(FakeMessage):
    def __init__(self, raw: bytes, reason: str, **headers: str) -> None:
        self._value = raw
        self._headers = [(name, text.encode()) for name, text in {"reason": reason, **headers}.items()]

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


def test_sets_that_differ() -> None:
    verdict = Verdict()
    verdict.same("things", [1, 2], [1, 2])
    assert not verdict.problems
    verdict.same("things", [1, 4], [1, 2, 3])
    assert verdict.problems == ["things: 2 missing of 3, such as 2, 3", "things: 1 that should not be, such as 4"]


def test_repetitions_are_passed_over_and_must_be_the_same() -> None:
    verdict = Verdict()
    same = [FakeMessage("cem.tag", "C1", "a", ts=1), FakeMessage("cem.tag", "C1", "b", ts=2)]
    sequences, live = deduplicated(verdict, [*same, same[0]])
    assert (dict(sequences), list(live)) == ({("cem.tag", "C1"): ["a", "b"]}, ["a", "b"])
    assert not verdict.problems
    deduplicated(verdict, [*same, FakeMessage("cem.tag", "C1", "a", ts=3)])
    assert verdict.problems == ["1 messages repeat an action_id with other content"]


def test_order_of_each_customer() -> None:
    due = {key: {"action_id": key, "kind": "tag", "decision": "emitted", "customer_id": "C1"} for key in "abc"}
    replayed = [due["a"], due["b"], due["c"]]
    for found, problems in (("abc", 0), ("acb", 1), ("ab", 1)):
        verdict = Verdict()
        check_order(verdict, {("cem.tag", "C1"): list(found)}, replayed, due)
        assert len(verdict.problems) == problems, found


def test_dead_letters_by_their_reasons() -> None:
    recorded = [b'{"stream":"click","event_id":"e1"}']
    letters = [
        FakeLetter(b"x", "not_json"),
        FakeLetter(b"cut", "not_json", cut_from="2000000"),
        FakeLetter(b'{"event_id":"e1"}', "future_ts"),
    ]
    verdict = Verdict()
    refused = check_dead_letters(verdict, letters, {b"x": "not_json", b"y" * 2_000_000: "not_json"}, recorded)
    assert not verdict.problems
    assert refused == set(recorded)
    check_dead_letters(verdict, letters[:1], {b"x": "wrong_type"}, recorded)
    assert len(verdict.problems) == 2
