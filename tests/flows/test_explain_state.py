"""`cem explain --state`: why a rule would not act now, held against what the engine does with one more event."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.explain.from_state import Asked, explain_state
from flows.live.pauses import PauseFiles
from flows.loading import load
from flows.replay import ReplayJob, replay
from flows.state_rules import FolderRules
from rules.model import RuleSet
from rules.policy import Policy, load_policy
from state.state_folder import StateFolder
from tests.flows.interrupted import finish, run_until
from tests.reference.generate import Case

T = 1_760_000_000_000  # 2025-10-09 16:53:20 in Shanghai
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
END = T + 9 * DAY + 6 * HOUR  # 22:53:20, when marketing is quiet

RULES = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: prepay
    title: Searches for early repayment
    trigger: click["prepay" in query]
    let: {searches: 'count(click["prepay" in query], last="30d")', tier: profile.tier}
    when: searches >= 3 and click.channel == "app" and tier in ["gold", "private"]
    cooldown: 8d
    then: [{ticket: {queue: manager}}]
  - id: asks
    trigger: txn[amount > 100]
    when: profile.tier == "gold" or amount_now > 1000
    let: {amount_now: txn.amount}
    then: [{ticket: {queue: manager}}]
  - id: waits
    trigger: click[action == "start"]
    unless: {event: 'click[action == "finish"]', within: 1d}
    then: [{ticket: {queue: help}}]
  - id: invites
    class: survey
    trigger: click[action == "rate"]
    then: [{survey: {metric: nps, channel: app}}, {tag: {name: asked}}]
  - id: offers
    class: marketing
    trigger: click[action == "look"]
    then: [{notify: {channel: sms}}, {notify: {channel: app}}]
  - id: tried
    status: shadow
    trigger: click[action == "try"]
    cooldown: 20d
    then: [{tag: {name: x}}]
  - id: rising
    trigger: click[action == "rise"]
    when: rises(count(click[action == "rise"], last="30d") >= 2)
    then: [{tag: {name: busy}}]
  - id: device
    class: risk
    trigger: click[action == "device"]
    when: 'distinct(click.customer_id, last="30d", per="device_id") >= 2 and profile.aum < 1000'
    then: [{alert: {severity: high}}]
  - id: matures
    trigger: {daily: "09:00"}
    each: holdings
    when: days_until(holding.matures_on) == 7
    cooldown: 30d
    then: [{tag: {name: "{holding.holding_id}"}}]
  - id: off
    status: paused
    trigger: click[action == "off"]
    let: {clicks: 'count(click[action == "off"], last="7d")'}
    then: [{tag: {name: x}}]
"""
POLICY = """\
version: 1
timezone: Asia/Shanghai
holdout: {percent: 40, salt: s, classes: [survey]}
caps: [{class: survey, max: 2, per: 20d}, {metric: ces, max: 1, per: 30d}]
quiet_hours: {from: "21:00", to: "09:00", classes: [marketing], action: defer}
tickets:
  calendar: always
  levels: [{name: all, first_response: 20d, resolution: 30d}]
"""
CUSTOMERS = [f"c{n}" for n in range(12)]
MORE = {
    "prepay": ("click", {"query": "prepay fee", "channel": "app"}),
    "asks": ("txn", {"amount": 200, "direction": "out"}),
    "invites": ("click", {"action": "rate"}), "offers": ("click", {"action": "look"}),
    "tried": ("click", {"action": "try"}), "rising": ("click", {"action": "rise"}),
    "device": ("click", {"action": "device", "device_id": "one"}), "waits": ("click", {"action": "start"}),
}  # fmt: skip
"""By rule, an event that sets it off."""


def event(stream: str, event_id: str, customer: str, ts: int, **fields: Any) -> dict[str, Any]:
    return {"stream": stream, "event_id": event_id, "customer_id": customer, "ts": ts, **fields}


def more(rule: str, customer: str, n: int, ts: int) -> dict[str, Any]:
    stream, fields = MORE[rule]
    return event(stream, f"{rule}-{n}", customer, ts, **fields)


