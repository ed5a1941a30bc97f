"""Every key figure of a simulated quarter against a plain computation, and what `cem kpi` prints and draws."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.cli import app
from flows.demo.run import demo_rules
from flows.kpi.ask import DIMENSIONS, Asker, KpiError, Period, read_goals
from flows.kpi.charts import subject_charts
from flows.kpi.database import Opened, of_files
from flows.kpi.report import print_tables
from flows.kpi.sankey import sankey
from flows.kpi.svg import Dot, dots, ticks
from flows.kpi.tables import SUBJECTS, subject_tables
from flows.replay import ReplayJob, replay
from flows.simulate import simulate
from flows.simulate.clock import DAY_MS, DEFAULT_START_MS, HOUR_MS
from flows.simulate.columns import STREAMS
from rules.load import load_rules
from rules.policy import load_policy
from sinks.clickhouse import Tables
from sinks.kpi_surveys import BELONGS
from sinks.kpi_views import KPI_VIEWS
from tests.reference import kpi as plain
from tests.reference import kpi_surveys as plain_surveys
from tests.reference import kpi_tickets as plain_tickets

Record = dict[str, Any]

ZONE = "Asia/Shanghai"
POLICY = """
version: 1
holdout: {percent: 35, salt: kpi}
caps: [{class: survey, max: 2, per: 30d}, {class: "*", max: 4, per: 7d}]
quiet_hours: {from: "21:00", to: "09:00", action: drop}
"""
GOALS = {"idle-cash": "txn.kind=investment", "prepay-hesitation": "click.action=prepay_submit", "*": "txn.kind=salary"}
SURVEYS = """
version: 1
rules:
  - id: ask-nps
    class: survey
    trigger: click[action == "finish"]
    cooldown: 5d
    then: [survey: {metric: nps, touchpoint: "{click.journey}", channel: app}]
  - id: ask-csat
    class: service
    trigger: txn[kind == "transfer"]
    cooldown: 9d
    then: [survey: {metric: csat, touchpoint: transfer, channel: sms}, survey: {metric: free, touchpoint: transfer}]
  - id: ask-shadow
    class: survey
    status: shadow
    trigger: txn[kind == "transfer"]
    cooldown: 9d
    then: [survey: {metric: csat, touchpoint: transfer}]
"""
CLOCKS = {"first_response": 1, "resolution": 3, "statutory": 15}
ESCALATIONS = [(event, clock) for event in ("warning", "breach") for clock in CLOCKS] + [
    ("illegal_transition", ""), ("illegal_extension", ""), ("reopen", ""),
]  # fmt: skip
STAGES = ("accepted", "analysing", "resolved", "followed_up", "reopened", "resolved", "closed")


@dataclass(frozen=True)
class Quarter:
    """A bank's files, and the same in memory."""

    events: list[Path]
    actions: Path
    bank: plain.Bank


def handled(decisions: Sequence[Record], rng: random.Random) -> Iterator[Record]:
    """What became of the rules' tickets and surveys, which the simulator does not tell: some in time, some never."""
    for number, decision in enumerate(decisions):
        if decision["decision"] != "emitted" or rng.random() < 0.2:
            continue
        common = {"customer_id": decision["customer_id"], "channel": "app"}
        if decision["kind"] == "survey":
            yield from answers(decision, number, rng)
        elif decision["kind"] == "ticket":
            ts = decision["ts"]
            last = rng.choice([1, 3, 4, 5, 7, 7])
            for stage, name in enumerate(STAGES[:last]):
                ts += rng.randrange(1, rng.choice([1, 1, 24]) * 900_000)
                told = {"satisfaction": rng.choice([1, 2, 3, 4, 5, 4.5])} if name in ("followed_up", "closed") else {}
                body = {"ticket_id": decision["action_id"], "stage": name, **told}
                yield {**common, "stream": "ticket", "event_id": f"t{number}-{stage}", "ts": ts, **body}


