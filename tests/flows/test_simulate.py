"""The synthetic bank: same arguments, same bytes; valid events; stories that hold and decoys that do not."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flows.simulate import SimulationReport, simulate

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
CUSTOMERS, DAYS = 1000, 35
Event = dict[str, Any]


def local(ts: int) -> datetime:
    return datetime.fromtimestamp(ts / 1000, UTC) + timedelta(hours=8)


@dataclass
class Run:
    folder: Path
    report: SimulationReport
    events: dict[str, list[Event]]  # in file order
    truth: list[Event]

    def by_customer(self, stream: str) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(self.events[stream], key=lambda event: event["ts"]):
            found[event["customer_id"]].append(event)
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("bank")
    report = simulate(folder, customers=CUSTOMERS, days=DAYS, seed=7, events_per_customer_day=5, story_rate=0.01)
    events = {stream: [json.loads(line) for line in (folder / f"{stream}.ndjson").open()] for stream in STREAMS}
    truth = [json.loads(line) for line in (folder / "truth.ndjson").open()]
    return Run(folder, report, events, truth)


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# ---- determinism and files


@pytest.mark.parametrize("hash_seed", ["0", "1", "777"])
def test_same_arguments_give_the_same_bytes_in_any_process(tmp_path: Path, hash_seed: str) -> None:
    simulate(tmp_path / "here", customers=120, days=4, seed=3)
    code = (
        "import sys; from pathlib import Path; from flows.simulate import simulate; "
        "simulate(Path(sys.argv[1]), customers=120, days=4, seed=3)"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_another_seed_gives_another_bank(tmp_path: Path) -> None:
    simulate(tmp_path / "a", customers=50, days=2, seed=3)
    simulate(tmp_path / "b", customers=50, days=2, seed=4)
    one, other = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert all(one[name] != other[name] for name in one if (tmp_path / "a" / name).stat().st_size)


def test_partitions_hold_the_same_events_split_by_customer(tmp_path: Path) -> None:
    one = simulate(tmp_path / "one", customers=200, days=3, seed=5)
    three = simulate(tmp_path / "three", customers=200, days=3, seed=5, partitions_per_stream=3)
    assert one.events == three.events
    for stream in STREAMS:
        parts = [(tmp_path / "three" / f"{stream}-{i}.ndjson").read_text().splitlines() for i in range(3)]
        whole = (tmp_path / "one" / f"{stream}.ndjson").read_text().splitlines()
        assert sorted(whole) == sorted(line for part in parts for line in part)
        owners = [{json.loads(line)["customer_id"] for line in part} for part in parts]
        assert sum(map(len, owners)) == len(set().union(*owners)), "a customer is in one partition"
    assert (tmp_path / "one" / "truth.ndjson").read_bytes() == (tmp_path / "three" / "truth.ndjson").read_bytes()


def test_files_of_an_earlier_run_with_other_partitions_go(tmp_path: Path) -> None:
    simulate(tmp_path, customers=10, days=1, seed=1, partitions_per_stream=3)
    report = simulate(tmp_path, customers=10, days=1, seed=1, partitions_per_stream=2)
    assert sorted(tmp_path.iterdir()) == sorted(report.files)


def test_report_counts_what_is_in_the_files(run: Run) -> None:
    assert run.report.events == {stream: len(events) for stream, events in run.events.items()}
    assert run.report.stories == dict(Counter(t["story"] for t in run.truth if t["expected"]))
    assert run.report.decoys == dict(Counter(t["story"] for t in run.truth if not t["expected"]))
    assert sorted(p.name for p in run.report.files) == sorted([*(f"{s}.ndjson" for s in STREAMS), "truth.ndjson"])
    assert set(run.report.stories) == set(run.report.decoys) == set(PATTERNS)


def test_start_is_rounded_to_local_midnight_and_progress_counts_days(tmp_path: Path) -> None:
    days: list[int] = []
    start = 1_760_000_000_000
    simulate(tmp_path, customers=20, days=3, seed=1, start_ms=start, progress=days.append)
    assert days == [1, 2, 3]
    first = min(json.loads(line)["ts"] for line in (tmp_path / "profile.ndjson").open())
    assert local(first).date() == local(start).date()
    assert local(first).hour == 0


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"days": 0}, {"partitions_per_stream": 0}, {"story_rate": -1}])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    arguments: dict[str, Any] = {"customers": 10, "days": 2, "seed": 1} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate(tmp_path, **arguments)


def test_a_tiny_bank_works(tmp_path: Path) -> None:
    assert sum(simulate(tmp_path, customers=1, days=1, seed=1).events.values()) >= 1


# ---- the contract

TEXTS = {
    "click": "session_id journey step page action query element error_code device_id city",
    "txn": "direction currency kind account_id counterparty_id merchant_id terminal_id mcc city country device_id "
    "status",
    "feedback": "metric text touchpoint survey_id ticket_id",
    "profile": "tier segment manager_id branch risk_level birthday home_city",
    "ticket": "ticket_id stage actor_id note",
    "label": "subject_event_id source terminal_id",
}
NUMBERS = {"click": "duration_ms", "txn": "amount balance", "feedback": "score", "profile": "aum demand_balance",
           "ticket": "satisfaction", "label": ""}  # fmt: skip
REQUIRED = {"click": "", "txn": "amount direction", "feedback": "", "profile": "", "ticket": "ticket_id stage",
            "label": "subject_event_id label"}  # fmt: skip
OTHER = {"profile": {"opt_out", "holdings"}, "label": {"label"}}


@pytest.mark.parametrize("stream", STREAMS)
def test_every_event_is_valid(run: Run, stream: str) -> None:
    text, number = set(TEXTS[stream].split()), set(NUMBERS[stream].split())
    for event in run.events[stream]:
        assert event["stream"] == stream
        assert isinstance(event["event_id"], str)
        assert 1 <= len(event["event_id"]) <= 128
        assert isinstance(event["customer_id"], str)
        assert 1 <= len(event["customer_id"]) <= 64
        assert type(event["ts"]) is int
        assert set(REQUIRED[stream].split()) <= event.keys()
        for name, value in event.items():
            if name in text or name == "channel":
                assert isinstance(value, str)
            elif name in number:
                assert type(value) in (int, float)
            else:
                assert name in {"stream", "event_id", "customer_id", "ts"} | OTHER.get(stream, set())


def test_values_are_in_their_ranges(run: Run) -> None:
    assert {e["direction"] for e in run.events["txn"]} == {"in", "out"}
    assert all(0 < e["amount"] <= 1e12 and round(e["amount"], 2) == e["amount"] for e in run.events["txn"])
    stages = {"accepted", "analysing", "resolved", "followed_up", "reopened", "closed"}
    assert {e["stage"] for e in run.events["ticket"]} == stages
    assert {type(e["label"]) for e in run.events["label"]} == {bool}
    assert {e["metric"] for e in run.events["feedback"]} == {"nps", "csat", "ces", "complaint", "comment"}
    top = {"nps": 10, "csat": 5, "ces": 7}
    assert all(0 <= e["score"] <= top[e["metric"]] for e in run.events["feedback"] if "score" in e)
    for profile in run.events["profile"]:
        assert profile["aum"] >= profile["demand_balance"] >= 0
        date.fromisoformat(profile["birthday"])
        assert len({h["holding_id"] for h in profile["holdings"]}) == len(profile["holdings"])
        assert all(date.fromisoformat(h["matures_on"]) for h in profile["holdings"])


def test_ids_are_unique_and_times_stay_in_the_run(run: Run) -> None:
    start = min(e["ts"] for e in run.events["profile"]) // HOUR * HOUR
    for events in run.events.values():
        assert len({e["event_id"] for e in events}) == len(events)
        assert all(start <= e["ts"] < start + DAYS * DAY for e in events)


def test_order_is_by_time_with_a_little_disorder(run: Run) -> None:
    behind = []
    for stream in STREAMS:
        newest = 0
        for event in run.events[stream]:
            behind.append(newest - event["ts"])
            newest = max(newest, event["ts"])
    assert 1000 < max(behind) < 5000
    assert sum(lag > 0 for lag in behind) > 100


def test_labels_follow_their_transaction_by_a_week(run: Run) -> None:
    subjects = {e["event_id"]: e for e in run.events["txn"]}
    for label in run.events["label"]:
        subject = subjects[label["subject_event_id"]]
        assert subject["customer_id"] == label["customer_id"]
        assert 7 * DAY <= label["ts"] - subject["ts"] <= 7 * DAY + HOUR
    assert {label["label"] for label in run.events["label"]} == {True, False}


def test_ticket_stages_come_in_order(run: Run) -> None:
    by_ticket = defaultdict(list)
    for event in sorted(run.events["ticket"], key=lambda event: event["ts"]):
        by_ticket[event["ticket_id"]].append(event["stage"])
    path = ["accepted", "analysing", "resolved", "followed_up", "closed", "reopened", "analysing", "resolved", "closed"]
    assert all(stages == path[: len(stages)] for stages in by_ticket.values())
    assert all(len(ticket_id) == 16 and int(ticket_id, 16) >= 0 for ticket_id in by_ticket)


# ---- a bank that looks like one


def test_volume_follows_the_day(run: Run) -> None:
    hours = Counter(local(e["ts"]).hour for stream in ("click", "txn") for e in run.events[stream])
    total = sum(hours.values())
    night = sum(hours[h] for h in (2, 3, 4)) / 3
    assert night < 0.25 * total / 24
    assert max(range(24), key=lambda h: hours[h]) in (12, 19, 20, 21)
    assert hours[20] > hours[16]
    assert hours[12] > hours[15]


def test_weekends_and_salary_days_are_busier_for_payments(run: Run) -> None:
    purchases = Counter(local(e["ts"]).date() for e in run.events["txn"] if e["kind"] == "purchase")
    weekend = [n for on, n in purchases.items() if on.weekday() >= 5]
    workday = [n for on, n in purchases.items() if on.weekday() < 5]
    assert sum(weekend) / len(weekend) > 1.1 * sum(workday) / len(workday)
    paid = {(e["customer_id"], local(e["ts"]).date()) for e in run.events["txn"] if e["kind"] == "salary"}
    who = {customer for customer, _ in paid}
    own = Counter((e["customer_id"], local(e["ts"]).date()) for e in run.events["txn"] if e["kind"] == "purchase")
    on_pay_day = sum(own[key] for key in paid) / len(paid)
    usual = sum(n for (customer, _), n in own.items() if customer in who) / (len(who) * DAYS)
    assert on_pay_day > 1.25 * usual


def test_text_fits_the_score(run: Run) -> None:
    happy = re.compile(
        "满意|方便|秒到账|快|流畅|点赞|点个赞|好评|省心|专业|优惠|稳定|清楚|顺手|高|热情|周到|耐心"
        "|值得|丰富|简单|推荐|谢谢|不错|保持|实惠|成功|没想到"
    )
    low = [e["text"] for e in run.events["feedback"] if e["metric"] == "nps" and e["score"] <= 3 and "text" in e]
    high = [e["text"] for e in run.events["feedback"] if e["metric"] == "nps" and e["score"] >= 9 and "text" in e]
    assert low
    assert high
    assert all(happy.search(text) for text in high)
    assert not set(low) & set(high)
    assert len(set(high)) > len(high) // 2


# ---- stories: a plain scan for each pattern, as its docstring says

Found = Iterator[tuple[str, int]]
"""Who completes the pattern, and the `ts` of the event that a rule would fire (or arm) on."""


def _clicks_by_time(run: Run, keep: Callable[[Event], bool]) -> dict[str, list[Event]]:
    return {c: kept for c, events in run.by_customer("click").items() if (kept := [e for e in events if keep(e)])}


def prepay(run: Run) -> Found:
    submits = _clicks_by_time(run, lambda e: e["action"] == "prepay_submit")
    for c, searches in _clicks_by_time(run, lambda e: "提前还款" in e.get("query", "")).items():
        for first, third in zip(searches, searches[2:], strict=False):
            later = (s["ts"] - third["ts"] for s in submits.get(c, ()))
            if third["ts"] - first["ts"] < 7 * DAY and not any(0 < gap <= DAY for gap in later):
                yield c, third["ts"]


def mortgage(run: Run) -> Found:
    for c, views in _clicks_by_time(run, lambda e: e["page"].startswith("loan/mortgage")).items():
        days = {local(e["ts"]).date() for e in views}
        for e in views:
            today = local(e["ts"]).date()
            if {today - timedelta(days=1), today - timedelta(days=2)} <= days:
                yield c, e["ts"]


def idle(run: Run) -> Found:
    profiles = run.by_customer("profile")
    done = _clicks_by_time(run, lambda e: e.get("journey") == "wealth_buy" and e["action"] == "finish")
    for c, events in run.by_customer("txn").items():
        bought = [e["ts"] for e in (*events, *done.get(c, ())) if e.get("kind", "investment") == "investment"]
        for e in events:
            if e["direction"] == "in" and e["amount"] >= 200_000:
                known = [p for p in profiles[c] if p["ts"] <= e["ts"]][-1]
                after = next(p for p in profiles[c] if e["ts"] < p["ts"] <= e["ts"] + HOUR)
                shares = {p["demand_balance"] / p["aum"] > 0.6 for p in (known, after)}
                assert len(shares) == 1
                if shares == {True} and not any(0 < ts - e["ts"] <= 3 * DAY for ts in bought):
                    yield c, e["ts"]


def maturing(run: Run) -> Found:
    start = local(run.truth[0]["start_ts"]).date()
    start = min(start, min(local(e["ts"]).date() for e in run.events["profile"]))
    for c, profiles in run.by_customer("profile").items():
        for day in range(1, DAYS):
            on = start + timedelta(days=day)
            tick = (on - date(1970, 1, 1)).days * DAY + HOUR  # 09:00 local
            known = [p for p in profiles if p["ts"] <= tick][-1]
            for holding in known["holdings"]:
                left = (date.fromisoformat(holding["matures_on"]) - on).days
                if left == 7 and day + 7 < DAYS:
                    yield c, tick


def friction(run: Run) -> Found:
    for c, events in run.by_customer("click").items():
        errors: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for e in events:
            if "error_code" in e:
                errors[e["journey"], e["step"], e["session_id"]].append(e["ts"])
        for (journey, _, _), times in errors.items():
            finished = [e["ts"] for e in events if e.get("journey") == journey and e["action"] == "finish"]
            for first, third in zip(times, times[2:], strict=False):
                if third - first < 30 * MINUTE and not any(0 < ts - third <= 30 * MINUTE for ts in finished):
                    yield c, third


def low_score(run: Run) -> Found:
    errors = _clicks_by_time(run, lambda e: "error_code" in e)
    for e in run.events["feedback"]:
        low = e["metric"] == "complaint" or (e["metric"] == "nps" and e["score"] <= 3)
        if low and sum(0 <= e["ts"] - x["ts"] < DAY for x in errors.get(e["customer_id"], ())) >= 2:
            yield e["customer_id"], e["ts"]


def churn(run: Run) -> Found:
    clicks, profiles = run.by_customer("click"), run.by_customer("profile")
    end = max(e["ts"] for e in run.events["click"])
    for c, events in run.by_customer("txn").items():
        out = [e for e in events if e["kind"] == "transfer" and e["direction"] == "out" and e["amount"] >= 50_000
               and e["counterparty_id"].startswith("ext-")]  # fmt: skip
        for last in out:
            recent = [e for e in out if last["ts"] - 14 * DAY < e["ts"] <= last["ts"]]
            aum = [p["aum"] for p in profiles[c] if p["ts"] <= last["ts"]][-1]
            silent = not any(0 < e["ts"] - last["ts"] <= 7 * DAY for e in clicks[c]) and last["ts"] + 7 * DAY <= end
            if len(recent) >= 3 and sum(e["amount"] for e in recent) >= 0.5 * aum and silent:
                yield c, last["ts"]


def salary(run: Run) -> Found:
    for c, events in run.by_customer("txn").items():
        pay = [e for e in events if e["kind"] == "salary"]
        pairs = list(pairwise(pay))
        if pairs and all(after["amount"] >= 1.1 * before["amount"] for before, after in pairs):
            yield c, pairs[0][1]["ts"]


def takeover(run: Run) -> Found:
    payments = run.by_customer("txn")
    for c, events in run.by_customer("click").items():
        devices: set[str] = set()
        cities: set[str] = set()
        strange = [e for e in events if "device_id" in e]
        for e in strange:
            new = e["device_id"] not in devices and e["city"] not in cities and e["action"] == "login"
            devices.add(e["device_id"])
            cities.add(e["city"])
            if not new:
                continue
            resets = [r["ts"] for r in events if r["action"] == "password_reset" and r["device_id"] == e["device_id"]]
            for t in payments.get(c, ()):
                large = t["kind"] == "transfer" and t["direction"] == "out" and t["amount"] >= 50_000
                same = (t.get("device_id"), t.get("city")) == (e["device_id"], e["city"])
                between = any(e["ts"] < r < t["ts"] < e["ts"] + HOUR for r in resets)
                if large and same and between:
                    yield c, t["ts"]


def farm(run: Run) -> Found:
    by_device = defaultdict(list)
    for e in sorted(run.events["txn"], key=lambda e: e["ts"]):
        if e["direction"] == "out" and "device_id" in e:
            by_device[e["device_id"]].append(e)
    for events in by_device.values():
        for e in events:
            users = {x["customer_id"] for x in events if 0 <= e["ts"] - x["ts"] < HOUR}
            if len(users) >= 4:
                yield from ((c, e["ts"]) for c in users)


PATTERNS: dict[str, Callable[[Run], Found]] = {
    "repeated_prepay_search": prepay, "mortgage_browsing": mortgage, "idle_cash": idle, "maturing_holding": maturing,
    "journey_friction": friction, "low_score_after_errors": low_score, "churn_risk": churn, "salary_growth": salary,
    "account_takeover": takeover, "device_farm": farm,
}  # fmt: skip


@pytest.mark.parametrize("story", PATTERNS)
def test_story_holds_for_the_expected_and_not_for_decoys(run: Run, story: str) -> None:
    found = defaultdict(list)
    for customer, ts in PATTERNS[story](run):
        found[customer].append(ts)
    told = [t for t in run.truth if t["story"] == story]
    cast: dict[bool, set[str]] = {True: set(), False: set()}
    for record in told:
        who = record.get("customer_ids") or [record["customer_id"]]
        cast[record["expected"]].update(who)
        if record["expected"]:
            times = [ts for customer in who for ts in found[customer]]
            assert any(record["start_ts"] <= ts <= record["end_ts"] for ts in times), record
    assert cast[True]
    assert cast[False]
    assert cast[True] <= {customer for customer, times in found.items() if times}
    assert not cast[False] & {customer for customer, times in found.items() if times}
    by_accident = {customer for customer, times in found.items() if times} - cast[True]
    assert len(by_accident) <= 1, by_accident


def test_evidence_exists_and_belongs_to_the_cast(run: Run) -> None:
    owner = {e["event_id"]: e["customer_id"] for events in run.events.values() for e in events}
    for record in run.truth:
        who = record.get("customer_ids") or [record["customer_id"]]
        assert {owner[event_id] for event_id in record["event_ids"]} <= set(who)
        assert record["event_ids"] or record["story"] == "maturing_holding"
        assert record["start_ts"] <= record["end_ts"]
        assert record["note"]
    cast = [c for t in run.truth for c in (t.get("customer_ids") or [t["customer_id"]])]
    assert len(cast) == len(set(cast)), "nobody has two stories"


def test_frauds_of_stories_are_labelled(run: Run) -> None:
    verdict = {e["subject_event_id"]: e["label"] for e in run.events["label"]}
    end = max(e["ts"] for e in run.events["click"])
    paid = {e["event_id"]: e["ts"] for e in run.events["txn"]}
    seen = set()
    for record in run.truth:
        if record["story"] in ("account_takeover", "device_farm"):
            for event_id in record["event_ids"]:
                if event_id in paid and paid[event_id] + 7 * DAY < end:
                    assert verdict[event_id] is record["expected"]
                    seen.add(record["expected"])
    assert seen == {True, False}