def story() -> list[dict[str, Any]]:
    """What befalls a customer goes by the number: how often the rules are set off, how long ago, and who they are."""
    events = [event("click", "end", "nobody", END)]
    for number, customer in enumerate(CUSTOMERS):
        if number % 5:
            holdings = [{"holding_id": f"h{n}", "matures_on": f"2025-10-{20 + n}"} for n in range(number % 3)]
            fields = {"tier": ["gold", "basic"][number % 2], "aum": 600 * (number % 3), "holdings": holdings}
            opt_out = {"opt_out": [["sms"], ["marketing"]][number % 2]} if number % 4 == 3 else {}
            events.append(event("profile", "p", customer, T, **fields, **opt_out))
        for place, rule in enumerate(MORE):
            times = [T + HOUR + n * DAY + place * MINUTE for n in range((number + place) % 5)]
            events += [more(rule, customer, n, ts) for n, ts in enumerate(times)]
        if number % 2:
            events.append(event("click", "start", customer, END - number * HOUR, action="start"))
            events.append(event("click", "look", customer, END - number * 10 * MINUTE, action="look"))
    return sorted(events, key=lambda one: one["ts"])


class Bank:
    """Events that a run with state has read, and what it decided."""

    def __init__(
        self, folder: Path, events: Sequence[dict[str, Any]], rules: str = RULES, policy: str = POLICY
    ) -> None:
        self.folder, self.state, self.events = folder, folder / "state", list(events)
        self.read: dict[Path, tuple[FolderRules, RuleSet, Policy]] = {}
        (folder / "rules.yaml").write_text(rules, encoding="utf-8")
        (folder / "policy.yaml").write_text(policy, encoding="utf-8")
        self.decisions = self.run([], state=self.state)

    def run(self, added: Sequence[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        """The decisions with some events more."""
        out, path = self.folder / f"out-{len(added)}", self.folder / f"events-{len(added)}.ndjson"
        path.write_text("\n".join(map(json.dumps, [*self.events, *added])), encoding="utf-8")
        loaded = load([self.folder / "rules.yaml"], self.folder / "policy.yaml")
        assert loaded.rules is not None, [str(problem) for problem in loaded.problems]
        replay(ReplayJob(loaded.rules, (path,), out, loaded.policy, max_jump_ms=0, **options))
        return [json.loads(line) for line in (out / "actions.ndjson").read_text(encoding="utf-8").splitlines()]

    def ask(self, customer: str, rule: str, *options: str) -> Result:
        policy = () if "--policy" in options else ("--policy", str(self.folder / "policy.yaml"))
        asked = ["explain", "--state", str(self.state), "--customer", customer, "--rule", rule, *policy, *options]
        return CliRunner().invoke(app, asked)

    def answer(self, customer: str, rule: str, *options: str) -> dict[str, Any]:
        if options:
            result = self.ask(customer, rule, "--json", *options)
            assert result.exit_code == 0, result.output
            text = result.stdout
        else:  # the same, without the rules being read anew each time
            folder = StateFolder.inspect(self.state)
            kept, rules, policy = self.known()
            asked = Asked(folder, kept, rules, policy, customer, next(one for one in rules.rules if one.id == rule))
            text = json.dumps(explain_state(asked))
        answer: dict[str, Any] = json.loads(text)
        return answer

    def known(self) -> tuple[FolderRules, RuleSet, Policy]:
        """What the commands read first."""
        if self.state not in self.read:
            policy, _ = load_policy(self.folder / "policy.yaml")
            kept = FolderRules(StateFolder.inspect(self.state))
            assert policy is not None
            self.read[self.state] = kept, kept.rule_set(), policy
        return self.read[self.state]

    def tried(self, customer: str, rule: str, *options: str) -> dict[str, Any]:
        (found,) = self.answer(customer, rule, *options)["tries"]
        assert isinstance(found, dict)
        return found

    def check(self, customer: str, rule: str, reason: str) -> dict[str, Any]:
        (found,) = [one for one in self.tried(customer, rule)["policy"] if one["reason"] == reason]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("bank"), story())


def small(tmp_path: Path, *events: dict[str, Any], rules: str = RULES, policy: str = POLICY) -> Bank:
    events = (*events, event("click", "end", "nobody", END))
    return Bank(tmp_path, sorted(events, key=lambda one: one["ts"]), rules, policy)


GOLD = event("profile", "p", "A", T, tier="gold", aum=5)


@pytest.mark.parametrize("rule", [rule for rule in MORE if rule != "waits"])
def test_one_more_event_is_decided_as_was_said(bank: Bank, rule: str) -> None:
    added = [more(rule, customer, 99, END + 1) for customer in CUSTOMERS]
    made: dict[str, list[dict[str, Any]]] = {customer: [] for customer in CUSTOMERS}
    for decision in bank.run(added):
        if decision["rule_id"] == rule and decision["anchor_event_id"] == f"{rule}-99":
            made[decision["customer_id"]].append(decision)
    seen: Counter[str] = Counter()
    for customer in CUSTOMERS:
        answer = bank.answer(customer, rule)
        if not answer["known"]:
            continue
        (one,) = answer["tries"]
        said = [action for action in one["actions"] if action["decision"] != "held"]
        if one["holds"] is False and not made[customer]:
            seen["condition failed"] += 1
            continue
        if not made[customer] and said:
            assert one["holds"] is not True, (customer, one)
            continue
        decided = [(made["decision"], made["reason"], made["would_be"]) for made in made[customer]]
        assert decided == [(one["decision"], one["reason"], one["would_be"]) for one in said], (customer, one)
        seen.update(one["would_be"] or one["reason"] or "emitted" for one in answer["tries"][0]["actions"])
    wanted = {
        "prepay": {"emitted", "cooldown", "condition failed"}, "asks": {"emitted", "open_ticket"},
        "invites": {"emitted", "holdout", "cap"}, "offers": {"quiet_hours", "opt_out"},
        "tried": {"emitted", "cooldown"}, "rising": {"emitted"}, "device": {"emitted", "condition failed"},
    }  # fmt: skip
    assert wanted[rule] <= {*seen}, seen


def test_the_part_that_fails(tmp_path: Path) -> None:
    searches = [more("prepay", "A", n, T + n * HOUR) for n in range(2)]
    one = small(tmp_path, GOLD, *searches).tried("A", "prepay")
    assert one["holds"] is False
    assert one["failed"] == ["`searches >= 3` does not hold: `searches` is 2."]
    parts = {line["text"]: line["holds"] for line in one["condition"]}
    assert parts == {"searches >= 3": False, 'click.channel == "app"': None, 'tier in ["gold", "private"]': True}
    assert [(let["name"], let["value"], let["needs_event"]) for let in one["lets"]] == [
        ("searches", 2, False), ("tier", "gold", False),
    ]  # fmt: skip


def test_what_an_event_has_to_tell(bank: Bank) -> None:
    one = bank.tried("c1", "asks")
    assert (one["holds"], one["needs_event"]) == (None, 1)
    assert [line["holds"] for line in one["condition"]] == [None, False, None]
    assert one["lets"][0]["needs_event"]
    gold = bank.tried("c2", "asks")
    assert (gold["holds"], gold["needs_event"]) == (True, 0)
    entity = bank.tried("c2", "device")
    assert entity["failed"] == ["`profile.aum < 1000` does not hold: `profile.aum` is 1,200."]
    rises = bank.tried("c2", "rising")
    assert (rises["holds"], rises["failed"]) == (None, [])


def test_cooldown_ends_when_it_ends(tmp_path: Path) -> None:
    searches = [more("prepay", "A", n, END - DAY + n * HOUR) for n in range(3)]
    found = small(tmp_path, GOLD, *searches)
    check = found.check("A", "prepay", "cooldown")
    (made,) = [one for one in found.decisions if one["decision"] == "emitted"]
    assert check["until_ms"] == made["ts"] + 8 * DAY
    one = found.tried("A", "prepay")
    assert [check["reason"] for check in one["policy"] if check["holds_back"]] == ["cooldown", "open_ticket"]
    assert one["first"] == one["actions"][0]["reason"] == "cooldown"


def test_a_cap_says_when_there_is_room(tmp_path: Path) -> None:
    times = [END - 3 * DAY, END - 2 * DAY]
    found = small(tmp_path, *(more("invites", who, n, ts) for n, ts in enumerate(times) for who in CUSTOMERS))
    customer = next(one["customer_id"] for one in found.decisions if one["decision"] == "emitted")
    check = found.check(customer, "invites", "cap")
    assert "2 of at most 2 of class 'survey' within 20 days" in check["text"]
    assert check["holds_back"]
    assert check["until_ms"] == times[0] + 20 * DAY  # the invitation and the tag of that time fill it
    held_out = next(one["customer_id"] for one in found.decisions if one["reason"] == "holdout")
    assert found.tried(held_out, "invites")["first"] == "holdout"


def test_a_cap_on_one_metric_of_surveys(tmp_path: Path) -> None:
    rules = RULES.replace("metric: nps", "metric: ces")
    first_ms = END - 25 * DAY
    found = small(tmp_path, *(more("invites", who, 0, first_ms) for who in CUSTOMERS), rules=rules)
    customer = next(one["customer_id"] for one in found.decisions if one["decision"] == "emitted")
    check = found.check(customer, "invites", "cap")
    assert "1 of at most 1 surveys of 'ces' of class 'survey' within 30 days" in check["text"]
    assert "0 of at most 2 of class 'survey' within 20 days" in check["text"]
    assert (check["holds_back"], check["until_ms"]) == (True, first_ms + 30 * DAY)
    actions = found.tried(customer, "invites")["actions"]
    assert [(one["kind"], one["reason"]) for one in actions] == [("survey", "cap"), ("tag", None)]


def test_a_cap_of_a_metric_is_looked_at_too(tmp_path: Path) -> None:
    policy = "version: 1\ncaps: [{class: survey, metric: nps, max: 1, per: 20d}]\n"
    found = small(tmp_path, more("invites", "A", 1, END - 3 * DAY), policy=policy)
    check = found.check("A", "invites", "cap")
    assert check["text"].startswith("1 of at most 1 surveys of 'nps' of class 'survey' within 20 days")
    assert check["holds_back"]
    assert check["until_ms"] == END + 17 * DAY
    one = found.tried("A", "invites")
    assert (one["first"], [action["reason"] for action in one["actions"]]) == ("cap", ["cap", None])


def test_an_open_ticket_that_is_followed(tmp_path: Path) -> None:
    found = small(tmp_path, GOLD, more("asks", "A", 1, T + HOUR))
    (ticket,) = [one for one in found.decisions if one["decision"] == "emitted"]
    found.state = tmp_path / "accepted"
    last_day_ms = 1_762_617_600_000  # the end of the 30th day after, in Shanghai
    message = event("ticket", "m", "A", END, ticket_id=ticket["action_id"], stage="accepted")
    found.run([message], state=found.state)
    (shown,) = found.answer("A", "asks")["tickets"]
    assert (shown["ticket_id"], shown["stage"], shown["due"]) == (ticket["action_id"], "accepted", last_day_ms)
    check = found.check("A", "asks", "open_ticket")
    assert check["holds_back"]
    assert check["text"] == f"ticket {ticket['action_id']} is open, accepted, due 2025-11-09 00:00:00"


def test_a_rule_that_waits(tmp_path: Path) -> None:
    found = small(tmp_path, event("click", "s", "A", END - HOUR, action="start"), event("click", "o", "B", T))
    answer = found.answer("A", "waits")
    assert answer["armed"]["deadline"] == END - HOUR + DAY
    assert answer["armed"]["event_id"] == "s"
    assert any("unless" in line and "2025-10-19 21:53:20" in line for line in answer["summary"])
    assert found.answer("B", "waits")["armed"] is None


def test_what_quiet_hours_hold(tmp_path: Path) -> None:
    found = small(tmp_path, more("offers", "A", 1, END - HOUR))
    answer = found.answer("A", "offers")
    morning = T + 9 * DAY + 16 * HOUR + 6 * MINUTE + 40_000  # 09:00 of the day after
    assert [(one["until"], one["actions"], one["event_id"]) for one in answer["held"]] == [(morning, 2, "offers-1")]
    assert answer["tries"][0]["actions"][0]["until"] == morning


def test_a_date_rule_is_tried_for_each_holding(bank: Bank) -> None:
    answer = bank.answer("c2", "matures")
    days = [
        (one["holding_id"], one["condition"][0]["values"]["days_until(holding.matures_on)"]) for one in answer["tries"]
    ]
    assert days == [("h0", 2), ("h1", 3)]
    assert not any(one["holds"] for one in answer["tries"])
    assert answer["next_tick"] == T + 9 * DAY + 16 * HOUR + 6 * MINUTE + 40_000
    assert {(one["holding_id"], one["first"]) for one in answer["tries"]} == {("h0", "cooldown"), ("h1", "cooldown")}
    assert "customers with a profile" in " ".join(bank.answer("c5", "matures")["summary"])


def test_paused_in_the_file_and_at_run_time(bank: Bank) -> None:
    assert bank.tried("c2", "off")["first"] == "paused"
    assert bank.check("c2", "off", "warming")["holds_back"]  # its window begins when it is no longer paused
    PauseFiles(bank.state).change(["asks"], "pause", at_ms=END, by="ann", why="wrong text")
    try:
        one = bank.tried("c2", "asks")
        assert (one["first"], one["actions"][0]["reason"]) == ("paused", "paused")
        assert one["policy"][0]["text"] == "paused by ann since 2025-10-18 22:53:20: wrong text"
    finally:
        PauseFiles(bank.state).change(["asks"], "resume", at_ms=END, by="ann", why="")
    assert bank.tried("c2", "asks")["first"] != "paused"


def test_other_rules_than_the_runs(bank: Bank, tmp_path: Path) -> None:
    """The windows that the state has filled are taken over; a longer one is warming."""
    (tmp_path / "rules.yaml").write_text(
        RULES.replace('last="30d")\', tier', 'last="3000d")\', tier'), encoding="utf-8"
    )
    before = bank.tried("c2", "prepay")
    given = bank.tried("c2", "prepay", "--rules", str(tmp_path / "rules.yaml"))
    assert given["first"] == "warming"
    assert (before["lets"][0]["value"], given["lets"][0]["value"]) == (2, 2)
    assert "warming" not in [one["reason"] for one in before["policy"] if one["holds_back"]]


def test_the_policy_of_the_run_is_asked_for(bank: Bank, tmp_path: Path) -> None:
    assert bank.answer("c2", "invites")["notes"] == []
    (tmp_path / "policy.yaml").write_text("version: 1\n", encoding="utf-8")
    (note,) = bank.answer("c2", "invites", "--policy", str(tmp_path / "policy.yaml"))["notes"]
    assert "another contact policy" in note


def test_a_customer_of_whom_nothing_is_known(bank: Bank) -> None:
    answer = bank.answer("who", "prepay")
    assert (answer["known"], answer["as_of"]) == (False, END)
    assert "holds nothing of customer who as of 2025-10-18 22:53:20" in answer["summary"][0]
    assert "tries" not in answer


def test_a_folder_in_use_is_looked_at_and_not_changed(bank: Bank) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in bank.state.rglob("*")}

    with StateFolder.open(bank.state, {}):
        before = files()
        assert bank.ask("c2", "prepay").exit_code == 0
        assert files() == before


