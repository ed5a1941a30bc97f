"""Tickets by hand: when each is due, and what is told of it when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.tickets.sla import ZONE, load_cases, local_ms, run_cases, ticket_id

CASES = load_cases()


def _local(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, ZONE).isoformat(sep=" ", timespec="milliseconds")[:-6]


def _told(decision: dict[str, Any]) -> dict[str, Any]:
    said = decision["payload"]
    clock = {"clock": said["clock"]} if "clock" in said else {}
    return {"at": _local(decision["ts"]), "event": said["event"], **clock}


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return run_cases(CASES, tmp_path_factory.mktemp("sla"))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_case(number: int, decisions: dict[str, list[dict[str, Any]]]) -> None:
    case = CASES[number]
    opened, *told = decisions[f"C{number}"]
    assert opened["action_id"] == ticket_id(number, case)
    until_ms = local_ms(case["until"])
    assert [_told(one) for one in told if one["ts"] <= until_ms] == [
        {**one, "at": _local(local_ms(one["at"]))} for one in case["expect"]
    ]
    due = {name: _local(at_ms) for name, at_ms in opened["payload"]["due"].items()}
    expected = {name: _local(local_ms(at)) for name, at in case.get("due", {}).items()}
    assert {name: due.get(name) for name in expected} == expected


def test_there_are_forty() -> None:
    assert len(CASES) >= 40
    assert len({case["name"] for case in CASES}) == len(CASES)
