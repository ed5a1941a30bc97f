from pathlib import Path

import pytest

from rules.diagnostics import Diagnostic
from rules.habits import HABITS, Habit
from rules.load_models import load_models
from rules.model import RuleSet, Selector
from rules.models import ModelSet
from rules.planner import make_plan
from rules.unparse import unparse
from tests.rules.rule_files import codes, load_text

CALLS = (
    'unusual_amount(txn[direction == "out"].amount)',
    "unusual_hour(txn)",
    "unusual_value(txn.city)",
    "unusual_pace(txn[amount > 10])",
)


def models_of(folder: Path, *features: str) -> tuple[ModelSet | None, list[Diagnostic]]:
    path = folder / "models.yaml"
    lines = ["version: 1", "timezone: Europe/Berlin", "models:", "  - name: odd", "    kind: half_space_trees"]
    lines += ["    scores: txn", "    features:"]
    lines += [f"      f{number}: {feature}" for number, feature in enumerate(features)]
    path.write_text("\n".join(lines) + "\n")
    return load_models([path])


def test_models_ask_for_habits(tmp_path: Path) -> None:
    models, found = models_of(tmp_path, *CALLS, f"coalesce({CALLS[1]}, 0) * 2")
    assert found == []
    assert models is not None
    features = [expr for _, expr in models.models[0].features]
    assert [unparse(feature) for feature in features[:4]] == list(CALLS)
    assert features[1] == Habit("unusual_hour", Selector("txn"), None, "Europe/Berlin")
    series = make_plan(RuleSet((), models=models.models)).scored.customer.series
    assert [one.kind for one in series] == ["unusual_amount", "unusual_hour", "unusual_value", "unusual_pace"]


@pytest.mark.parametrize("call", CALLS)
def test_rules_do_not_have_them(call: str) -> None:
    quoted = call.replace("'", "''")
    _, found = load_text(
        "version: 1\nrules:\n  - id: r\n    trigger: txn\n"
        f"    let: {{odd: '{quoted} > 3'}}\n    when: odd\n    then: [{{tag: {{}}}}]\n"
    )
    assert codes(found) == ["E204"]
    assert "models only" in found[0].message
    assert "score(" in str(found[0].hint)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("unusual_amount(txn)", "E307"),
        ("unusual_hour(txn.amount)", "E307"),
        ("unusual_value(city)", "E307"),
        ("unusual_pace()", "E205"),
        ("unusual_pace(txn, click)", "E205"),
        ('unusual_amount(txn.amount, last="7d")', "E301"),
        ("count(txn[unusual_hour(txn) > 3])", "E210"),
    ],
)
def test_wrong_calls_are_told(tmp_path: Path, call: str, code: str) -> None:
    models, found = models_of(tmp_path, f"'{call}'")
    assert models is None
    assert code in codes(found)


def test_every_habit_is_known_to_the_kernels() -> None:
    from state.tables import HABITS as KINDS

    assert set(KINDS) == set(HABITS)
