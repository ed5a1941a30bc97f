"""Habits that go wrong in production: mixed currencies, endless waiting, contacts without limit, huge windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rules.diagnostics import Problems, did_you_mean, shown
from rules.model import (
    Aggregate,
    Compare,
    Expr,
    Field,
    LetRef,
    Literal,
    Logic,
    Novel,
    Rises,
    Rule,
    Score,
    Sequence,
)
from rules.scope import Places
from rules.walk import expressions, walk

MAX_WINDOW_DAYS = 400
"""A year and a little: customers' events are kept for as long as the longest window."""

_DAY_MS = 86_400_000


def check_habits(
    rule: Rule, places: Places, problems: Problems, complete: bool, models: Collection[str] | None
) -> None:
    """Add the warnings of this module to ``problems``; whole-rule ones only if the rule is ``complete``."""
    for expr in expressions(rule):
        for node in walk(expr):
            _check_currency(node, places, problems)
            _check_window(node, places, problems)
            if isinstance(node, Score) and rule.daily is None and models is not None and node.model not in models:
                hint = (
                    did_you_mean(node.model, models) or "without one it is always null; models are given with --models"
                )
                problems.add("W307", places.of(node), f"no model {shown(node.model)} is configured", hint)
    if complete:
        _check_put_off(rule, problems)
        _check_contacts(rule, problems)


def _check_currency(node: Expr, places: Places, problems: Problems) -> None:
    if not isinstance(node, Aggregate) or node.op not in ("sum", "mean"):
        return
    if node.selector.stream != "txn" or node.field != "amount" or node.per == "currency":
        return
    predicate = node.selector.predicate
    if predicate is None or not any(part == Field("currency") for part in walk(predicate)):
        message = f"{node.op} of amounts with no condition on the currency adds up different currencies"
        problems.add("W303", places.of(node), message, 'add `currency == "CNY"` to the selector')


def _check_window(node: Expr, places: Places, problems: Problems) -> None:
    size_ms = 0
    if isinstance(node, Aggregate):
        size_ms = node.window.size_ms
    elif isinstance(node, Novel | Sequence):
        size_ms = node.within_ms
    if size_ms > MAX_WINDOW_DAYS * _DAY_MS:
        message = f"a window of more than {MAX_WINDOW_DAYS} days keeps every customer's events for as long"
        problems.add("W306", places.of(node), message)


def _check_put_off(rule: Rule, problems: Problems) -> None:
    """Warn of a deadline that each further match moves on, unless a condition limits the number of matches."""
    if rule.unless is None or rule.unless.restart != "latest":
        return
    if rule.when is not None:
        lets = dict(rule.lets)
        if any(_limits_matches(part, rule.unless.within_ms, lets) for part in _conjuncts(rule.when, lets)):
            return
    message = "`restart: latest` can be put off for ever: each match within `within` moves the deadline on"
    problems.add("W304", rule.position, message, "use `restart: first` or limit the matches with count(…) <= …")


def _limits_matches(part: Expr, within_ms: int, lets: dict[str, Expr]) -> bool:
    """Whether ``part`` is ``count(…) <= n`` over a window in which n matches can't hold off the deadline for ever."""
    if not isinstance(part, Compare) or part.ops[0] not in ("<", "<=", "==") or len(part.ops) > 1:
        return False
    term, bound = part.operands
    seen = 0
    while isinstance(term, LetRef) and term.name in lets and seen <= len(lets):
        term, seen = lets[term.name], seen + 1
    if not isinstance(term, Aggregate) or term.op != "count" or not isinstance(bound, Literal):
        return False
    if bound.type_name not in ("int", "float"):
        return False
    return term.window.kind == "ever" or term.window.size_ms >= (bound.value + 1) * within_ms > 0


def _conjuncts(expr: Expr, lets: dict[str, Expr]) -> Iterator[Expr]:
    """The parts of ``expr`` that must all hold; each let is followed once."""
    waiting, followed = [expr], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, LetRef) and part.name in lets and part.name not in followed:
            followed.add(part.name)
            waiting.append(lets[part.name])
        elif isinstance(part, Logic) and part.op == "and":
            waiting += part.operands
        else:
            yield part


def _check_contacts(rule: Rule, problems: Problems) -> None:
    """Warn of a survey or message to customers at every single match."""
    if (
        rule.status != "live"
        or rule.rule_class == "risk"
        or rule.cooldown_ms
        or rule.unless is not None
        or rule.when is not None
    ):
        return
    if any(isinstance(node, Rises) for expr in expressions(rule) for node in walk(expr)):
        return
    # `to` names somebody at the bank; without it the message goes to the customer.
    contacts = [a.kind for a in rule.actions if a.kind == "survey" or (a.kind == "notify" and "to" not in a.payload)]
    if contacts:
        when = "every day" if rule.daily else "at every match"
        message = f"a {contacts[0]} {when}: there is no `when`, `unless` or `cooldown`"
        problems.add("W305", rule.position, message, "add `cooldown: 30d`, or count on the policy's caps")
