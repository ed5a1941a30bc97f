"""The contract, evaluated plainly and slowly: every aggregate anew from the list of events, no engine code.

`evaluate` takes rule texts, a policy text and the lines of each partition, and returns every decision. It follows the
contract's words rather than any design, so that a difference from the engine points at a fault in one of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.reference.events import Event, drop_duplicates, read_partition
from tests.reference.expressions import Scope, matches_any, render, settle
from tests.reference.localtime import instant_ms, local
from tests.reference.policy import Customer, Firing, Held, Policy
from tests.reference.rules import Rule, load_rules
from tests.reference.values import truth

DAY_MS = 86_400_000


@dataclass
class Result:
    """`decisions` have the contract's fields; `events` are counted by stream, duplicates and late ones too."""

    decisions: list[dict[str, Any]]
    dead_letters: list[dict[str, Any]]
    events: dict[str, int]
    duplicates: int
    late: int
    pending: int


@dataclass(eq=False)
class Armed:
    deadline: int
    firing: Firing


@dataclass
class World:
    """What has happened so far."""

    policy: Policy
    customers: dict[str, Customer] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    events_of: dict[str, list[Event]] = field(default_factory=dict)
    armed: dict[tuple[str, str], Armed] = field(default_factory=dict)  # by rule and customer
    risen: dict[tuple[str, str, str | None], dict[str, bool]] = field(default_factory=dict)

    def scope(self, rule: Rule, customer: Customer, t: int, anchor: Event | None, holding: dict[str, Any]) -> Scope:
        holding_id = holding.get("holding_id")
        return Scope(
            t=t,
            zone=rule.zone,
            anchor=anchor,
            events=self.events_of.get(customer.customer_id, []),
            all_events=self.events,
            profile=customer.profile,
            holding=holding,
            risen=self.risen.setdefault((rule.id, customer.customer_id, holding_id), {}),
        )


def evaluate(
    rules: list[str],
    policy: str | None,
    partitions: list[list[bytes]],
    lateness_ms: int = 10_000,
    dedup_ms: int = 3_600_000,
    until_ms: int | None = None,
    max_jump_ms: int = 366 * DAY_MS,
    paused: frozenset[str] = frozenset(),
) -> Result:
    """All decisions of a replay of `partitions` (each a file's lines, without the newline).

    `paused`: ids of rules that are paused at run time from beginning to end.
    """
    in_order = load_rules(rules)
    read: list[Event] = []
    dead: list[dict[str, Any]] = []
    for number, lines in enumerate(partitions):
        events, faults = read_partition(lines, f"part-{number}", lateness_ms, max_jump_ms)
        read += events
        dead += [fault | {"partition": number} for fault in faults]
    read.sort(key=Event.order)
    kept = drop_duplicates(read, dedup_ms)
    world = World(Policy(policy, paused))
    if read:
        end = max(event.effective for event in read)
        end = end if until_ms is None else max(end, until_ms)
        ticks = Ticks(in_order, read[0].effective)
        for event in kept:
            happen(world, ticks, event.effective - 1)
            take_effect(world, in_order, event)
        happen(world, ticks, end)
    return Result(
        decisions=world.policy.decisions,
        dead_letters=dead,
        events=dict(Counter(event.stream for event in read)),
        duplicates=len(read) - len(kept),
        late=sum(event.late for event in read),
        pending=sum(len(held.indices) for held in world.policy.held),
    )


def take_effect(world: World, rules: list[Rule], event: Event) -> None:
    """One event: its own effect, then every rule, in the order of decision."""
    customer = world.customers.setdefault(event.customer_id, Customer(event.customer_id))
    world.events.append(event)
    world.events_of.setdefault(event.customer_id, []).append(event)
    if event.stream == "profile":
        customer.profile = event.fields
    if event.stream == "ticket":
        customer.on_ticket(event.fields["ticket_id"], event.fields["stage"])
    for rule in rules:
        if matches_any(rule.unless, event, rule.zone):
            world.armed.pop((rule.id, event.customer_id), None)
        if not matches_any(rule.trigger, event, rule.zone):
            continue
        firing = attempt(world, rule, customer, event.effective, event, {})
        if firing is None:
            continue
        if not rule.unless:
            world.policy.decide(firing, list(range(len(rule.then))), customer, event.effective)
        elif rule.id in world.policy.paused:
            continue
        elif (rule.id, event.customer_id) not in world.armed or rule.restart == "latest":
            world.armed[rule.id, event.customer_id] = Armed(event.effective + rule.within_ms, firing)


