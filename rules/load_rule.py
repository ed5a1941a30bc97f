"""One rule of a file: its keys, selectors, expressions and actions."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from dataclasses import dataclass

from rules.check import check_rule
from rules.diagnostics import Problems, shown
from rules.durations import CLOCK_HINT, parse_clock_minutes
from rules.load_actions import load_actions
from rules.load_tests import with_tests
from rules.mapping_reader import MappingReader
from rules.model import (
    CLASSES,
    STATUSES,
    STREAMS,
    Daily,
    Expr,
    Literal,
    Position,
    Rule,
    Selector,
    Unless,
)
from rules.parse import parse_expression, parse_selector
from rules.scope import ExprText, Scope, identifier_key
from rules.torn_calls import torn_calls
from rules.yaml_source import Map, Node, Scalar, Seq, describe

RULE_KEYS = (
    "id",
    "version",
    "title",
    "status",
    "class",
    "priority",
    "trigger",
    "each",
    "let",
    "when",
    "unless",
    "cooldown",
    "then",
    "reason",
    "owner",
    "script",
    "tests",
)
_ID = re.compile(r"[a-z0-9-]+")
_EXPRESSION_HINT = "put the expression in quotes"


def load_rule(
    node: Node, timezone: str, problems: Problems, ids: dict[str, Position], models: Collection[str] | None
) -> Rule | None:
    """The rule in ``node``; if it has errors they are in ``problems`` and the result has no meaning.

    ``ids`` holds the ids seen so far with their places, and gets this one's; ``models`` are the configured models.
    """
    if not isinstance(node, Map):
        problems.add("E101", node.position, f"a rule must be a mapping, not {describe(node)}")
        return None
    reader = MappingReader(node, "a rule", problems)
    rule_id = _rule_id(reader, ids)
    problems.rule_id = rule_id
    reader.known_keys(RULE_KEYS)
    before = problems.errors
    scope = Scope(problems, timezone)
    rule = RuleLoader(reader, scope).load(rule_id or "")
    check_rule(rule, scope.places, problems, complete=problems.errors == before, models=models)
    return with_tests(rule, reader)


def rule_id_of(node: Map) -> str | None:
    """The rule's id if it is well-formed."""
    entry = node.entries.get("id")
    text = entry[1].value if entry is not None and isinstance(entry[1], Scalar) else None
    return text if isinstance(text, str) and _ID.fullmatch(text) else None


def _rule_id(reader: MappingReader, ids: dict[str, Position]) -> str | None:
    entry = reader.node.entries.get("id")
    text = reader.string(reader.require("id"), "id")
    if entry is None or text is None:
        return None
    place = entry[1].position
    if not _ID.fullmatch(text):
        reader.problems.add("E106", place, f"{shown(text)} is no rule id", "use a-z, 0-9 and - only")
        return None
    reader.problems.rule_id = text
    if text in ids:
        reader.problems.add("E107", place, f"a second rule with the id {shown(text)}", f"first at {ids[text]}")
    else:
        ids[text] = place
    return text


