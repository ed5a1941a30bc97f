"""The key ``tests`` of a rule: read, checked, with times worked out and repeated events written out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rules.diagnostics import did_you_mean, one_of, shown
from rules.durations import parse_duration_ms
from rules.fields import FIELDS, TS_MAX_MS
from rules.mapping_reader import MappingReader
from rules.model import KINDS, STREAMS, Rule
from rules.rule_tests import DEFAULT_CUSTOMER, SCORE_FIELD, Expected, RuleTest, StoryEvent
from rules.yaml_source import Map, Node, Scalar, Seq, describe

TEST_KEYS = ("name", "events", "until", "expect")
EVENT_KEYS = ("at", "customer", "id", "times", "every", "scores")
"""Keys of an event that are no fields of it."""
EXPECT_KEYS = ("customer", "holding", "at", "decision", "reason", "features", "payload")
MAX_TIMES = 10_000
DAY_MS = 86_400_000

_FIRST_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)  # a Monday
_STEP_MS = 60_000
_TIME_HINT = 'a local time such as "2026-03-02 10:00", or +2h after the event before'
_RELATIVE = re.compile(r"([+-])(\S+)")
_FORMATS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")


def load_tests(reader: MappingReader, rule: Rule) -> tuple[RuleTest, ...]:
    """The tests of ``rule``, whose mapping ``reader`` reads. What is wrong is in the reader's problems."""
    node = reader.get("tests")
    if node is None:
        return ()
    if not isinstance(node, Seq):
        reader.wrong_type(node, "tests", "a list", "begin each test with `- name:`")
        return ()
    loader = _TestLoader(reader, rule, ZoneInfo(rule.timezone))
    tests = [test for item in node.items if (test := loader.test(item)) is not None]
    seen: set[str] = set()
    for test in tests:
        if test.name in seen:
            reader.problems.add("W701", test.position, f"a second test with the name {shown(test.name)}")
        seen.add(test.name)
    return tuple(tests)


