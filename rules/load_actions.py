"""The actions of a rule: what stands under ``then``."""

from __future__ import annotations

from typing import Any

from rules.diagnostics import did_you_mean, one_of, shown
from rules.mapping_reader import MappingReader
from rules.model import KINDS, Action
from rules.scope import ExprText, Scope
from rules.template import parse_template
from rules.ticket_policy import TICKET_EVENTS
from rules.yaml_source import Map, Node, Scalar, Seq, describe


def load_actions(reader: MappingReader, scope: Scope) -> tuple[Action, ...]:
    """The actions under ``then``; those with errors, which go to ``scope.problems``, are left out."""
    node = reader.require("then")
    if node is None:
        return ()
    if not isinstance(node, Seq):
        reader.wrong_type(node, "then", "a list of actions", "- ticket: {queue: service}")
        return ()
    if not node.items:
        scope.problems.add("E116", node.position, "`then` is an empty list", "give at least one action")
    actions = [_action(reader, scope, item) for item in node.items]
    return tuple(action for action in actions if action is not None)


def _action(reader: MappingReader, scope: Scope, node: Node) -> Action | None:
    problems = scope.problems
    if not isinstance(node, Map) or len(node.entries) != 1:
        what = f"{len(node.entries)} keys" if isinstance(node, Map) else describe(node)
        hint = "- ticket: {queue: service}; the payload's keys stand deeper than the kind"
        problems.add("E114", node.position, f"an action is a mapping with one key, its kind; this is {what}", hint)
        return None
    kind, (key, value) = next(iter(node.entries.items()))
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or one_of(KINDS)
        problems.add("E115", key.position, f"unknown kind of action {shown(kind)}", hint)
    if isinstance(value, Scalar) and value.value is None:
        return Action(kind, {})
    if not isinstance(value, Map):
        reader.wrong_type(value, kind, "a mapping", "{queue: service}")
        return None
    if kind == "escalate" and "event" in value.entries:
        event = value.entries["event"][1]
        if isinstance(event, Scalar) and event.value in TICKET_EVENTS:
            hint = "call it otherwise; `reopen` reopens a ticket"
            problems.add("E117", event.position, f"{shown(event.text)} is what tickets escalate of themselves", hint)
    return Action(kind, _payload(scope, value))


def _payload(scope: Scope, node: Node) -> Any:
    if isinstance(node, Map):
        return {name: _payload(scope, value) for name, (_, value) in node.entries.items()}
    if isinstance(node, Seq):
        return [_payload(scope, item) for item in node.items]
    assert isinstance(node, Scalar)
    if isinstance(node.value, str):
        return parse_template(ExprText(node.value, node.place_of), scope)
    return node.value