def clocked(decisions: Sequence[Record], rng: random.Random) -> Iterator[Record]:
    """The same with the deadlines of most tickets, and with what came of them, as the engine's clocks write it."""
    for decision in decisions:
        if decision["kind"] != "ticket" or rng.random() < 0.3:
            yield decision
            continue
        due = {clock: decision["ts"] + days * DAY_MS for clock, days in CLOCKS.items() if rng.random() < 0.8}
        repeat = {} if rng.random() < 0.1 else {"repeat": rng.choice([0, 0, 1, 4])}
        more = {"due": due, "level": rng.choice(["urgent", "normal"])} | repeat
        yield decision | {"payload": decision["payload"] | more}
        if decision["decision"] != "emitted":
            continue
        for number, (event, clock) in enumerate(rng.sample(ESCALATIONS, rng.choice([0, 0, 1, 2, 3]))):
            payload = {"ticket_id": decision["action_id"], "event": event, "queue": "q", "to": "", "stage": "created"}
            payload |= {"clock": clock, "due": due.get(clock)} if clock else {}
            ts = decision["ts"] + rng.randrange(5 * DAY_MS)
            named = {"action_id": f"{decision['action_id'][:-2]}-{number}", "kind": "escalate", "ts": ts}
            yield decision | named | {"payload": payload, "features": {}}


def answers(survey: Record, number: int, rng: random.Random) -> Iterator[Record]:
    """Answers to a survey: soon or late, once or twice, with its id or without, or with one that is wrong."""
    for turn in range(rng.choice([1, 1, 1, 2, 3])):
        metric = rng.choice([*[survey["payload"]["metric"]] * 8, "nps", "comment"])
        answer = {
            "stream": "feedback", "event_id": f"s{number}-{turn}", "customer_id": survey["customer_id"],
            "channel": rng.choice(["app", "sms"]), "metric": metric, "touchpoint": rng.choice(["survey", "transfer"]),
            "ts": survey["ts"] + rng.choice([rng.randrange(-HOUR_MS, 3 * HOUR_MS), rng.randrange(10 * DAY_MS)]),
            "score": rng.choice([1, 2, 3, 4, 5, 6, 7, 7.5, 0, 9, 10]),
        }  # fmt: skip
        told = [survey["action_id"]] * 6 + ["", None, "no-such-survey"]
        survey_id = rng.choice(told)
        yield answer if survey_id is None else answer | {"survey_id": survey_id}


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Quarter:
    folder = tmp_path_factory.mktemp("kpi")
    simulate(folder, customers=70, days=91, seed=5, story_rate=0.05, events_per_customer_day=6)
    paths = [folder / f"{stream}.ndjson" for stream in STREAMS]
    (folder / "policy.yaml").write_text(POLICY)
    policy, problems = load_policy(folder / "policy.yaml")
    assert policy is not None, problems
    (folder / "surveys.yaml").write_text(SURVEYS)
    more_rules, problems = load_rules([folder / "surveys.yaml"])
    assert more_rules is not None, problems
    shipped, _ = demo_rules()
    rules = replace(shipped, rules=(*shipped.rules, *more_rules.rules))
    until_ms = DEFAULT_START_MS + 91 * DAY_MS
    replay(ReplayJob(rules, tuple(paths), folder / "out", policy, until_ms=until_ms))
    decisions = [json.loads(line) for line in (folder / "out" / "actions.ndjson").open()]
    decisions.sort(key=lambda decision: (decision["ts"], decision["action_id"]))
    rng = random.Random(7)
    more = folder / "more.ndjson.gz"
    told = [json.dumps(event) for event in handled(decisions, rng) if event["ts"] <= until_ms]
    decisions = list(clocked(decisions, random.Random(8)))
    actions = folder / "out" / "clocked.ndjson"
    actions.write_text("".join(json.dumps(decision) + "\n" for decision in decisions))
    with gzip.open(more, "wt") as file:
        file.write("\n".join([*told, *told[:20], "", "{broken"]))  # twice, blank and broken: counted once or not at all
    events = [json.loads(line) for path in paths for line in path.open()] + [json.loads(line) for line in told]
    return Quarter([*paths, more], actions, plain.Bank(events, decisions, ZONE))


