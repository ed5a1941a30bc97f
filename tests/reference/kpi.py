"""The key figures computed plainly from events and decisions, to compare with those of ClickHouse."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from statistics import fmean, stdev
from typing import Any
from zoneinfo import ZoneInfo

Record = dict[str, Any]
Rows = list[Record]

TOLD = ("warning", "breach", "illegal_transition", "illegal_extension")
Z = 1.959963984540054
DAY_MS = 86_400_000
GAP_MS = 30 * 60_000
CONTACT_KINDS = {"notify", "survey", "ticket"}
REASONS = ("shadow", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket")


def wilson(good: int, n: int) -> tuple[float | None, float | None]:
    """The roots of (p - q)^2 = z^2 q (1 - q) / n, where p is the share seen."""
    if not n:
        return None, None
    p, a = good / n, Z * Z / n
    root = math.sqrt((2 * p + a) ** 2 - 4 * (1 + a) * p * p)
    return max(0.0, (2 * p + a - root) / (2 + 2 * a)), min(1.0, (2 * p + a + root) / (2 + 2 * a))


def mean_interval(values: Sequence[float], low: float, high: float) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    spread = Z * stdev(values) / math.sqrt(len(values))
    return max(low, fmean(values) - spread), min(high, fmean(values) + spread)


def quantile(values: Sequence[float], share: float) -> float | None:
    if not values:
        return None
    ordered, place = sorted(values), share * (len(values) - 1)
    below = ordered[math.floor(place)]
    return below + (ordered[math.ceil(place)] - below) * (place - math.floor(place))


class Bank:
    """Events and decisions of a bank, with what both are asked for."""

    def __init__(self, events: Iterable[Record], decisions: Iterable[Record], timezone: str) -> None:
        kept = {(e["stream"], e["customer_id"], e["ts"], e["event_id"]): e for e in events}
        self.events = sorted(kept.values(), key=lambda e: (e["ts"], e["event_id"]))
        self.decisions = list({d["action_id"]: d for d in decisions}.values())
        self.end_ms = max([e["ts"] for e in self.events] + [d["ts"] for d in self.decisions])
        self.attempts: Rows | None = None
        self._zone = ZoneInfo(timezone)
        self._profiles: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for event in self.stream("profile"):
            self._profiles[event["customer_id"]].append((event["ts"], event.get("tier") or ""))

    def stream(self, *names: str) -> Rows:
        return [event for event in self.events if event["stream"] in names]

    def day(self, ts: int) -> str:
        return datetime.fromtimestamp(ts / 1000, self._zone).date().isoformat()

    def tier(self, customer: str, ts: int) -> str:
        profiles = self._profiles[customer]
        place = bisect_right([since for since, _ in profiles], ts)
        return profiles[place - 1][1] if place else ""


def groups(rows: Iterable[Record], by: Sequence[str], first: str, last: str) -> dict[tuple[Any, ...], Rows]:
    found: dict[tuple[Any, ...], Rows] = defaultdict(list)
    for row in rows:
        if first <= row["day"] <= last:
            found[tuple(row[name] for name in by)].append(row)
    return found


# ---- voice


def answers(bank: Bank) -> Rows:
    """Feedback with a score on the scale of its metric."""
    scales = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
    rows = []
    for event in bank.stream("feedback"):
        low, high = scales.get(event["metric"], (1, 0))
        if event.get("score") is not None and low <= event["score"] <= high:
            rows.append({
                "metric": event["metric"], "score": event["score"], "channel": event.get("channel", ""),
                "touchpoint": event.get("touchpoint", ""), "day": bank.day(event["ts"]), "ts": event["ts"],
                "tier": bank.tier(event["customer_id"], event["ts"]), "customer_id": event["customer_id"],
                "survey_id": event.get("survey_id") or "", "event_id": event["event_id"],
            })  # fmt: skip
    return rows


def voice(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    rows = answers(bank)
    return [
        {
            **dict(zip(["metric", *by], key, strict=True)),
            "n": len(found),
            **scored(key[0], [row["score"] for row in found]),
        }
        for key, found in groups(rows, ["metric", *by], first, last).items()
    ]


def scored(metric: str, scores: Sequence[float]) -> Record:
    """NPS, CSAT or CES of some scores."""
    n = len(scores)
    promoters = detractors = satisfied = 0
    value = low = high = None
    if metric == "nps" and n:
        signs = [(score >= 9) - (score <= 6) for score in scores]
        promoters, detractors, mean = signs.count(1), signs.count(-1), fmean(signs)
        spread = Z * math.sqrt(fmean([(sign - mean) ** 2 for sign in signs]) / n)
        value, low, high = 100 * mean, max(-100, 100 * (mean - spread)), min(100, 100 * (mean + spread))
    elif metric == "csat" and n:
        satisfied = sum(4 <= score <= 5 for score in scores)
        value, (low, high) = satisfied / n, wilson(satisfied, n)
    elif n:
        value, (low, high) = fmean(scores), mean_interval(scores, 1, 7)
    return {
        "value": value, "low": low, "high": high,
        "promoters": promoters, "detractors": detractors, "satisfied": satisfied,
    }  # fmt: skip


# ---- journeys


def attempts(bank: Bank) -> Rows:
    if bank.attempts is None:
        bank.attempts = _attempts(bank)
    return bank.attempts


def _attempts(bank: Bank) -> Rows:
    clicks: dict[tuple[str, str, str], Rows] = defaultdict(list)
    for event in bank.stream("click"):
        if event.get("journey"):
            clicks[event["customer_id"], event["journey"], event.get("session_id", "")].append(event)
    parts: list[tuple[tuple[str, str, str], Rows]] = []
    for key, events in clicks.items():
        part: Rows = []
        for event in events:
            if part and (event["ts"] - part[-1]["ts"] > GAP_MS or _finishes(part[-1])):
                parts.append((key, part))
                part = []
            part.append(event)
        parts.append((key, part))
    return [_attempt(bank, key, part) for key, part in parts]


def _finishes(click: Record) -> bool:
    return (click.get("action") == "finish" or click.get("step") == "done") and not click.get("error_code")


def _attempt(bank: Bank, key: tuple[str, str, str], clicks: Rows) -> Record:
    visits: list[Rows] = []
    for click in clicks:
        if visits and visits[-1][0].get("step", "") == click.get("step", ""):
            visits[-1].append(click)
        else:
            visits.append([click])
    error = clicks[-1].get("error_code") or ""
    if _finishes(clicks[-1]):
        outcome = "completed"
    elif clicks[-1]["ts"] > bank.end_ms - GAP_MS:
        outcome = "under way"
    elif not error:
        outcome = "left"
    else:
        outcome = "time-out" if "TIMEOUT" in re.sub("[^A-Z]", "", error.upper()) else "error"
    return {
        "journey": key[1], "day": bank.day(clicks[0]["ts"]), "channel": clicks[0].get("channel", ""),
        "tier": bank.tier(key[0], clicks[0]["ts"]), "outcome": outcome, "path": [v[0].get("step", "") for v in visits],
        "time_ms": clicks[-1]["ts"] - clicks[0]["ts"], "entered": [v[0]["ts"] for v in visits],
        "errors": [sum(bool(click.get("error_code")) for click in v) for v in visits],
    }  # fmt: skip


OUTCOMES = ("completed", "error", "time-out", "left", "under way")


def journeys(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    every = attempts(bank)
    known = {row["journey"] for row in every if row["outcome"] == "completed"}
    out = []
    for key, found in groups(every, ["journey", *by], first, last).items():
        counts = {name: sum(row["outcome"] == name for row in found) for name in OUTCOMES}
        over = len(found) - counts["under way"]
        low, high = wilson(counts["completed"], over) if key[0] in known else (None, None)
        times = [row["time_ms"] for row in found if row["outcome"] == "completed"]
        out.append({
            **dict(zip(["journey", *by], key, strict=True)), "attempts": len(found), **counts, "low": low, "high": high,
            "completion": counts["completed"] / over if over and key[0] in known else None,
            "median_ms": quantile(times, 0.5),
        })  # fmt: skip
    return out


def steps(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    every = attempts(bank)
    known = {row["journey"] for row in every if row["outcome"] == "completed"}
    visits = [
        {**row, "attempt": number, "step": step, "place": place + 1, "errors": row["errors"][place],
         "outcome": row["outcome"] if place == len(row["path"]) - 1 else "went on",
         "time_ms": row["entered"][place + 1] - row["entered"][place] if place < len(row["path"]) - 1 else None}
        for number, row in enumerate(every) for place, step in enumerate(row["path"])
    ]  # fmt: skip
    out = []
    for key, found in groups(visits, ["journey", "step", *by], first, last).items():
        reached = len({row["attempt"] for row in found})
        counts = {name: sum(row["outcome"] == name for row in found) for name in OUTCOMES[1:]}
        over, broke = reached - counts["under way"], counts["error"] + counts["time-out"] + counts["left"]
        low, high = wilson(broke, over) if key[0] in known else (None, None)
        times = [row["time_ms"] for row in found if row["time_ms"] is not None]
        mean_low, mean_high = mean_interval(times, -math.inf, math.inf)
        out.append({
            **dict(zip(["journey", "step", *by], key, strict=True)), "reached": reached, **counts,
            "errors": sum(row["errors"] for row in found), "low": low, "high": high,
            "break_rate": broke / over if over and key[0] in known else None, "timed": len(times),
            "mean_ms": fmean(times) if times else None, "mean_low_ms": mean_low, "mean_high_ms": mean_high,
            "median_ms": quantile(times, 0.5), "place": fmean(row["place"] for row in found),
        })  # fmt: skip
    return out


def paths(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    rows = [{**row, "path": tuple(row["path"])} for row in attempts(bank)]
    columns = ["journey", *by, "path", "outcome"]
    return [
        {**dict(zip(columns, key, strict=True)), "path": list(key[-2]), "attempts": len(found)}
        for key, found in groups(rows, columns, first, last).items()
    ]


def links(bank: Bank, first: str, last: str) -> Rows:
    rows = []
    for row in attempts(bank):
        for place, step in enumerate(row["path"][:8], start=1):
            at_end = place == len(row["path"])
            to = row["outcome"] if at_end else "goes on" if place == 8 else row["path"][place]
            rows.append({**row, "place": place, "from_step": step, "to_step": to, "ends": int(at_end or place == 8)})
    columns = ["journey", "place", "from_step", "to_step", "ends"]
    return [
        {**dict(zip(columns, key, strict=True)), "attempts": len(found)}
        for key, found in groups(rows, columns, first, last).items()
    ]


# ---- contacts


def contacts(bank: Bank, by: Sequence[str], first: str, last: str, days: int, goals: dict[str, str]) -> Rows:
    wanted = _contacts(bank, days, goals)
    columns = ["rule_id", *by]
    out = []
    for group, arms in (("contacted", {"contacted"}), ("meant", {"contacted", "held back"})):
        chosen: dict[tuple[str, str, bool], Record] = {}
        for row in sorted(wanted, key=lambda row: (row["ts"], row["action_id"])):
            if row["mature"] and row["arm"] in {*arms, "holdout"} and first <= row["day"] <= last:
                chosen.setdefault((row["rule_id"], row["customer_id"], row["arm"] != "holdout"), row)
        for key, found in groups(chosen.values(), columns, first, last).items():
            treated = [row for row in found if row["arm"] != "holdout"]
            control = [row for row in found if row["arm"] == "holdout"]
            for figure in ("response", "conversion"):
                k, c = sum(row[figure] for row in treated), sum(row[figure] for row in control)
                out.append({**dict(zip(columns, key, strict=True)), "compared": group, "figure": figure,
                            **_difference(k, len(treated), c, len(control))})  # fmt: skip
    return out


def _difference(k: int, n: int, c: int, m: int) -> Record:
    low, high = wilson(k, n)
    control_low, control_high = wilson(c, m)
    row: Record = {
        "n": n, "value": k / n if n else None, "low": low, "high": high, "control_n": m,
        "control": c / m if m else None, "control_low": control_low, "control_high": control_high,
        "difference": None, "difference_low": None, "difference_high": None,
    }  # fmt: skip
    if low is not None and high is not None and control_low is not None and control_high is not None:
        p, q = k / n, c / m
        row["difference"] = p - q
        row["difference_low"] = p - q - math.hypot(p - low, control_high - q)
        row["difference_high"] = p - q + math.hypot(high - p, q - control_low)
    return row


def _contacts(bank: Bank, days: int, goals: dict[str, str]) -> Rows:
    said: dict[str, Rows] = defaultdict(list)
    for event in bank.stream("click", "txn", "feedback"):
        said[event["customer_id"]].append(event)
    out = []
    for d in bank.decisions:
        if d["kind"] not in CONTACT_KINDS or d["reason"] in ("shadow", "paused", "warming"):
            continue
        mine = said[d["customer_id"]]  # by time, as the bank has its events
        ends = [bisect_right(mine, ts, key=itemgetter("ts")) for ts in (d["ts"], d["ts"] + days * DAY_MS)]
        after = mine[slice(*ends)]
        goal = goals.get(d["rule_id"]) or d["payload"].get("goal") or goals.get("*", "click.action=finish")
        stream, field, value = re.fullmatch(r"([a-z]+)\.([^=]+)=(.*)", goal).groups()  # type: ignore[union-attr]
        if d["kind"] == "survey":
            response = any(
                e["stream"] == "feedback" and (e.get("survey_id", "") == d["action_id"]
                or (not e.get("survey_id") and e.get("metric", "") == d["payload"].get("metric", ""))) for e in after
            )  # fmt: skip
        else:
            response = any(e["stream"] in ("click", "feedback") for e in after)
        arm = "contacted" if d["decision"] == "emitted" else "holdout" if d["reason"] == "holdout" else "held back"
        out.append({
            **d, "day": bank.day(d["ts"]), "tier": bank.tier(d["customer_id"], d["ts"]), "arm": arm,
            "mature": d["ts"] + days * DAY_MS <= bank.end_ms, "response": response,
            "conversion": any(e["stream"] == stream and e.get(field) == value for e in after),
        })  # fmt: skip
    return out


# ---- fatigue and rules


def fatigue(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    everybody = len({row["customer_id"] for row in [*bank.events, *bank.decisions]})
    out = []
    for key, found in groups(_sent(bank), by, first, last).items():
        per: dict[str, Rows] = defaultdict(list)
        for row in found:
            per[row["customer_id"]].append(row)
        counts = [len(rows) for rows in per.values()]
        low, high = mean_interval(counts, -math.inf, math.inf)
        out.append({
            **dict(zip(by, key, strict=True)), "all_customers": everybody, "customers": len(per),
            "contacts": sum(counts), "share_contacted": len(per) / everybody, "mean": fmean(counts), "mean_low": low,
            "mean_high": high, "median": quantile(counts, 0.5), "p95": quantile(counts, 0.95), "most": max(counts),
            "most_in_7_days": max(row["in_7_days"] for row in found),
        })  # fmt: skip
    return out


def spread(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    per = groups(_sent(bank), [*by, "customer_id"], first, last)
    counted: dict[tuple[Any, ...], int] = defaultdict(int)
    for key, found in per.items():
        counted[(*key[:-1], len(found))] += 1
    return [dict(zip([*by, "contacts"], key, strict=True)) | {"customers": n} for key, n in counted.items()]


def _sent(bank: Bank) -> Rows:
    sent = [d for d in bank.decisions if d["kind"] in CONTACT_KINDS and d["decision"] == "emitted"]
    times: dict[str, list[int]] = defaultdict(list)
    for d in sent:
        times[d["customer_id"]].append(d["ts"])
    week = 7 * DAY_MS
    return [
        {
            **d,
            "day": bank.day(d["ts"]),
            "in_7_days": sum(d["ts"] - week < t <= d["ts"] for t in times[d["customer_id"]]),
        }
        for d in sent
    ]


def rules(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    labels: dict[tuple[str, str], bool] = {}
    for event in bank.stream("label"):
        labels[event["customer_id"], event["subject_event_id"]] = event["label"]
    rows = [
        {**d, "day": bank.day(d["ts"]), "outcome": d["reason"] or "emitted",
         "label": labels.get((d["customer_id"], d["anchor_event_id"])),
         "firing": (d["rule_version"], d["customer_id"], d["anchor_event_id"] or bank.day(d["ts"]), d["holding_id"])}
        for d in bank.decisions if d["kind"] != "escalate" or d["payload"]["event"] not in TOLD
    ]  # fmt: skip
    out = []
    for key, found in groups(rows, ["rule_id", *by], first, last).items():
        counts = {name: sum(row["outcome"] == name for row in found) for name in ("emitted", *REASONS)}
        labelled = {row["firing"]: row["label"] for row in found if row["label"] is not None}
        good, n = sum(labelled.values()), len(labelled)
        low, high = wilson(good, n)
        out.append({
            **dict(zip(["rule_id", *by], key, strict=True)), "fired": len({row["firing"] for row in found}),
            "decisions": len(found), **counts, "other": len(found) - sum(counts.values()), "labelled": n,
            "confirmed": good, "precision": good / n if n else None, "low": low, "high": high,
        })  # fmt: skip
    return out
