"""The contact ledger against a plain list of what was emitted."""

import json
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


def test_what_no_cooldown_and_no_cap_reaches_is_dropped_as_more_is_recorded():
    """For years on end no more is kept than matters, for customers with few decisions and with many."""
    for step, most in ((7, 16), (1, 240)):
        ledger, emitted, last = ContactLedger(), [], {}
        horizon_ms, cooldowns_ms = 50, {f"r{number}": 10 * number for number in range(9)}
        for now in range(0, 4000, step):
            key = (f"r{now % 9}", f"h{now}" if now % 2 else None)  # holdings come and go
            rule_class = ("service", "risk", "survey")[now % 3]
            ledger.record(key, rule_class, now, horizon_ms, cooldowns_ms)
            emitted.append((now, key, rule_class))
            last[key] = now
            del emitted[:-200]
            for name in ("service", "risk", "survey"):
                count = sum(entry[2] == name and entry[0] > now - horizon_ms for entry in emitted)
                assert ledger.count(name, now - horizon_ms) == count
            for then, other, _ in emitted:
                if now - then < cooldowns_ms[other[0]]:
                    assert ledger.last_ms(other) == last[other]
            assert len(_numbers(ledger.to_record())) <= most


def test_surveys_of_a_metric_against_a_plain_list():
    """Few and many, of a few metrics or of ever new ones, and after each has been written down and read."""
    for step, novel in ((40, False), (1, False), (1, True)):
        rng = random.Random(step)
        horizon_ms, cooldowns_ms = 100, {"a": 7}
        ledger, emitted, most = ContactLedger(), [], 0
        for now in range(0, 2000, step):
            rule_class = rng.choice(["service", "survey", "risk"])
            metric = rng.choice([None, "nps", "csat", f"m{now}" if novel else "ces"])
            ledger.record(("a", None), rule_class, now, horizon_ms, cooldowns_ms, metric)
            emitted.append((now, rule_class, metric))
            record = ledger.to_record()
            most = max(most, len(json.dumps(record)))
            if rng.random() < 0.2:
                ledger = ContactLedger.from_record(json.loads(json.dumps(record)))
                assert ledger.to_record() == record
            after = now - rng.randrange(horizon_ms + 1)
            recent = [entry for entry in emitted if entry[0] > after]
            for name in ("service", "survey", "risk", "marketing", "*"):
                fits = [entry for entry in recent if entry[1] == name or (name == "*" and entry[1] != "risk")]
                assert ledger.count(name, after) == len(fits)
                for asked in ("nps", "csat", "ces", f"m{now}", "n"):
                    assert ledger.count(name, after, asked) == sum(entry[2] == asked for entry in fits)
        assert most < 12_000
        assert ledger.forget(now + 10_000, horizon_ms, cooldowns_ms)


def test_a_record_from_before_metrics_were_kept():
    few = ["a", "survey", 5, ["b", "h"], "risk", 6]
    many = [[["a", 5], [["b", "h"], 6]], {"survey": [4, 5], "*": [4, 5], "risk": [6]}]
    for record, surveys in ((few, 1), (many, 2)):
        ledger = ContactLedger.from_record(json.loads(json.dumps(record)))
        assert ledger.to_record() == record
        assert (ledger.count("survey", 0), ledger.count("survey", 0, "nps"), ledger.count("*", 0)) == (
            surveys, 0, surveys,
        )  # fmt: skip
        ledger.record(("a", None), "survey", 7, 100, None, "nps")
        assert (ledger.count("survey", 0), ledger.count("survey", 0, "nps")) == (surveys + 1, 1)
        assert ledger.last_ms(("b", "h")) == 6


def _numbers(value):
    """The times in a record."""
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [number for part in value for number in _numbers(part)]
        if isinstance(value, list)
        else ([value] if isinstance(value, int) else [])
    )
