"""`cem explain` over small event files: why, why not, and what the engine had for each part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.loading import load
from flows.replay import ReplayJob, replay

T = 1_760_000_000_000  # 2025-10-09 16:53:20 in Shanghai
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

RULES = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: prepay
    title: Searches for early repayment
    trigger: click["prepay" in query and channel == "app"]
    let: {searches: 'count(click["prepay" in query], last="7d")'}
    when: searches >= 3 and (profile.tier == "gold" or profile.aum >= 1000)
    cooldown: 30d
    then: [{ticket: {queue: manager}}]
  - id: rising
    trigger: txn
    when: rises(count(txn, last="1d") >= 2)
    then: [{tag: {name: busy}}]
  - id: waits
    trigger: click[action == "start"]
    unless: {event: 'click[action == "finish"]', within: 1h}
    then: [{ticket: {queue: help}}]
  - id: invites
    class: survey
    trigger: click[action == "rate"]
    then: [{survey: {metric: nps, channel: app}}]
  - id: device
    class: risk
    trigger: txn[direction == "out"]
    let: {people: 'distinct(txn.customer_id, last="1h", per="device_id")'}
    when: people >= 3
    then: [{alert: {severity: high}}]
  - id: matures
    trigger: {daily: "09:00"}
    each: holdings
    let: {days: days_until(holding.matures_on)}
    when: days == 7
    then: [{notify: {channel: app}}]
"""
POLICY = """\
version: 1
timezone: Asia/Shanghai
caps: [{class: survey, max: 1, per: 30d}, {metric: nps, max: 1, per: 90d}, {metric: csat, max: 0, per: 90d}]
quiet_hours: {from: "21:00", to: "09:00"}
"""


def event(stream: str, event_id: str, customer: str, ts: int, **fields: Any) -> dict[str, Any]:
    return {"stream": stream, "event_id": event_id, "customer_id": customer, "ts": ts, **fields}


def search(event_id: str, customer: str, ts: int, query: str = "prepay fee", channel: str = "app") -> dict[str, Any]:
    return event("click", event_id, customer, ts, query=query, channel=channel)


