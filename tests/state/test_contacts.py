"""The contact ledger against a plain list of what was emitted."""

import random

from state.contacts import ContactLedger


def test_against_a_plain_list():
    rng = random.Random(1)
    horizon_ms = 100
    ledger, emitted, now = ContactLedger(), [], 0
    for _ in range(1000):
        now += rng.randrange(3)
        key = (rng.choice(["a", "b"]), rng.choice([None, "h"]))
        rule_class = rng.choice(["service", "survey", "risk"])
        ledger.record(key, rule_class, now, horizon_ms)
        emitted.append((now, key, rule_class))
        after = now - rng.randrange(horizon_ms + 1)
        recent = [entry for entry in emitted[-horizon_ms * 5 :] if entry[0] > after]
        for name in ("service", "survey", "risk", "marketing"):
            assert ledger.count(name, after) == sum(entry[2] == name for entry in recent)
        assert ledger.count("*", after) == sum(entry[2] != "risk" for entry in recent)
        for rule in ("a", "b", "c"):
            for holding in (None, "h"):
                want = max((t for t, key, _ in emitted if key == (rule, holding)), default=None)
                assert ledger.last_ms((rule, holding)) == want
        del emitted[: -horizon_ms * 8]


def test_two_at_one_time_are_two():
    ledger = ContactLedger()
    ledger.record(("a", None), "survey", 5, 0)
    ledger.record(("a", None), "survey", 5, 0)
    assert ledger.count("survey", 4) == 2
    assert ledger.count("survey", 5) == 0