@pytest.fixture(scope="module")
def opened(quarter: Quarter) -> Iterator[Opened]:
    with of_files(quarter.events, [quarter.actions], ZONE) as opened:
        yield opened


EVER = ("0000-00-00", "9999-99-99")
MONTH = (date(2026, 4, 1), date(2026, 4, 30))


def same(found: list[Record], expected: list[Record]) -> None:
    """The same rows in any order: everything exactly, numbers with fractions to 1e-9."""

    def key(row: Record) -> str:
        return json.dumps({name: value for name, value in sorted(row.items()) if isinstance(value, str | list)})

    def numbered(row: Record) -> tuple[str, int]:
        return key(row), int(row.get("contacts", row.get("place", 0)))

    found, expected = sorted(found, key=numbered), sorted(expected, key=numbered)
    assert list(map(numbered, found)) == list(map(numbered, expected))
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for name, value in one.items():
            wanted = pytest.approx(other[name], rel=1e-9, abs=1e-9) if isinstance(value, float) else other[name]
            assert value == wanted, (name, one, other)


def dimension_sets(subject: str) -> list[list[str]]:
    names = DIMENSIONS[subject]
    return [[], [names[0]], list(names)]


Ask = Callable[[Asker], Callable[[Sequence[str]], list[Record]]]
CASES: list[tuple[str, Ask, Any]] = [
    ("voice", lambda ask: ask.voice, plain.voice),
    ("journeys", lambda ask: ask.journeys, plain.journeys),
    ("journeys", lambda ask: ask.steps, plain.steps),
    ("journeys", lambda ask: ask.paths, plain.paths),
    ("tickets", lambda ask: ask.tickets, plain_tickets.tickets),
    ("tickets", lambda ask: ask.escalations, plain_tickets.escalations),
    ("fatigue", lambda ask: ask.fatigue, plain.fatigue),
    ("fatigue", lambda ask: ask.spread, plain.spread),
    ("rules", lambda ask: ask.rules, plain.rules),
]


@pytest.mark.parametrize(("subject", "asked", "reference"), CASES, ids=[case[2].__name__ for case in CASES])
def test_figures_are_those_of_a_plain_computation(
    opened: Opened, quarter: Quarter, subject: str, asked: Ask, reference: Any
) -> None:
    for by in dimension_sets(subject):
        found = asked(Asker(opened.client))(by)
        assert found
        same(found, reference(quarter.bank, by, *EVER))
    month = Asker(opened.client, period=Period(*MONTH))
    found = asked(month)([])
    same(found, reference(quarter.bank, [], *(day.isoformat() for day in MONTH)))
    assert found != asked(Asker(opened.client))([])


@pytest.mark.parametrize(("days", "goals"), [(7, {}), (3, GOALS)])
def test_contacts_are_those_of_a_plain_computation(
    opened: Opened, quarter: Quarter, days: int, goals: dict[str, str]
) -> None:
    for by in dimension_sets("contacts"):
        found = Asker(opened.client, days=days, goals=goals).contacts(by)
        same(found, plain.contacts(quarter.bank, by, *EVER, days, goals))
    compared = [row for row in found if row["n"] and row["control_n"]]
    assert compared
    assert all(row["difference_low"] <= row["difference"] <= row["difference_high"] for row in compared)
    ask = Asker(opened.client, period=Period(*MONTH), days=days, goals=goals)
    same(ask.contacts(), plain.contacts(quarter.bank, [], *(day.isoformat() for day in MONTH), days, goals))