@pytest.mark.parametrize("dropped", ["", ', per="device_id"'])
def test_time_goes_on_to_until(tmp_path: Path, dropped: str) -> None:
    """Also where nothing is asked over entities, and one stage does it all."""
    rules = RULES.replace(dropped, "")
    found = small(tmp_path, event("click", "s", "A", END - HOUR, action="start"), rules=rules)
    found.state = tmp_path / "later"
    found.run([], state=found.state, until_ms=END + 3 * DAY)
    answer = found.answer("A", "waits")
    assert (answer["as_of"], answer["armed"]) == (END + 3 * DAY, None)
    assert answer["tries"][0]["first"] == "open_ticket"


def test_the_command_answers_the_same(bank: Bank) -> None:
    policy = str(bank.folder / "policy.yaml")
    for customer, rule in (("c2", "invites"), ("c1", "prepay"), ("c2", "matures"), ("c7", "waits")):
        assert bank.answer(customer, rule, "--policy", policy) == bank.answer(customer, rule)


def test_a_run_that_was_killed_and_goes_on(tmp_path: Path) -> None:
    """Of two partitions one is behind, so that an event waits; then it is decided as was said."""
    searches = [more("prepay", "A", n, T + hours * HOUR) for n, hours in enumerate((1, 2, 90))]
    ahead = [GOLD, *searches, event("click", "x", "nobody", T + 99 * HOUR)]
    behind = [event("click", f"e{hours}", "nobody", T + hours * HOUR) for hours in range(100)]
    lines = [[json.dumps(one).encode() for one in part] for part in (ahead, behind)]
    case = Case([RULES], POLICY, lines, {"lateness_ms": 0, "max_jump_ms": 0})
    assert run_until(case, tmp_path, batches=8)
    asked = ["explain", "--state", str(tmp_path / "state"), "--policy", str(tmp_path / "policy.yaml")]
    result = CliRunner().invoke(app, [*asked, "--customer", "A", "--rule", "prepay", "--json"])
    answer = json.loads(result.stdout)
    assert T + 2 * HOUR < answer["as_of"] < T + 90 * HOUR
    assert answer["waiting"] == 1
    assert "One event of the customer waits" in answer["summary"][1]
    (one,) = answer["tries"]
    assert one["failed"] == ["`searches >= 3` does not hold: `searches` is 2."]
    (said,) = one["actions"]
    finish(case, tmp_path)
    (made,) = map(json.loads, (tmp_path / "out" / "actions.ndjson").read_text(encoding="utf-8").splitlines())
    assert (made["anchor_event_id"], made["decision"]) == ("prepay-2", said["decision"])
    result = CliRunner().invoke(app, [*asked, "--customer", "A", "--rule", "prepay", "--json"])
    assert [check["reason"] for check in json.loads(result.stdout)["tries"][0]["policy"] if check["holds_back"]] == [
        "cooldown", "open_ticket",
    ]  # fmt: skip