@dataclass(slots=True)
class RuleLoader:
    """Reads the keys of one rule, or of what else has selectors and named expressions."""

    reader: MappingReader
    scope: Scope

    def load(self, rule_id: str) -> Rule:
        """The rule, read key by key."""
        reader, scope = self.reader, self.scope
        triggers, daily = self._trigger()
        each = self._each()
        lets = self.lets("let")
        when_node = reader.get("when")
        when = None if when_node is None else self._expression(when_node, "when")
        unless = self._unless()
        return Rule(
            id=rule_id,
            version=reader.integer("version", 1, None, 1),
            title=reader.text_or_number("title", ""),
            status=reader.choice("status", STATUSES, "live"),
            rule_class=reader.choice("class", CLASSES, "service"),
            priority=reader.integer("priority", 0, 100, 50),
            triggers=triggers,
            daily=daily,
            each_holding=each,
            lets=lets,
            when=when,
            unless=unless,
            cooldown_ms=reader.duration_ms("cooldown"),
            actions=load_actions(reader, scope),
            timezone=scope.timezone,
            position=reader.node.position,
        )

    # --- trigger ---

    def _trigger(self) -> tuple[tuple[Selector, ...], Daily | None]:
        self.name_lets("let")
        node = self.reader.require("trigger")
        if node is None:
            return (), None
        if isinstance(node, Map):
            self.scope.daily = True
            return (), self._daily(node)
        selectors = self.selectors(node, "trigger")
        self.scope.trigger_streams = tuple(dict.fromkeys(selector.stream for selector in selectors))
        return selectors, None

    def _daily(self, node: Map) -> Daily | None:
        reader = MappingReader(node, "a trigger", self.scope.problems)
        reader.known_keys(("daily",))
        value = reader.require("daily")
        if value is None:
            return None
        minutes = (
            parse_clock_minutes(value.text) if isinstance(value, Scalar) and isinstance(value.value, str) else None
        )
        if minutes is None:
            reader.problems.add("E111", value.position, f"`daily` is no time of day: {describe(value)}", CLOCK_HINT)
            return None
        return Daily(*divmod(minutes, 60))

    def selectors(self, node: Node, key: str) -> tuple[Selector, ...]:
        """One selector or a list of them."""
        items = node.items if isinstance(node, Seq) else [node]
        if not items:
            self.scope.problems.add("E116", node.position, f"`{key}` is an empty list")
        found = []
        for item in items:
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                self.reader.wrong_type(item, key, "a selector", "stream or stream[condition]")
                continue
            selector = parse_selector(ExprText(item.value, item.place_of), self.scope)
            if selector is not None:
                found.append(selector)
        return tuple(found)

    def _each(self) -> bool:
        entry = self.reader.node.entries.get("each")
        if self.reader.choice("each", ("holdings",), "") != "holdings" or entry is None:
            return False
        if not self.scope.daily and "trigger" in self.reader.node.entries:
            message = "`each` is for date rules only"
            self.scope.problems.add("E113", entry[0].position, message, 'use `trigger: {daily: "09:00"}`')
        self.scope.each_holding = True
        return True

    # --- expressions ---

    def _expression(self, node: Node, key: str) -> Expr | None:
        if not isinstance(node, Scalar):
            self.reader.wrong_type(node, key, "an expression", _EXPRESSION_HINT)
            return None
        if isinstance(node.value, str):
            return parse_expression(ExprText(node.value, node.place_of), self.scope)
        literal = Literal.of(node.value)
        self.scope.places.put(literal, ExprText(node.text, node.place_of), 0)
        return literal

    def name_lets(self, key: str) -> None:
        """Make all names known first, so that selectors can say that they can't use them."""
        node = self.reader.node.entries.get(key)
        if node is not None and isinstance(node[1], Map):
            self.scope.all_lets = {identifier_key(name): name for name in node[1].entries}

    def lets(self, under: str) -> tuple[tuple[str, Expr], ...]:
        """Named expressions, of which later ones may use earlier ones."""
        node = self.reader.optional(under)
        if node is None:
            return ()
        if not isinstance(node, Map):
            self.reader.wrong_type(node, under, "a mapping of names to expressions")
            return ()
        lets = []
        torn = torn_calls(node)
        for name, (key, value) in node.entries.items():
            if name in torn.rest:
                continue
            usable = self._check_let_name(name, key)
            if isinstance(value, Scalar) and value.value is None:
                self.scope.problems.add(
                    "E216", value.position, f"the {self.scope.named_value} {shown(name)} has no value"
                )
                expr = None
            elif name in torn.begun:
                message = f"YAML takes {describe(value)} to end at the comma"
                self.scope.problems.add("E201", value.position, message, "put an expression with a comma in quotes")
                expr = None
            else:
                expr = self._expression(value, name)
            if usable:
                self.scope.lets[identifier_key(name)] = name
            if expr is not None:
                lets.append((name, expr))
        return tuple(lets)

    def _check_let_name(self, name: str, key: Scalar) -> bool:
        reason = None
        if not name.isidentifier():
            reason = "is no name", "letters, digits and _, not beginning with a digit"
        elif keyword.iskeyword(name):
            reason = "is a word of the language", "choose another name"
        elif name in STREAMS or name in ("ts", "profile", "holding"):
            reason = "has a meaning of its own", "choose another name"
        elif identifier_key(name) in self.scope.lets:
            reason = "is the same name as an earlier one", "choose another name"
        if reason is not None:
            self.scope.problems.add(
                "E112", key.position, f"the {self.scope.named_value} {shown(name)} {reason[0]}", reason[1]
            )
        return reason is None

    # --- unless ---

    def _unless(self) -> Unless | None:
        node = self.reader.get("unless")
        if node is None:
            return None
        if self.scope.daily:
            place = self.reader.node.entries["unless"][0].position
            self.scope.problems.add("E113", place, "`unless` is not for date rules")
        if not isinstance(node, Map):
            self.reader.wrong_type(node, "unless", "a mapping", "{event: selector, within: 24h}")
            return None
        reader = MappingReader(node, "`unless`", self.scope.problems)
        reader.known_keys(("event", "within", "restart"))
        event = reader.require("event")
        selectors = () if event is None else self.selectors(event, "event")
        within_ms = reader.duration_ms("within", required=True)
        zero = reader.zero_duration("within")
        if zero is not None:
            message = "`within` is no time at all: the deadline is the moment of the trigger"
            self.scope.problems.add("W309", zero, message, "give the time to wait, such as 24h")
        return Unless(
            selectors,
            within_ms,
            reader.choice("restart", ("first", "latest"), "first"),
        )
