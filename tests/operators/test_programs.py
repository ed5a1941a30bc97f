"""Programs of conditions against the closures that Python evaluates: a program may not know, but is never wrong."""

import random

import numpy as np

from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules import opcodes, program
from rules import plan as rules_plan
from rules.context import Evaluation
from rules.load import load_rules
from rules.model import STREAMS
from rules.planner import make_plan
from state import operations, tables
from state.events import Events, value_of
from state.walk import SURELY

NUMBERS = ["txn.amount", "txn.balance", "profile.aum", "profile.demand_balance", "n", "total", "before", "mean_before",
           "0", "1", "-2.5", "100", "0.1", "0.3", "None", "9007199254740993"]  # fmt: skip
TEXT_TESTS = ['txn.city == "a"', 'txn.city != "b"', 'startswith(txn.kind, "tr")', 'txn.kind in ["transfer", "x"]',
              'profile.tier == "gold"', "is_null(txn.city)", 'lower(txn.city) == "a"', 'txn.city < "b"',
              'profile.tier != txn.city', '"or" in txn.kind', "len(txn.city) > 1"]  # fmt: skip
LETS = {
    "n": 'count(txn, last="1h")',
    "total": 'sum(txn[currency == "CNY"].balance, last="1d")',
    "before": "prev(txn.amount)",
    "mean_before": 'mean(txn[currency == "CNY"].amount, prior="1h")',
}
RULE = """\
  - id: {id}
    trigger: txn
    let:
{lets}
    when: '{when}'
    then: [{{tag: {{name: "t"}}}}]
"""


def numeric(rng, depth):
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(NUMBERS)
    a, b = numeric(rng, depth - 1), numeric(rng, depth - 1)
    forms = ["{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / {b}", "{a} % {b}", "-{a}", "abs({a})"]
    form = rng.choice([*forms, "min({a}, {b})", "max({a}, {b})", "coalesce({a}, {b})"])
    return "(" + form.format(a=a, b=b) + ")"