def plain(node: Node) -> Any:
    """The value of a node as JSON has it."""
    if isinstance(node, Map):
        return {key: plain(value) for key, (_, value) in node.entries.items()}
    if isinstance(node, Seq):
        return [plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.value


@dataclass(slots=True)
class _TestLoader:
    reader: MappingReader
    rule: Rule
    zone: ZoneInfo

    def test(self, node: Node) -> RuleTest | None:
        problems = self.reader.problems
        if not isinstance(node, Map):
            problems.add("E101", node.position, f"a test must be a mapping, not {describe(node)}")
            return None
        reader = MappingReader(node, "a test", problems)
        reader.known_keys(TEST_KEYS)
        reader.require("name")
        name = reader.text_or_number("name", "")
        events = self._events(reader)
        last_ms = events[-1].ts_ms if events else self._local_ms(_FIRST_AT)
        latest_ms = max([last_ms, *(event.ts_ms for event in events)])
        until_node = reader.get("until")
        until_ms = self._default_until_ms(latest_ms) if until_node is None else self._time(until_node, last_ms)
        return RuleTest(name, tuple(events), until_ms, self._expected(reader, last_ms), node.position)

    def _default_until_ms(self, latest_ms: int) -> int:
        if self.rule.unless is not None:
            return latest_ms + self.rule.unless.within_ms
        return latest_ms + (DAY_MS if self.rule.daily is not None else 0)

    # --- events ---

    def _events(self, reader: MappingReader) -> list[StoryEvent]:
        node = reader.require("events")
        if node is None:
            return []
        if not isinstance(node, Seq):
            reader.wrong_type(node, "events", "a list", "begin each event with its stream, such as `- click:`")
            return []
        if not node.items:
            reader.problems.add("E116", node.position, "`events` is an empty list")
        events: list[StoryEvent] = []
        for item in node.items:
            before_ms = events[-1].ts_ms if events else None
            events += self._event(item, before_ms)
        return events

    def _event(self, node: Node, before_ms: int | None) -> Iterator[StoryEvent]:
        problems = self.reader.problems
        entry = _only_entry(node)
        if entry is None or entry[0].value not in STREAMS:
            near = None if entry is None else did_you_mean(entry[0].text, STREAMS)
            message = f"an event must be a stream with its fields, not {describe(node if entry is None else entry[0])}"
            problems.add("E702", node.position, message, near or one_of(STREAMS))
            return
        key, body = entry
        fields = body.entries if isinstance(body, Map) else {}
        if not isinstance(body, Map) and not (isinstance(body, Scalar) and body.value is None):
            self.reader.wrong_type(body, key.text, "a mapping of fields")
        reader = MappingReader(Map(body.position, body.position, fields), "an event", problems)
        values = {name: plain(value) for name, (_, value) in fields.items() if name not in EVENT_KEYS}
        for name, (written, _) in fields.items():
            near = None if name in FIELDS[key.text] else did_you_mean(name, (*FIELDS[key.text], *EVENT_KEYS), 0.8)
            if near and name not in EVENT_KEYS:
                problems.add("W201", written.position, f"{shown(name)} is no standard field of {key.text}", near)
        values |= self._scores(reader)
        at = reader.get("at")
        default_ms = self._local_ms(_FIRST_AT) if before_ms is None else before_ms + _STEP_MS
        ts_ms = default_ms if at is None else self._time(at, before_ms)
        every_ms = reader.duration_ms("every", _STEP_MS)
        customer = reader.text_or_number("customer", DEFAULT_CUSTOMER)
        event_id = reader.text_or_number("id", "") or None
        for number in range(reader.integer("times", 1, MAX_TIMES, 1)):
            when_ms = ts_ms + number * every_ms
            if not 0 <= when_ms <= TS_MAX_MS:
                problems.add("E701", key.position, "the event is not between 1970 and 9999")
                return
            own_id = event_id if event_id is None or number == 0 else f"{event_id}-{number + 1}"
            yield StoryEvent(key.text, customer, own_id, when_ms, values, key.position)

    def _scores(self, reader: MappingReader) -> dict[str, Any]:
        node = reader.get("scores")
        if node is None:
            return {}
        if not isinstance(node, Map):
            reader.wrong_type(node, "scores", "a mapping of models to scores", "{habits: 0.98}")
            return {}
        return {SCORE_FIELD + model: plain(value) for model, (_, value) in node.entries.items()}

    # --- expectations ---

    def _expected(self, reader: MappingReader, last_ms: int) -> tuple[Expected, ...]:
        node = reader.require("expect")
        if node is None or (isinstance(node, Scalar) and node.value == "none"):
            return ()
        if not isinstance(node, Seq):
            reader.wrong_type(node, "expect", "a list of decisions, or none")
            return ()
        if not node.items:
            reader.problems.add("E116", node.position, "`expect` is an empty list", "write `expect: none`")
        return tuple(found for item in node.items if (found := self._decision(item, last_ms)) is not None)

    def _decision(self, node: Node, last_ms: int) -> Expected | None:
        problems = self.reader.problems
        body: Node = Map(node.position, node.position, {})
        key = node
        if not isinstance(node, Scalar):
            entry = _only_entry(node)
            key, body = (node, body) if entry is None else entry
        kind = key.value if isinstance(key, Scalar) else None
        own = tuple(dict.fromkeys(action.kind for action in self.rule.actions)) or KINDS
        if not isinstance(kind, str) or kind not in own:
            message = f"the rule makes no such decision: {describe(key)}"
            problems.add("E703", node.position, message, one_of(own))
            return None
        if not isinstance(body, Map):
            self.reader.wrong_type(body, kind, "a mapping")
            return None
        reader = MappingReader(body, "an expected decision", problems)
        reader.known_keys(EXPECT_KEYS)
        at = reader.get("at")
        features = self._mapping(reader, "features")
        lets = {name for name, _ in self.rule.lets}
        for name, (written, _) in features.entries.items():
            if name not in lets:
                hint = did_you_mean(name, lets) or (one_of(sorted(lets)) if lets else None)
                problems.add("E704", written.position, f"the rule has no let {shown(name)}", hint)
        return Expected(
            kind,
            reader.text_or_number("customer", "") or None,
            reader.text_or_number("holding", "") or None,
            None if at is None else self._time(at, last_ms),
            reader.choice("decision", ("emitted", "suppressed"), "emitted"),
            reader.text_or_number("reason", "") or None,
            plain(features),
            plain(self._mapping(reader, "payload")),
            node.position,
        )

    def _mapping(self, reader: MappingReader, key: str) -> Map:
        node = reader.get(key)
        if node is not None and not isinstance(node, Map):
            reader.wrong_type(node, key, "a mapping")
        return node if isinstance(node, Map) else Map(reader.node.position, reader.node.position, {})

    # --- times ---

    def _time(self, node: Node, before_ms: int | None) -> int:
        """A local time, or one relative to the event before (for the first: to the usual beginning)."""
        base_ms = self._local_ms(_FIRST_AT) if before_ms is None else before_ms
        ts_ms = self._parsed(node.value, base_ms) if isinstance(node, Scalar) and isinstance(node.value, str) else None
        if ts_ms is None or not 0 <= ts_ms <= TS_MAX_MS:
            self.reader.problems.add("E701", node.position, f"no time of a test: {describe(node)}", _TIME_HINT)
            return base_ms
        return ts_ms

    def _parsed(self, text: str, base_ms: int) -> int | None:
        relative = _RELATIVE.fullmatch(text)
        if relative is not None:
            size_ms = parse_duration_ms(relative[2])
            return None if size_ms is None else base_ms + (size_ms if relative[1] == "+" else -size_ms)
        for form in _FORMATS:
            try:
                return self._local_ms(datetime.strptime(f"{text} +0000", f"{form} %z"))
            except (ValueError, OverflowError):
                continue
        return None

    def _local_ms(self, local: datetime) -> int:
        """The instant at which clocks in the rule's zone show what ``local`` shows; the first of two."""
        return round(local.replace(tzinfo=self.zone).timestamp() * 1000)


def _only_entry(node: Node) -> tuple[Scalar, Node] | None:
    if not isinstance(node, Map) or len(node.entries) != 1:
        return None
    (entry,) = node.entries.values()
    return entry


def with_tests(rule: Rule, reader: MappingReader) -> Rule:
    """``rule`` with what its mapping says for people, and its tests."""
    return replace(
        rule,
        reason=reader.text_or_number("reason", ""),
        owner=reader.text_or_number("owner", ""),
        script=reader.text_or_number("script", ""),
        tests=load_tests(reader, rule),
    )
