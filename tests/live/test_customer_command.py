"""`cem customer`: what a desk reads, on a terminal."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from live_redis import OwnRedis, RedisServer
from test_redis_views import Events

from flows.live.customer_command import show_customer
from sinks.redis_views import RedisViews

AT_MS = 1_760_086_400_000  # 2025-10-10T16:53:20 in Shanghai

RULES = """
version: 1
timezone: Asia/Shanghai
rules:
  - {id: prepay, title: 提前还款, trigger: click, let: {n: 'count(click, last="7d")'}, then: [{ticket: {}}]}
"""


@pytest.fixture
def config(tmp_path: Path, redis_server: RedisServer) -> Path:
    return config_of(tmp_path, redis_server.url)


def config_of(folder: Path, url: str | None) -> Path:
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    path = folder / "live.yaml"
    views = "" if url is None else f"views: {{url: '{url}'}}\n"
    path.write_text(
        "rules: [rules.yaml]\nstate: state\nsource: {bootstrap: 'localhost:1', topics: {click: [c]}}\n"
        f"sinks: {{files: out}}\n{views}"
    )
    return path


def written(url: str, now_ms: int) -> None:
    view = {
        "customer_id": "客户1", "as_of": AT_MS, "profile": {"tier": "gold", "aum": 53447.18},
        "features": {"prepay": {"n": 3, "share": 0.25}, "gone": {"x": None}},
        "tickets": [{"ticket_id": "t1", "rule_id": "prepay", "holding_id": None}],
        "armed": [{"rule_id": "prepay", "deadline": AT_MS + 3_600_000}],
    }  # fmt: skip
    decisions: list[dict[str, Any]] = [
        {"action_id": "t1", "kind": "ticket", "decision": "emitted", "reason": None, "payload": {"subject": "请致电"}},
        {"action_id": "t2", "kind": "tag", "decision": "emitted", "reason": None, "payload": {"name": "x", "value": 1}},
        {"action_id": "t3", "kind": "notify", "decision": "suppressed", "reason": "cap", "payload": {"text": "hello"}},
    ]
    lines = [
        json.dumps({"rule_id": "prepay", "class": "service", "customer_id": "客户1", "ts": AT_MS - 60_000,
                    "holding_id": None, "would_be": None} | one).encode()
        for one in decisions
    ]  # fmt: skip
    writer = RedisViews(url, 60_000, Events(), lambda: now_ms)
    writer.take([json.dumps(view).encode()], lines)
    writer.close()


def cem(*arguments: str | Path) -> tuple[int, str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


def test_what_is_shown(config: Path, redis_server: RedisServer) -> None:
    written(redis_server.url, time.time_ns() // 1_000_000 - 3_000)
    code, out, err = cem("customer", "客户1", "--config", config)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert "as of 2025-10-10 16:53:20" in words
    for said in (
        "tier gold", "aum 53,447.18", "prepay 提前还款 n 3 share 0.25", "gone x null", "x 1 2025-10-10 16:52:20 prepay",
        "2025-10-10 16:52:20 prepay 提前还款 t1", "2025-10-10 17:53:20 prepay", "notify prepay 提前还款 cap hello",
        "ticket prepay 提前还款 emitted 请致电",
    ):  # fmt: skip
        assert said in words, said


def test_as_json(config: Path, redis_server: RedisServer) -> None:
    written(redis_server.url, AT_MS)
    code, out, _ = cem("customer", "客户1", "--config", config, "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found) == [
        "customer_id", "as_of", "written_at", "profile", "features", "tags", "tickets", "armed", "decisions",
    ]  # fmt: skip
    assert (found["features"]["prepay"]["n"], len(found["decisions"]), found["written_at"]) == (3, 3, AT_MS)


def test_freshness(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = dict.fromkeys(("profile", "features", "tags", "tickets", "armed", "decisions"))
    show_customer({"customer_id": "C", "as_of": AT_MS, "written_at": AT_MS + 1_000, **nothing}, {}, AT_MS + 3_500)
    out = capsys.readouterr().out
    assert "as of 2025-10-10 16:53:20 Asia/Shanghai (3 s ago), written 2 s ago" in out
    assert "open tickets: none" in out
    show_customer({"customer_id": "C", "as_of": None, "written_at": AT_MS, **nothing}, {}, AT_MS)
    assert "decisions only, no view yet" in capsys.readouterr().out


def test_ids_of_tickets_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    ticket = "f99644034da3c03e71642e9c" + "0" * 8
    found: dict[str, Any] = dict.fromkeys(("profile", "features", "tags", "armed", "decisions"))
    tickets = [{"since": AT_MS, "rule_id": "a-rule-of-a-long-name" * 3, "holding_id": None, "ticket_id": ticket}]
    show_customer({"customer_id": "C", "as_of": AT_MS, "written_at": AT_MS, "tickets": tickets, **found}, {}, AT_MS)
    out = capsys.readouterr().out
    assert "since (Asia/Shanghai)" in out
    assert ticket in out


def test_nothing_known(config: Path) -> None:
    code, out, err = cem("customer", "nobody", "--config", config)
    assert (code, out) == (3, "")
    assert "nothing is known of customer 'nobody'" in err


def test_redis_is_away(tmp_path: Path, own_redis: OwnRedis) -> None:
    own_redis.stop()
    code, _, err = cem("customer", "C", "--config", config_of(tmp_path, own_redis.url))
    assert code == 3
    assert "Redis at redis://127.0.0.1" in err
    assert "Traceback" not in err


def test_no_views_are_written(tmp_path: Path) -> None:
    code, _, err = cem("customer", "C", "--config", config_of(tmp_path, None))
    assert code == 1
    assert "has no `views`" in err
