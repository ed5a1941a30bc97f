"""The figures of surveys computed plainly, to compare with those of ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.reference.kpi import DAY_MS, Bank, Record, Rows, answers, groups, quantile, scored, wilson


def _joined(bank: Bank, days: int) -> tuple[Rows, Rows]:
    """Every answer with what it `belongs` to, and every survey that was sent with its first answer, if any."""
    surveys: Rows = [
        {**d, "metric": d["payload"].get("metric") or "", "answer": None}
        for d in bank.decisions
        if d["kind"] == "survey" and d["decision"] == "emitted"
    ]
    surveys.sort(key=lambda s: (s["ts"], s["action_id"]))
    by_id = {(s["action_id"], s["customer_id"]): s for s in surveys}
    found = [{**a, "belongs": None, "survey": None} for a in answers(bank)]

    def take(answer: Record, survey: Record) -> None:
        answer["survey"] = survey
        if survey["answer"] is None:
            survey["answer"] = answer
            answer["belongs"] = "answered" if answer["ts"] - survey["ts"] <= days * DAY_MS else "late"
        else:
            answer["belongs"] = "again"

    for answer in found:  # in order of time; those that say which survey they answer come before those that do not
        survey = by_id.get((answer["survey_id"], answer["customer_id"]))
        if answer["survey_id"] and survey is not None and answer["ts"] > survey["ts"]:
            take(answer, survey)
        elif answer["survey_id"]:
            answer["belongs"] = "unknown_survey"
    named = {s["action_id"] for s in surveys if s["answer"] is not None}
    for answer in found:
        if answer["survey_id"]:
            continue
        before = [
            s for s in surveys
            if s["ts"] < answer["ts"] and (s["customer_id"], s["metric"]) == (answer["customer_id"], answer["metric"])
        ]  # fmt: skip
        fits = before and answer["ts"] - before[-1]["ts"] <= days * DAY_MS
        if fits and before[-1]["action_id"] not in named:
            take(answer, before[-1])
        else:
            answer["belongs"] = "unsolicited"
    return found, surveys


def surveys(bank: Bank, by: Sequence[str], first: str, last: str, days: int) -> Rows:
    rows = [
        {**s, "day": bank.day(s["ts"]), "tier": bank.tier(s["customer_id"], s["ts"]),
         "touchpoint": s["payload"].get("touchpoint", ""), "channel": s["payload"].get("channel", "")}
        for s in _joined(bank, days)[1]
    ]  # fmt: skip
    columns = list(dict.fromkeys(["metric", *by]))
    out = []
    for key, found in groups(rows, columns, first, last).items():
        mature = [row for row in found if row["ts"] + days * DAY_MS <= bank.end_ms]
        answered = [row for row in mature if row["answer"] and row["answer"]["belongs"] == "answered"]
        times = [row["answer"]["ts"] - row["ts"] for row in answered]
        scores = [row["answer"]["score"] for row in answered if row["answer"]["metric"] == row["metric"]]
        low, high = wilson(len(answered), len(mature))
        out.append({
            **dict(zip(columns, key, strict=True)), "sent": len(found), "n": len(mature), "answered": len(answered),
            "late": sum(bool(row["answer"]) and row["answer"]["belongs"] == "late" for row in mature),
            "rate": len(answered) / len(mature) if mature else None, "rate_low": low, "rate_high": high,
            "median_ms": quantile(times, 0.5), "p90_ms": quantile(times, 0.9), "scored": len(scores),
            **scored(key[0], scores),
        })  # fmt: skip
    return out


def survey_answers(bank: Bank, by: Sequence[str], first: str, last: str, days: int) -> Rows:
    rows = [{**row, "rule_id": row["survey"]["rule_id"] if row["survey"] else ""} for row in _joined(bank, days)[0]]
    columns = list(dict.fromkeys(["metric", "belongs", *by]))
    return [
        {
            **dict[str, Any](zip(columns, key, strict=True)),
            "n": len(found),
            **scored(key[0], [row["score"] for row in found]),
        }
        for key, found in groups(rows, columns, first, last).items()
    ]
