"""Policy files."""

from pathlib import Path

import pytest

from rules.policy import Cap, Holdout, Policy, QuietHours, load_policy


def policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\n" + text, encoding="utf-8")
    got, found = load_policy(path)
    assert got is not None, [str(problem) for problem in found]
    assert found == []
    return got


def test_nothing_but_a_version_is_the_default(tmp_path: Path) -> None:
    assert policy(tmp_path, "") == Policy.default() == Policy("Asia/Shanghai", None, (), None)


def test_parts_with_nothing_behind_them_are_not_there(tmp_path: Path) -> None:
    assert policy(tmp_path, "holdout:\ncaps:\nquiet_hours: ~\n") == Policy.default()


def test_every_part(tmp_path: Path) -> None:
    got = policy(
        tmp_path,
        'timezone: UTC\nholdout: {percent: 0.29, salt: "2026", classes: [service]}\n'
        'caps: [{class: survey, max: 0, per: 30d}, {class: "*", max: 5, per: 7d}]\n'
        'quiet_hours: {from: "21:30", to: 09:00, classes: [risk], action: defer}\n',
    )
    assert got == Policy(
        "UTC",
        Holdout(29, "2026", ("service",)),
        (Cap("survey", 0, 30 * 86_400_000), Cap("*", 5, 7 * 86_400_000)),
        QuietHours(21 * 60 + 30, 540, ("risk",), True),
    )


def test_caps_of_metrics(tmp_path: Path) -> None:
    got = policy(tmp_path, 'caps: [{metric: nps, max: 1, per: 90d}, {class: "*", metric: 问卷, max: 2, per: 1d}]\n')
    assert got.caps == (Cap("survey", 1, 90 * 86_400_000, "nps"), Cap("*", 2, 86_400_000, "问卷"))


def test_defaults_of_the_parts(tmp_path: Path) -> None:
    got = policy(tmp_path, 'holdout: {percent: 5}\nquiet_hours: {from: "00:00", to: "00:00"}\n')
    assert got.holdout == Holdout(500, "", ("marketing", "survey"))
    assert got.quiet_hours == QuietHours(0, 0, ("marketing", "survey"), False)


def test_a_salt_that_is_a_number_is_its_text(tmp_path: Path) -> None:
    got = policy(tmp_path, "holdout: {percent: 5, salt: 0x2026}\n")
    assert got.holdout is not None
    assert got.holdout.salt == "0x2026"


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [("0", 0), ("100", 10_000), ("1.15", 115), ("4.35", 435), ("5.10", 510), ("5.000", 500), ("1e1", 1000), (".5", 50)],
)
def test_percentages_are_exact(tmp_path: Path, text: str, hundredths: int) -> None:
    got = policy(tmp_path, f"holdout: {{percent: {text}}}\n")
    assert got.holdout is not None
    assert got.holdout.percent_hundredths == hundredths


def test_a_missing_file_is_a_diagnostic(tmp_path: Path) -> None:
    got, found = load_policy(tmp_path / "no.yaml")
    assert got is None
    assert [problem.code for problem in found] == ["E001"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{calendar: " + "x" * 300 + "}", "E502"),  # no file can have such a name
        ('{calendar: "a\\0b"}', "E502"),
        ("{calendar: .}", "E502"),
        ("{calendar: ../calendars/china.yaml}", "E502"),
        ("{calendar: always, warn: " + "9" * 5_000 + "%}", "E504"),
    ],
)
def test_odd_values_of_tickets_raise_nothing(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\ntickets: {text}\n", encoding="utf-8")
    policy, problems = load_policy(path)
    assert policy is None
    assert [problem.code for problem in problems] == [code]