@pytest.mark.parametrize("days", [7, 2])
def test_surveys_are_those_of_a_plain_computation(opened: Opened, quarter: Quarter, days: int) -> None:
    ask = Asker(opened.client, days=days)
    month = Asker(opened.client, period=Period(*MONTH), days=days)
    april = tuple(day.isoformat() for day in MONTH)
    for by in [*dimension_sets("surveys"), ["rule_id"], ["touchpoint", "day"]]:
        same(ask.surveys(by), plain_surveys.surveys(quarter.bank, by, *EVER, days))
        same(ask.survey_answers(by), plain_surveys.survey_answers(quarter.bank, by, *EVER, days))
    same(month.surveys(), plain_surveys.surveys(quarter.bank, [], april[0], april[1], days))
    same(month.survey_answers(), plain_surveys.survey_answers(quarter.bank, [], april[0], april[1], days))


def test_every_answer_is_counted_once(opened: Opened) -> None:
    ask = Asker(opened.client)
    found = ask.survey_answers()
    for row in ask.voice():
        assert sum(one["n"] for one in found if one["metric"] == row["metric"]) == row["n"]
    assert {one["belongs"] for one in found} == set(BELONGS)
    views = opened.client.query("SELECT sum(answered), sum(late), countIf(outcome = 'shadow') FROM cem.kpi_surveys")
    answered, late, shadow = views.result_rows[0]
    assert min(answered, late, shadow) > 0
    assert any(0 < row["n"] < row["sent"] for row in ask.surveys())


def test_links_of_paths_are_those_of_a_plain_computation(opened: Opened, quarter: Quarter) -> None:
    same(Asker(opened.client).links(), plain.links(quarter.bank, *EVER))


def test_the_quarter_has_what_the_figures_are_about(opened: Opened) -> None:
    ask = Asker(opened.client)
    figures = {(row["origin"], row["figure"]): row for row in ask.tickets(["origin"])}
    assert {figure for (_, figure), row in figures.items() if row["n"]} == {figure for _, figure in figures}
    assert all(0 < figures["rule", name]["value"] < 1 for name in ("sla", "first_contact", "reopened"))
    journeys = ask.journeys()
    for name in ("completed", "error", "time-out", "left"):
        assert any(row[name] for row in journeys), name
    rules = ask.rules()
    for name in ("emitted", "shadow", "holdout", "cooldown", "quiet_hours", "labelled"):
        assert any(row[name] for row in rules), name


def test_views_can_be_read_under_their_names(opened: Opened) -> None:
    for name in KPI_VIEWS:
        assert opened.client.query(f"SELECT count() FROM cem.{name}").result_rows[0][0] > 0, name
    by_day = ["day", "touchpoint", "channel", "tier"]
    found = list(opened.client.query("SELECT * FROM cem.kpi_voice_by_day").named_results())
    assert len(found) == len(Asker(opened.client).voice(by_day))


FOLLOWED_RULES = """
version: 1
rules:
  - id: complaint
    trigger: feedback[metric == "complaint"]
    then: [ticket: {queue: complaints}]
  - id: unhappy
    trigger: feedback[metric == "csat" and score <= 2]
    then: [escalate: {event: reopen, ticket_id: "{feedback.ticket_id}"}]
"""
FOLLOWING = """
version: 1
tickets:
  calendar: always
  warn: 50%
  levels: [{name: usual, first_response: 1h, resolution: 8h, statutory: 15d}]
"""