def test_a_folder_of_format_1_takes_the_rules_that_are_given(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).with_name("format-1.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "format-1"
    asked = ["explain", "--state", str(folder / "state"), "--customer", "C011", "--rule", "tried"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 3
    assert "give them with --rules" in result.output
    given = ["--rules", str(folder / "rules.yaml"), "--policy", str(folder / "policy.yaml"), "--json"]
    answer = json.loads(CliRunner().invoke(app, [*asked, *given]).stdout)
    assert (answer["waiting"], answer["notes"]) == (2, [])
    shown = CliRunner().invoke(
        app, ["state", "show", str(folder / "state"), "--customer", "C011", "--rules", given[1]]
    )  # fmt: skip
    (clicks,) = [let["value"] for let in answer["tries"][0]["lets"]]
    assert f'count(click, last="3d") = {clicks}' in shown.stdout


def test_text_for_people(bank: Bank) -> None:
    result = bank.ask("c3", "prepay")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["prepay", "v1:", "Searches", "for", "early", "repayment"]
    assert ["reason", "now", "why"] in lines
    assert ["click.channel", "==", '"app"', "needs", "an", "event"] in lines
    reasons = ["paused", "shadow", "warming", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket"]
    assert [line[0] for line in lines if line and line[0] in reasons] == reasons


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--customer", "c1", "--rule", "prepya"), 1, "did you mean prepay?"),
        (("--customer", "c1"), 2, "--customer C and --rule R"),
        (("--customer", "c1", "--rule", "prepay", "--at", "1"), 2, "--at cannot be given with --state"),
        (("--action", "0" * 32), 2, "--action cannot be given with --state"),
        (("--customer", "c1", "--rule", "prepay", "--events", "x"), 2, "--events cannot be given with --state"),
        (("--customer", "c1", "--rule", "prepay", "--models", "x"), 2, "--models belongs to --rules"),
    ],
)
def test_wrong_questions(bank: Bank, options: tuple[str, ...], code: int, said: str) -> None:
    result = CliRunner().invoke(app, ["explain", "--state", str(bank.state), *options])
    assert result.exit_code == code
    assert said in result.output


def test_what_is_no_state_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["explain", "--state", str(tmp_path), "--customer", "A", "--rule", "r"])
    assert result.exit_code == 1
    assert "this is no state folder" in result.output
    assert "give --rules and --events of the run" in CliRunner().invoke(app, ["explain", "--action", "x"]).output
