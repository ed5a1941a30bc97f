"""The checks of one rule that is parsed: what is legal but can't be meant."""

from __future__ import annotations

from collections.abc import Collection

from rules.check_habits import check_habits
from rules.check_never import ALWAYS_FALSE, Contradiction, NeverFinder
from rules.check_types import TypeChecker
from rules.diagnostics import Problems
from rules.model import AnchorField, Expr, Novel, Position, Rule, Score, Selector, Sequence
from rules.scope import Places
from rules.walk import expressions, rule_selectors, template_slots, walk, words


def check_rule(
    rule: Rule, places: Places, problems: Problems, complete: bool, models: Collection[str] | None = ()
) -> None:
    """Add warnings for ``rule`` to ``problems``.

    ``models`` are the names of the configured models. ``complete`` is False if parts of the rule are missing because
    they have errors: only what is said of single expressions is then checked.
    """
    before = len(problems.found)
    _check_types(rule, places, problems)
    typed = {problem.position for problem in problems.found[before:]}
    if complete:
        never = _check_never(rule, places, problems)
        _check_context(rule, places, problems, never)
        _check_selectors(rule, places, problems, typed, never)
    check_habits(rule, places, problems, complete, models)


def _check_types(rule: Rule, places: Places, problems: Problems) -> None:
    checker = TypeChecker(problems, places)
    for selector in rule.triggers:
        checker.check_selector(selector)
    for name, expr in rule.lets:
        checker.check_let(name, expr)
    if rule.when is not None:
        checker.check_condition(rule.when, checker.type_of(rule.when))
    for selector in rule.unless.selectors if rule.unless is not None else ():
        checker.check_selector(selector)
    for action in rule.actions:
        for slot in template_slots(action.payload):
            checker.type_of(slot.expr)


def _check_never(rule: Rule, places: Places, problems: Problems) -> Position | None:
    """Warn if the rule can't fire with any of its triggers; the place of that warning."""
    lets = dict(rule.lets)
    reasons: list[Contradiction] = []
    for selector in rule.triggers or (None,):
        finder = NeverFinder(lets, None if selector is None else selector.stream)
        found = None
        if selector is not None and selector.predicate is not None:
            found = finder.require(selector.predicate, selector.stream)
        if found is None and rule.when is not None:
            found = finder.require(rule.when)
        if found is None:
            return None
        reasons.append(found)
    place = places.of(reasons[0].node)
    hint = "to switch it off use `status: paused`" if reasons[0].reason == ALWAYS_FALSE else None
    problems.add("W301", place, f"the rule can never fire: {reasons[0].reason}", hint)
    return place


def _check_context(rule: Rule, places: Places, problems: Problems, never: Position | None) -> None:
    """Warn of values that are always null or false because of the rule's triggers."""
    streams = {selector.stream for selector in rule.triggers}
    for expr in expressions(rule):
        for node in walk(expr):
            stream = _anchor_stream_of(node)
            if stream is None or (stream in streams and not rule.daily) or (stream == "" and not rule.daily):
                continue
            place = places.of(node)
            if place == never:
                continue
            what = "false" if isinstance(node, Novel | Sequence) else "null"
            reason = "a date rule has no anchor event" if rule.daily else f"no trigger is on {stream}"
            problems.add("W302", place, f"{words(node)} is always {what} here: {reason}", _context_hint(node))


def _anchor_stream_of(node: Expr) -> str | None:
    """The stream that the anchor must be of to give ``node`` a value; empty if any will do, None if none is needed."""
    match node:
        case AnchorField(stream=stream) | Novel(selector=Selector(stream=stream)):
            return stream
        case Sequence(selectors=parts):
            return parts[-1].stream
    return "" if isinstance(node, Score) else None


def _context_hint(node: Expr) -> str | None:
    if isinstance(node, AnchorField):
        return f"for the latest event's use last({node.stream}.{node.name})"
    return None


def _check_selectors(
    rule: Rule, places: Places, problems: Problems, typed: set[Position], never: Position | None
) -> None:
    """Warn of selectors that match no event; not where a type problem or W301 (at ``never``) says so already."""
    for selector in rule_selectors(rule):
        if selector.predicate is None:
            continue
        found = NeverFinder({}, selector.stream).require(selector.predicate, selector.stream)
        if found is not None and places.of(found.node) not in typed | {never}:
            problems.add("W207", places.of(found.node), f"the selector can never match: {found.reason}")
