"""Views in a real Redis, which stops, hangs and comes back."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis
from live_redis import OwnRedis, RedisServer
from typer.testing import CliRunner

from flows.cli import app
from sinks.redis_views import RedisViews, forget_view, read_customer, view_key
from state.state_folder import StateFolder

NOW_MS = 1_760_000_000_000


def view(customer: str, as_of: int = 1) -> bytes:
    record = {"customer_id": customer, "as_of": as_of, "profile": {"tier": "gold"}, "features": {"r": {"n": as_of}},
              "tickets": [], "armed": []}  # fmt: skip
    return json.dumps(record).encode()


def decision(customer: str, number: int) -> bytes:
    record = {
        "action_id": f"{customer}-{number}", "kind": "tag", "rule_id": "r", "class": "service", "customer_id": customer,
        "ts": number, "holding_id": None, "decision": "emitted", "reason": None, "would_be": None,
        "payload": {"name": "t", "value": number},
    }  # fmt: skip
    return json.dumps(record).encode()


class Events:
    """Counts what happens, and lets a test wait for it."""

    def __init__(self) -> None:
        self.written = self.dropped = 0
        self.log: list[str] = []
        self._changed = threading.Condition()

    def _note(self, written: int = 0, dropped: int = 0, line: str = "") -> None:
        with self._changed:
            self.written += written
            self.dropped += dropped
            self.log += [line] if line else []
            self._changed.notify_all()

    def views_written(self, count: int) -> None:
        self._note(written=count)

    def views_dropped(self, count: int) -> None:
        self._note(dropped=count)

    def redis_away(self, error: str) -> None:
        self._note(line=f"away: {error}")

    def redis_back(self) -> None:
        self._note(line="back")

    def wait(self, holds: Any, within_s: float = 15) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), within_s), vars(self)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def writer(own_redis: OwnRedis, events: Events) -> Iterator[RedisViews]:
    made = RedisViews(own_redis.url, 60_000, events, lambda: NOW_MS)
    yield made
    made.close()


def test_a_key(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    writer.take([view("客户 1", 5)], [decision("客户 1", 4)])
    events.wait(lambda e: e.written == 1)
    with own_redis.client() as client:
        found = client.hgetall("cem:customer:客户 1")
        assert 50_000 < client.pttl("cem:customer:客户 1") <= 60_000
    assert {name: json.loads(found[name]) for name in ("as_of", "written_at", "profile", "features", "tickets")} == {
        "as_of": 5, "written_at": NOW_MS, "profile": {"tier": "gold"}, "features": {"r": {"n": 5}}, "tickets": [],
    }  # fmt: skip
    assert found["customer_id"] == "客户 1"
    assert json.loads(found["tags"])["t"]["value"] == 4
    assert [one["action_id"] for one in json.loads(found["decisions"])] == ["客户 1-4"]
    assert read_customer(own_redis.url, "客户 1") == found


def test_repeats_change_nothing(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    lines = [view("C", 20)], [decision("C", n) for n in range(15)]
    writer.take(*lines)
    events.wait(lambda e: e.written == 1)
    before = read_customer(own_redis.url, "C")
    writer.take(*lines)
    writer.take([], lines[1][:5])
    writer.take(*lines)
    events.wait(lambda e: e.written >= 2)
    writer.close()
    assert read_customer(own_redis.url, "C") == before


def test_many_customers(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    for start in range(0, 3_000, 100):
        writer.take([view(f"C{n}", n) for n in range(start, start + 100)], [])
    events.wait(lambda e: e.written == 3_000)
    with own_redis.client() as client:
        assert client.dbsize() == 3_000
        assert client.hget(view_key("C2999"), "as_of") == "2999"


def test_redis_is_away_and_comes_back(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    writer.take([view("C")], [])
    events.wait(lambda e: e.written == 1)
    own_redis.kill()
    began = monotonic()
    for n in range(2, 50):
        writer.take([view("C", n), view("D", n)], [decision("C", n)])
    assert monotonic() - began < 0.5  # the flow does not wait
    events.wait(lambda e: len(e.log) == 1)
    assert events.log[0].startswith("away: ")
    own_redis.start()
    events.wait(lambda e: e.written == 3)
    assert (events.log[1:], events.dropped) == (["back"], 0)
    found = read_customer(own_redis.url, "C")
    assert (found["as_of"], len(json.loads(found["decisions"]))) == ("49", 10)


def test_redis_hangs(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    writer.take([view("C")], [])
    events.wait(lambda e: e.written == 1)
    own_redis.pause()
    began = monotonic()
    writer.take([view("C", 2)], [])
    events.wait(lambda e: len(e.log) == 1)
    assert monotonic() - began < 6
    own_redis.resume()
    events.wait(lambda e: e.log[1:] == ["back"])
    assert read_customer(own_redis.url, "C")["as_of"] == "2"


def test_what_waits_is_bounded_and_the_oldest_is_dropped(own_redis: OwnRedis, events: Events) -> None:
    own_redis.stop()
    writer = RedisViews(own_redis.url, 60_000, events, lambda: NOW_MS, most_waiting=10)
    for n in range(30):
        writer.take([view(f"C{n}")], [])
    events.wait(lambda e: e.dropped == 20)
    own_redis.start()
    events.wait(lambda e: e.written == 10)
    with own_redis.client() as client:
        assert set(client.keys()) == {view_key(f"C{n}") for n in range(20, 30)}
    writer.close()


def test_what_waits_at_the_end_is_written_or_counted(own_redis: OwnRedis, events: Events) -> None:
    writer = RedisViews(own_redis.url, 60_000, events, lambda: NOW_MS)
    writer.take([view("C")], [])
    writer.close()
    assert (events.written, read_customer(own_redis.url, "C")["as_of"]) == (1, "1")
    own_redis.stop()
    writer = RedisViews(own_redis.url, 60_000, events, lambda: NOW_MS)
    writer.take([view("C"), view("D")], [])
    began = monotonic()
    writer.close()
    assert monotonic() - began < 3
    assert events.dropped == 2


def test_a_key_of_another_type_and_lines_that_are_none(writer: RedisViews, events: Events, own_redis: OwnRedis) -> None:
    with own_redis.client() as client:
        client.set(view_key("C"), "text")
    writer.take([view("C", 3), b"{"], [b"{}"])
    events.wait(lambda e: e.written == 1 and e.dropped == 2)
    assert read_customer(own_redis.url, "C")["as_of"] == "3"
    assert events.log == []


def test_a_server_that_refuses_is_away(own_redis: OwnRedis, events: Events) -> None:
    with own_redis.client() as client:
        client.config_set("requirepass", "secret")
    writer = RedisViews(own_redis.url, 60_000, events, lambda: NOW_MS)
    writer.take([view("C")], [])
    events.wait(lambda e: len(e.log) == 1)
    assert "uthentication" in events.log[0]
    with redis.Redis.from_url(own_redis.url, password="secret") as client:
        client.config_set("requirepass", "")
    events.wait(lambda e: e.written == 1)
    writer.close()


def test_forgetting(redis_server: RedisServer, events: Events) -> None:
    writer = RedisViews(redis_server.url, 60_000, events, lambda: NOW_MS)
    writer.take([view("to forget")], [])
    writer.close()
    assert forget_view(redis_server.url, "to forget")
    assert not forget_view(redis_server.url, "to forget")
    assert read_customer(redis_server.url, "to forget") == {}


def test_forgetting_by_the_command(own_redis: OwnRedis, tmp_path: Path) -> None:
    StateFolder.open(tmp_path / "state", {"key": [1, 2]}).close()
    config = tmp_path / "live.yaml"
    config.write_text(
        "rules: [r.yaml]\nstate: state\nsource: {bootstrap: 'localhost:1', topics: {click: [c]}}\n"
        f"sinks: {{files: out}}\nviews: {{url: '{own_redis.url}'}}\n"
    )
    writer = RedisViews(own_redis.url, 60_000, Events(), lambda: NOW_MS)
    writer.take([view("C"), view("D")], [])
    writer.close()
    command = ["state", "forget", str(tmp_path / "state"), "--customer", "C", "--config", str(config)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "the view of customer 'C' in Redis is removed" in done.output
    assert (read_customer(own_redis.url, "C"), len(read_customer(own_redis.url, "D"))) == ({}, 9)
    own_redis.stop()
    assert CliRunner().invoke(app, command).exit_code == 3