def truth(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        a, b, c = (numeric(rng, 1) for _ in range(3))
        form = rng.choice(["{a} {op} {b}", "{a} {op} {b} < {c}", "{a} in [{b}, {c}]", "{a} not in [1, {b}]",
                           "is_null({a})", "{text}", "{text}"])  # fmt: skip
        op = rng.choice(["==", "!=", "<", "<=", ">", ">="])
        return "(" + form.format(a=a, b=b, c=c, op=op, text=rng.choice(TEXT_TESTS)) + ")"
    a, b = truth(rng, depth - 1), truth(rng, depth - 1)
    return rng.choice(["({a} and {b})", "({a} or {b})", "(not {a})", "({a} == {b})"]).format(a=a, b=b)


def rule_set(rng, folder, count):
    """As many random rules as the checks let through; the last reads all features and holds always."""
    whens = [truth(rng, rng.randrange(4)) for _ in range(count)] + ["True"]
    lets = "\n".join(f"      {name}: '{text}'" for name, text in LETS.items())
    kept = list(enumerate(whens))
    path = folder / "rules.yaml"
    while True:
        body = "".join(RULE.format(id=f"r{i}", lets=lets, when=when) for i, when in kept)
        path.write_text("version: 1\ntimezone: UTC\nrules:\n" + body, encoding="utf-8")
        rules, problems = load_rules([path])
        if rules is not None:
            return rules
        wrong = {problem.rule_id for problem in problems if problem.is_error}
        kept = [(i, when) for i, when in kept if f"r{i}" not in wrong]


def messages(rng, count):
    ts = 1_760_000_000_000
    for i in range(count):
        ts += rng.choice([0, 1000, 1_800_000])
        customer = rng.choice("CD")
        start = f'{{"event_id":"e{i}","customer_id":"{customer}","ts":{ts}'
        number = rng.choice(
            ["0", "1", "1.0", "-2.5", "0.1", "1e-5", "9007199254740993", "12345678901234.56", "null", '"x"']
        )
        if rng.random() < 0.2:
            tier = rng.choice(['"gold"', '"a"', "null"])
            yield f'{start},"stream":"profile","tier":{tier},"aum":{number},"demand_balance":{rng.randrange(3)}}}'
        else:
            city = rng.choice(['"a"', '"A"', '"b"', '"bb"', "null", "1"])
            kind = rng.choice(['"transfer"', '"x"', "null", '"orb"'])
            amount = rng.choice([0, 0.1, 0.3, 1, 100, 99.99])
            yield (f'{start},"stream":"txn","direction":"in","amount":{amount},"balance":{number},"city":{city},'
                   f'"kind":{kind}}}')  # fmt: skip


def test_a_program_never_contradicts_the_closure(tmp_path):
    rng = random.Random(11)
    plan = make_plan(rule_set(rng, tmp_path, 400))
    assert len(plan.rules) > 200
    decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
    reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
    events = reader.read([line.encode() for line in messages(rng, 150)], "f", 1, PartitionClock()).events
    verdicts, features = walked(PlanTables(plan), events)
    profiles, outcomes = {}, {"false": 0, "true": 0, "unknown": 0}
    for i in range(len(events)):
        customer = events.customer_id.bytes_at(i)
        values = decoder.values(events.raw.bytes_at(i))
        if STREAMS[events.stream[i]] == "profile":
            profiles[customer] = values
            continue
        for number, planned in enumerate(plan.rules):
            evaluation = Evaluation(
                int(events.effective_ms[i]), int(events.stream[i]), type("Anchor", (), {"values": values}),
                0, lambda _, customer=customer: profiles.get(customer),
                [features[i][feature] for feature in planned.features], None,
            )  # fmt: skip
            holds = planned.when is None or bool(planned.when(evaluation))
            verdict = verdicts[i].get(number, "false")
            assert verdict in ("unknown", "true" if holds else "false"), (planned.rule.id, i, holds, verdict)
            outcomes[verdict] += 1
    assert outcomes["false"] > outcomes["unknown"]
    assert min(outcomes.values()) > 100


def walked(plan_tables, events):
    """By event, what the programs said of the rules that may hold, and the features' values."""
    store, width = plan_tables.customer.store(), len(plan_tables.plan.customer.features)
    none = np.empty((len(events), 0), np.int64)
    signatures = plan_tables.customer.signatures
    step = Events(
        events.effective_ms, events.ts_ms, events.stream, signatures.signatures(events.masks), events.masks,
        store.objects.adopt(events.words, events.objects), events.hashes,
        store.rows(events.customer_hash, events.customer_id), (none, none, np.empty((len(events), 0))),
    )  # fmt: skip
    walk, records = store.walk(signatures, step, plan_tables.records), plan_tables.records
    verdicts, features, at = [{} for _ in range(len(events))], [None] * len(events), 0
    while at < len(events):
        at = walk.take(at, len(events))
        for r in range(int(records.counters[0])):
            event, rule, start = int(records.events[r]), int(records.rules[r]), int(records.starts[r])
            if rule < 0:
                continue
            number = rule & (SURELY - 1)
            verdicts[event][number] = "true" if rule >= SURELY else "unknown"
            planned = plan_tables.plan.rules[number]
            if len(planned.features) == width:
                features[event] = {
                    feature: value_of(
                        store.objects, int(records.kinds[k]), int(records.integers[k]), float(records.doubles[k])
                    )
                    for k, feature in enumerate(planned.features, start)
                }
    return verdicts, features


def test_operations_are_numbered_alike_where_they_are_written_and_where_they_run():
    names = [name for name, value in vars(opcodes).items() if name.isupper()
             and isinstance(value, int) and not name.startswith("_")]  # fmt: skip
    assert len(names) > 30
    for name in names:
        assert getattr(opcodes, name) == getattr(operations, name), name
    assert program.MAX_STACK < operations.STACK
    assert rules_plan.RULE_OPENS_TICKETS == tables.MAY_HAVE_TICKETS