def test_tickets_that_the_engine_follows(opened: Opened, tmp_path: Path) -> None:
    """A is answered and resolved in time, B late, C by nobody, and D is opened again."""
    (tmp_path / "rules.yaml").write_text(FOLLOWED_RULES)
    (tmp_path / "policy.yaml").write_text(FOLLOWING)
    rules, problems = load_rules([tmp_path / "rules.yaml"])
    policy, policy_problems = load_policy(tmp_path / "policy.yaml")
    assert rules is not None, problems
    assert policy is not None, policy_problems

    def event(customer: str, at_ms: int, **fields: Any) -> Record:
        common = {"customer_id": customer, "event_id": f"{customer}{at_ms}", "ts": DEFAULT_START_MS + at_ms}
        return {"stream": "feedback", **common, **fields}

    def decide(events: list[Record]) -> list[Record]:
        events.sort(key=lambda event: event["ts"])
        (tmp_path / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
        until_ms = DEFAULT_START_MS + 3 * DAY_MS
        replay(ReplayJob(rules, (tmp_path / "events.ndjson",), tmp_path / "out", policy, until_ms=until_ms))
        return [json.loads(line) for line in (tmp_path / "out" / "actions.ndjson").open()]

    complaints = [event(customer, 0, metric="complaint") for customer in "ABCD"]
    tickets = {one["customer_id"]: one["action_id"] for one in decide(list(complaints)) if one["kind"] == "ticket"}
    stages = [("A", 30, "accepted"), ("A", 60, "resolved"), ("B", 90, "accepted"), ("B", 600, "resolved"),
              ("D", 10, "accepted"), ("D", 20, "resolved")]  # fmt: skip
    messages = [
        event(customer, at * 60_000, stream="ticket", ticket_id=tickets[customer], stage=stage)
        for customer, at, stage in stages
    ]
    bad = event("D", 30 * 60_000, metric="csat", score=1, ticket_id=tickets["D"])
    shutil.rmtree(tmp_path / "out")
    decisions = decide([*complaints, *messages, bad])

    tables = Tables(opened.client, "followed", ZONE)
    tables.create()
    tables.insert_events(json.dumps(one).encode() for one in [*complaints, *messages, bad])
    tables.insert_decisions(json.dumps(one).encode() for one in decisions)
    columns = "customer_id, first_response_met, sla_met, statutory_met, reopened, level"
    found = opened.client.query(f"SELECT {columns} FROM followed.kpi_tickets ORDER BY ALL").result_rows
    assert list(map(tuple, found)) == [
        ("A", 1, 1, 1, 0, "usual"), ("B", 0, 0, 1, 0, "usual"), ("C", 0, 0, None, 0, "usual"),
        ("D", 1, 0, None, 1, "usual"),
    ]  # fmt: skip
    told = {(row["event"], row["clock"]): row["tickets"] for row in Asker(opened.client, "followed").escalations()}
    assert told == {
        ("warning", "first_response"): 2, ("breach", "first_response"): 2, ("warning", "resolution"): 3,
        ("breach", "resolution"): 3, ("reopen", ""): 1, ("illegal_transition", ""): 3,  # resolved, never analysed
    }  # fmt: skip
    fired = {row["rule_id"]: row["decisions"] for row in Asker(opened.client, "followed").rules()}
    assert fired == {"complaint": 4, "unhappy": 1}


# ---- the command


def test_the_command_prints_json_and_writes_a_page(opened: Opened, quarter: Quarter, tmp_path: Path) -> None:
    files = [part for path in quarter.events for part in ("--events", str(path))]
    command = [sys.executable, "-m", "flows.cli", "kpi", "voice", "rules", *files, "--actions", str(quarter.actions)]
    options = ["--from", "2026-04-01", "--by", "day", "--json", "--html", str(tmp_path / "kpi.html")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)  # one database a process
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["from"], answer["to"], list(answer["tables"])) == (
        "2026-04-01", None, ["voice_by_day", "rules", "precision"],
    )  # fmt: skip
    ask = Asker(opened.client, period=Period(MONTH[0]))
    same(answer["tables"]["voice_by_day"], ask.voice(["day"]))
    same(answer["tables"]["rules"], ask.rules(["day"]))
    assert "<svg" in (tmp_path / "kpi.html").read_text()


def test_the_tables_for_people(opened: Opened) -> None:
    ask, out = Asker(opened.client), io.StringIO()
    print_tables(ask, {"voice": subject_tables("voice", ask, None)}, Console(file=out, width=120))
    (nps,) = [row for row in ask.voice() if row["metric"] == "nps"]
    words = ["nps", str(nps["n"]), *(f"{nps[name]:+.1f}" for name in ("value", "low")), "to", f"{nps['high']:+.1f}"]
    assert words in [line.split() for line in out.getvalue().splitlines()]