EVENTS = [
    event("profile", "p", "A", T, tier="gold", aum=5, holdings=[{"holding_id": "h", "matures_on": "2025-10-20"}]),
    *(search(f"a{n}", "A", T + n * HOUR) for n in range(1, 5)),
    event("profile", "p", "B", T, tier="basic", aum=5),
    *(search(f"b{n}", "B", T + n * HOUR) for n in range(1, 4)),
    *(search(f"n{n}", "N", T + n * HOUR) for n in range(1, 4)),
    search("c1", "C", T + 1, query="funds"),
    search("c2", "C", T + 2, channel="web"),
    *(event("txn", f"t{n}", "A", T + n * MINUTE, amount=n, direction="in") for n in range(1, 4)),
    event("click", "s1", "D", T + 1, action="start"),
    event("click", "f1", "D", T + 10 * MINUTE, action="finish"),
    event("click", "s2", "D", T + 20 * MINUTE, action="start"),
    event("click", "s3", "D", T + 30 * MINUTE, action="start"),
    event("click", "s1", "E", T, action="start"),
    event("click", "f1", "E", T + HOUR, action="finish"),
    *(search(f"e{n}", "E", T + 2 * HOUR + n * 7 * DAY // 2) for n in range(3)),
    event("click", "r1", "D", T + 1, action="rate"),
    event("click", "r2", "D", T + 2, action="rate"),
    event("click", "r3", "A", T + 6 * HOUR, action="rate"),
    *(
        event("txn", f"x{n}", who, T + 5 * HOUR + n, amount=9, direction="out", device_id="dev")
        for n, who in enumerate(("zoe", "bob", "eve"))
    ),
    event("txn", "x9", "eve", T + 5 * HOUR - 1, amount=9, direction="out", device_id="other"),
    event("click", "end", "nobody", T + 9 * DAY),
]


class Bank:
    """The event file, the rules, and what a replay of both decides."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        (folder / "events.ndjson").write_text(
            "\n".join(map(json.dumps, sorted(EVENTS, key=lambda event: event["ts"]))), encoding="utf-8"
        )
        loaded = load([folder / "rules.yaml"], folder / "policy.yaml")
        assert loaded.rules is not None, [str(problem) for problem in loaded.problems]
        replay(ReplayJob(loaded.rules, (folder / "events.ndjson",), folder / "out", loaded.policy, max_jump_ms=0))
        lines = (folder / "out" / "actions.ndjson").read_text(encoding="utf-8").splitlines()
        self.decisions = [json.loads(line) for line in lines]

    def decision(self, rule: str, anchor: str | None, customer: str | None = None) -> dict[str, Any]:
        (found,) = [
            d for d in self.decisions
            if (d["rule_id"], d["anchor_event_id"]) == (rule, anchor) and customer in (None, d["customer_id"])
        ]  # fmt: skip
        return found

    def run(self, *options: str) -> Result:
        files = ["--rules", "rules.yaml", "--events", "events.ndjson", "--policy", "policy.yaml"]
        places = [str(self.folder / one) if not one.startswith("--") else one for one in files]
        return CliRunner().invoke(app, ["explain", *places, "--max-jump", "0", *options])

    def answer(self, *options: str) -> dict[str, Any]:
        result = self.run(*options, "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def why(self, decision: dict[str, Any]) -> dict[str, Any]:
        actions = str(self.folder / "out" / "actions.ndjson")
        return self.answer("--action", decision["action_id"], "--actions", actions)

    def why_not(self, customer: str, rule: str, *options: str) -> dict[str, Any]:
        return self.answer("--customer", customer, "--rule", rule, *options)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("bank"))


def squeezed(line: str) -> str:
    """With two spaces wherever there are more."""
    return re.sub(" {2,}", "  ", line)


def event_ids(answer: dict[str, Any]) -> list[list[str]]:
    return [[one["event_id"] for one in group["events"]] for group in answer["evidence"]]


def test_why_an_action(bank: Bank) -> None:
    decision = bank.decision("prepay", "a3")
    answer = bank.why(decision)
    assert answer["action"] == decision
    assert answer["evaluation"]["anchor"] == {"stream": "click", "event_id": "a3", "ts": T + 3 * HOUR}
    assert {let["name"]: let["value"] for let in answer["lets"]} == decision["features"]
    assert event_ids(answer) == [["a1", "a2", "a3"]]
    assert answer["failed"] == []
    lines = {line["text"]: line for line in answer["condition"]}
    assert lines["searches >= 3"]["values"] == {"searches": 3}
    assert lines['profile.tier == "gold"']["holds"] is True
    assert lines["profile.aum >= 1000"]["holds"] is False
    assert lines["profile.aum >= 1000"]["values"] == {"profile.aum": 5}


def test_the_action_is_found_without_its_file(bank: Bank) -> None:
    decision = bank.decision("prepay", "a3")
    assert bank.answer("--action", decision["action_id"])["action"] == decision


def test_cooldown_names_the_action_before(bank: Bank) -> None:
    answer = bank.why(bank.decision("prepay", "a4"))
    (decision,) = answer["decisions"]
    assert decision["reason"] == "cooldown"
    assert bank.decision("prepay", "a3")["action_id"] in decision["why"][0]
    assert "2025-11-08 19:53:20" in decision["why"][0]


def test_the_part_that_failed(bank: Bank) -> None:
    answer = bank.why_not("B", "prepay")
    assert answer["evaluation"]["anchor"]["event_id"] == "b3"
    assert answer["failed"] == [
        'None of the 2 alternatives of `profile.tier == "gold" or profile.aum >= 1000` holds.',
        '`profile.tier == "gold"` does not hold: `profile.tier` is basic.',
        "`profile.aum >= 1000` does not hold: `profile.aum` is 5.",
    ]


def test_a_test_on_null(bank: Bank) -> None:
    failed = bank.why_not("N", "prepay")["failed"]
    assert failed[1] == (
        '`profile.tier == "gold"` does not hold: `profile.tier` is nothing, and a test on nothing is false.'
    )


@pytest.mark.parametrize("at", [str(T + 2 * HOUR + 1), "2025-10-09T18:53:20.001", "2025-10-09T10:53:20.001+00:00"])
def test_the_evaluation_before_a_time(bank: Bank, at: str) -> None:
    answer = bank.why_not("B", "prepay", "--at", at)
    assert answer["evaluation"]["anchor"]["event_id"] == "b2"
    assert answer["failed"] == ["`searches >= 3` does not hold: `searches` is 2."]


def test_never_tried_names_the_events_that_came_near(bank: Bank) -> None:
    answer = bank.why_not("C", "prepay")
    assert answer["evaluations"] == 0
    near = [(one["event_id"], one["held"], one["failed"], one["values"]) for one in answer["near"]]
    assert near == [
        ("c2", 1, 'channel == "app"', {"channel": "web"}),
        ("c1", 1, '"prepay" in query', {"query": "funds"}),
    ]


def test_a_customer_without_events(bank: Bank) -> None:
    assert "There is no event of X in the files" in " ".join(bank.why_not("X", "prepay")["summary"])


def test_rises_says_that_it_held_before(bank: Bank) -> None:
    first, second, third = (bank.why_not("A", "rising", "--at", str(T + n * MINUTE)) for n in (1, 2, 3))
    assert "does not hold now" in first["failed"][0]
    assert second["decisions"][0]["decision"] == "emitted"
    assert "it held at the evaluation before as well" in third["failed"][0]


def test_what_disarmed_it(bank: Bank) -> None:
    answer = bank.why_not("D", "waits", "--at", str(T + 15 * MINUTE))
    assert answer["evaluation"]["outcome"] == "disarmed"
    assert answer["evaluation"]["disarmed_by"]["event_id"] == "f1"
    latest = bank.why_not("D", "waits")
    assert [one["outcome"] for one in latest["latest"]] == ["disarmed", "fired", "already_waiting"]
    fired = bank.why(bank.decision("waits", "s2"))
    assert fired["evaluation"]["deadline"] == fired["action"]["ts"] == T + 80 * MINUTE


def test_borders_are_the_engines(bank: Bank) -> None:
    """An event at the deadline disarms; one exactly as old as the window is long lies outside of it."""
    disarmed = bank.why_not("E", "waits")
    assert (disarmed["evaluation"]["outcome"], disarmed["evaluation"]["disarmed_by"]["event_id"]) == ("disarmed", "f1")
    week = bank.why_not("E", "prepay")
    assert week["failed"] == ["`searches >= 3` does not hold: `searches` is 2."]
    assert event_ids(week) == [["e1", "e2"]]


def test_cap_and_quiet_hours(bank: Bank) -> None:
    (capped,) = bank.why_not("D", "invites")["decisions"]
    assert capped["reason"] == "cap"
    assert "1 of at most 1 of class 'survey' within 30 days" in capped["why"][0]
    assert bank.decision("invites", "r1")["action_id"][:8] in capped["why"][0]
    assert "1 of at most 1 surveys of 'nps' of class 'survey' within 90 days" in capped["why"][0]
    assert "csat" not in capped["why"][0]
    (quiet,) = bank.why_not("A", "invites")["decisions"]
    assert quiet["reason"] == "quiet_hours"
    assert "22:53:20 in Asia/Shanghai" in quiet["why"][0]


def test_events_of_other_customers(bank: Bank) -> None:
    answer = bank.why(bank.decision("device", "x2"))
    assert event_ids(answer) == [["x0", "x1", "x2"]]
    assert [one.get("customer_id") for one in answer["evidence"][0]["events"]] == ["zoe", "bob", None]
    assert bank.why_not("bob", "device")["failed"] == ["`people >= 3` does not hold: `people` is 2."]


def test_date_rules(bank: Bank) -> None:
    decision = bank.decision("matures", None)
    answer = bank.why(decision)
    assert (answer["evaluation"]["ts"], answer["evaluation"]["holding_id"]) == (decision["ts"], "h")
    assert bank.why_not("A", "matures", "--at", "2025-10-12T00:00")["failed"] == [
        "`days == 7` does not hold: `days` is 9."
    ]
    never = bank.why_not("C", "matures")
    assert "A date rule looks at customers with a profile" in " ".join(never["summary"])


def test_probes_change_no_decision(bank: Bank) -> None:
    """Every decision of the plain run is there, with its values, when it is asked about."""
    from flows.explain.probes import make_probes
    from flows.explain.run import ask

    loaded = load([bank.folder / "rules.yaml"], bank.folder / "policy.yaml")
    assert loaded.rules is not None
    job = ReplayJob(loaded.rules, (bank.folder / "events.ndjson",), Path(), loaded.policy, max_jump_ms=0)
    rules = {rule.id: rule for rule in loaded.rules.rules}
    for customer, rule_id in (("A", "prepay"), ("D", "waits"), ("eve", "device"), ("A", "matures")):
        told = ask(job, make_probes(rules[rule_id], customer, {"device_id": "dev"}))
        assert told.decisions == [d for d in bank.decisions if d["customer_id"] == customer]
        assert told.decisions


def test_text_for_people(bank: Bank) -> None:
    result = bank.run("--customer", "B", "--rule", "prepay")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "prepay v1: Searches for early repayment"
    assert ["searches >= 3", "yes", "searches = 3"] in [line.strip().split("  ") for line in map(squeezed, lines)]
    assert squeezed(lines[-1]).endswith("condition failed  explained here")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "give --action ID, or --customer C and --rule R"),
        (("--customer", "A"), 2, "belong together"),
        (("--customer", "A", "--rule", "prepya"), 1, "did you mean prepay?"),
        (("--customer", "A", "--rule", "prepay", "--at", "noon"), 2, "--at noon: no time"),
        (("--action", "0" * 32), 1, "make no such decision"),
    ],
)
def test_wrong_questions(bank: Bank, options: tuple[str, ...], code: int, said: str) -> None:
    result = bank.run(*options)
    assert result.exit_code == code
    assert said in result.output


def test_other_rules_do_not_make_the_action(bank: Bank, tmp_path: Path) -> None:
    changed = RULES.replace("searches >= 3", "searches >= 5")
    (tmp_path / "rules.yaml").write_text(changed, encoding="utf-8")
    actions, events = bank.folder / "out" / "actions.ndjson", bank.folder / "events.ndjson"
    call: Callable[..., Result] = CliRunner().invoke
    result = call(
        app,
        ["explain", "--rules", str(tmp_path / "rules.yaml"), "--events", str(events), "--actions", str(actions),
         "--max-jump", "0", "--action", bank.decision("prepay", "a3")["action_id"]],
    )  # fmt: skip
    assert result.exit_code == 1
    assert "does not make it over these events" in result.output