def attempt(
    world: World, rule: Rule, customer: Customer, t: int, anchor: Event | None, holding: dict[str, Any]
) -> Firing | None:
    """Evaluate a rule once; a firing if `when` holds."""
    scope = world.scope(rule, customer, t, anchor, holding)
    for name, expression in rule.lets.items():
        scope.lets[name] = scope.value(expression)
    holds = truth(scope.value(rule.when))
    settle(scope.risen)
    if not holds:
        return None
    payloads = [render(payload, scope) for _, payload in rule.then]
    holding_id = holding.get("holding_id")
    if anchor is not None:
        return Firing(
            rule, customer.customer_id, anchor.stream, anchor.event_id, anchor.ts, anchor.event_id, holding_id,
            anchor.late, scope.lets, payloads,
        )  # fmt: skip
    there = local(t, rule.zone)
    today = f"{there.year:04d}-{there.month:02d}-{there.dom:02d}"
    return Firing(rule, customer.customer_id, "daily", today, t, None, holding_id, False, scope.lets, payloads)


class Ticks:
    """The next tick of every date rule, from the day before the first event on."""

    def __init__(self, rules: list[Rule], first_ms: int) -> None:
        self.rules = {rule.id: rule for rule in rules if rule.daily is not None}
        self.days = {rule.id: local(first_ms, rule.zone).day - 1 for rule in self.rules.values()}

    def time(self, rule: Rule) -> int:
        assert rule.daily is not None
        return instant_ms(self.days[rule.id], rule.daily, rule.zone)

    def advance(self, rule: Rule) -> None:
        self.days[rule.id] += 1


def happen(world: World, ticks: Ticks, upto: int) -> None:
    """Everything that time alone brings, up to and including `upto`, in the contract's order."""
    while True:
        timers = [timer for timer in scheduled(world, ticks) if timer[0] <= upto]
        if not timers:
            return
        t, _, _, _, what = min(timers, key=lambda timer: timer[:4])
        if isinstance(what, Armed):
            firing = what.firing
            del world.armed[firing.rule.id, firing.customer_id]
            world.policy.decide(firing, list(range(len(firing.rule.then))), world.customers[firing.customer_id], t)
        elif isinstance(what, Held):
            world.policy.held.remove(what)
            world.policy.decide(what.firing, what.indices, world.customers[what.firing.customer_id], t)
        else:
            ticks.advance(what)
            for customer in list(world.customers.values()):
                tick(world, what, customer, t)


def scheduled(world: World, ticks: Ticks) -> Iterator[tuple[int, tuple[int, str], int, int, Armed | Held | Rule]]:
    """(time, rule's rank, deadline before held before tick, order held, what). Customers do not see one another."""
    for armed in world.armed.values():
        yield armed.deadline, armed.firing.rule.rank, 0, 0, armed
    for held in world.policy.held:
        yield held.to_ms, held.firing.rule.rank, 1, held.order, held
    for rule in ticks.rules.values():
        yield ticks.time(rule), rule.rank, 2, 0, rule


def tick(world: World, rule: Rule, customer: Customer, t: int) -> None:
    """A date rule at its local time, for one customer: once, or once per holding."""
    if not customer.profile:
        return
    holdings: list[dict[str, Any]] = [{}]
    if rule.each_holding:
        holdings, seen = [], set()
        for entry in customer.profile.get("holdings") or []:
            holding_id = entry.get("holding_id") if isinstance(entry, dict) else None
            if isinstance(holding_id, str) and holding_id not in seen:
                seen.add(holding_id)
                holdings.append(entry)
    for holding in holdings:
        firing = attempt(world, rule, customer, t, None, holding)
        if firing is not None:
            world.policy.decide(firing, list(range(len(rule.then))), customer, t)