class Reader(HTMLParser):
    """Collects what a page refers to outside itself, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href") and (value or "")[0] != "#"]


def test_the_page_has_charts_and_needs_nothing_else(opened: Opened, tmp_path: Path) -> None:
    from flows.kpi.page import page

    ask = Asker(opened.client)
    tables = {subject: subject_tables(subject, ask, None) for subject in SUBJECTS}
    written = page(ask, tables)
    reader = Reader()
    reader.feed(written)
    assert reader.outside == []
    assert "script" not in reader.tags
    drawings = re.findall(r"<svg .*?</svg>", written, re.DOTALL)
    assert len(drawings) >= 15
    for drawn in drawings:
        root = ElementTree.fromstring(drawn)
        numbers = [float(value) for node in root.iter() for name, value in node.items() if name in ("x", "y", "cx")]
        assert all(-1 <= number <= 2000 for number in numbers)
    for subject in SUBJECTS:
        assert subject_charts(subject, ask, tables[subject]), subject
    assert written.count("<table>") == sum(map(len, tables.values()))


def test_a_sankey_keeps_every_attempt(opened: Opened) -> None:
    links = [row for row in Asker(opened.client).links() if row["journey"] == "loan_apply"]
    root = ElementTree.fromstring(sankey(links, "loan_apply"))
    told = [node.text or "" for node in root.iter("title")]
    ends = [re.fullmatch(r"(?:completed|left|error|time-out|under way|goes on): ([\d,]+)", text) for text in told]
    attempts = sum(row["attempts"] for row in links if row["place"] == 1)
    assert sum(int(match[1].replace(",", "")) for match in ends if match) == attempts


def test_names_of_others_are_escaped() -> None:
    drawn = dots([Dot("<script>alert(1)</script> & so", 0.5, 0.25, 0.75, 3)], "a <b>", str)
    assert "<script" not in drawn
    assert ElementTree.fromstring(drawn).get("aria-label") == "a <b>"


def test_marks_of_an_axis_hold_what_is_drawn() -> None:
    for low, high in ((0, 0), (0.4, 0.61), (-100, 100), (-26.4, 3.1), (5, 5), (0, 49_577)):
        marks = ticks(low, high)
        assert marks[0] <= low <= high <= marks[-1]
        assert len(marks) <= 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "choose from voice, surveys"),
        (["voice", "--by", "rule_id"], "voice cannot be asked by 'rule_id'"),
        (["--from", "yesterday"], "'yesterday' is no day"),
        (["--from", "2026-04-02", "--to", "2026-04-01"], "ends (2026-04-01) before it begins"),
        (["--goal", "idle-cash"], "'idle-cash' is no goal"),
        (["--timezone", "Mars/Base"], "'Mars/Base' is no timezone"),
        (["--config", "c.yaml"], "not both"),
    ],
)
def test_wrong_usage_is_said(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["kpi", *arguments, "--events", "e.ndjson", "--actions", "a.ndjson"])
    assert (result.exit_code, message in result.output) == (2, True), result.output


def test_missing_databases_and_files_are_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["kpi", "--out", str(tmp_path)])
    assert result.exit_code == 3
    assert "no demonstration has been run here" in result.output
    assert list(tmp_path.iterdir()) == []
    result = CliRunner().invoke(app, ["kpi", "--events", str(tmp_path / "none.ndjson")])
    assert (result.exit_code, "none.ndjson: No such file" in result.output) == (3, True), result.output


def test_goals_of_rules() -> None:
    assert read_goals(["a=txn.kind=x=y", "*=click.action=b.c"]) == {"a": "txn.kind=x=y", "*": "click.action=b.c"}
    for wrong in ("a=label.x=y", "=txn.kind=x", "a=txn.kind", "a=txn.kind="):
        with pytest.raises(KpiError):
            read_goals([wrong])


def test_the_document_names_every_view_and_dimension() -> None:
    text = (Path(__file__).parents[2] / "docs" / "kpi.md").read_text(encoding="utf-8")
    assert [name for name in KPI_VIEWS if f"| `{name}` |" not in text] == []
    for subject, names in DIMENSIONS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{subject}` |")]
        assert row.split("|")[3].strip() == ", ".join(f"`{name}`" for name in names)
