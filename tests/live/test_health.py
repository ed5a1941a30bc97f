"""Health: what keeps a process alive and ready, and what the server answers."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from flows.live.chores import Chores
from flows.live.health import Health, HealthServer, HealthServerError
from flows.live.meters import Meters
from flows.live.observing import Observing
from flows.live.watermarks import EngineClock


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(["assigned"], clock, stall_seconds=60, start_seconds=600)


def test_alive_while_the_loop_turns(health: Health, clock: Clock) -> None:
    health.loop_turned()
    clock.now += 60
    assert health.is_alive()
    clock.now += 1
    assert not health.is_alive()
    health.loop_turned()
    assert health.is_alive()


def test_the_start_may_take_longer(health: Health, clock: Clock) -> None:
    clock.now += 600
    assert health.is_alive()
    clock.now += 1
    assert not health.is_alive()


def test_alive_while_a_sink_is_waited_for_and_a_while_after(health: Health, clock: Clock) -> None:
    health.loop_turned()
    health.waiting("kafka", True)
    clock.now += 3600
    assert health.is_alive()
    health.waiting("kafka", False)
    clock.now += 60
    assert health.is_alive()
    clock.now += 1
    assert not health.is_alive()


def test_a_sink_that_was_never_away_is_no_turn_of_the_loop(health: Health, clock: Clock) -> None:
    health.loop_turned()
    clock.now += 61
    health.waiting("kafka", False)
    assert not health.is_alive()


def test_ready_when_all_conditions_hold(health: Health) -> None:
    assert health.missing() == {"assigned": "not reported yet"}
    health.ready("assigned", True)
    assert health.missing() == {}
    health.ready("clickhouse", False, "schema is being made")
    health.waiting("kafka", True)
    assert health.missing() == {"clickhouse": "schema is being made", "kafka": "away: waiting for it"}
    health.ready("clickhouse", True)
    health.waiting("kafka", False)
    assert health.missing() == {}


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    with HealthServer("127.0.0.1", 0, Meters(), health) as server:
        yield server


def ask(server: HealthServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_healthz(server: HealthServer, health: Health, clock: Clock) -> None:
    health.loop_turned()
    clock.now += 2
    status, kind, body = ask(server, "/healthz")
    assert (status, kind, json.loads(body)) == (200, "application/json", {"alive": True, "seconds_since_turn": 2.0})
    clock.now += 100
    status, _, body = ask(server, "/healthz")
    assert (status, json.loads(body)) == (503, {"alive": False, "seconds_since_turn": 102.0})


def test_readyz_says_what_is_missing(server: HealthServer, health: Health) -> None:
    status, _, body = ask(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "missing": {"assigned": "not reported yet"}})
    health.ready("assigned", True)
    status, _, body = ask(server, "/readyz?verbose=1")
    assert (status, json.loads(body)) == (200, {"ready": True, "missing": {}})


def test_metrics_say_whether_it_is_ready(server: HealthServer, health: Health) -> None:
    status, kind, body = ask(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert b"\ncem_ready 0.0\n" in body
    health.ready("assigned", True)
    assert b"\ncem_ready 1.0\n" in ask(server, "/metrics")[2]
    assert ask(server, "/metrics", Accept="application/openmetrics-text")[1].startswith("application/openmetrics-text")


def test_other_requests(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/metrics", "HEAD")[::2] == (200, b"")
    assert ask(server, "/metrics", "POST")[0] == 501


def test_a_silent_client_does_not_keep_others_from_an_answer(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert ask(server, "/metrics")[0] == 200


def test_a_port_in_use_is_told_with_a_remedy(server: HealthServer, health: Health) -> None:
    with pytest.raises(
        HealthServerError, match=rf"127\.0\.0\.1:{server.port} .*: Address already in use; .*http\.port"
    ):
        HealthServer("127.0.0.1", server.port, Meters(), health)


def test_readiness_names_brokers_that_do_not_answer_and_partitions_without_a_leader() -> None:
    health = Health()
    observing = Observing(EngineClock(1), Meters(), health, cast(Chores, None))
    observing.assigned([], ["localhost:9092"])
    assert health.missing() == {"brokers": "no broker answers at localhost:9092"}
    observing.assigned(["bank.clicks"], ["bank.click/0", "bank.click/1"])
    assert health.missing() == {
        "topics": "no such topics: bank.clicks", "brokers": "no leader: bank.click/0, bank.click/1",
    }  # fmt: skip
    observing.assigned([], [])
    assert health.missing() == {}


def test_a_port_is_free_again_after_close(health: Health) -> None:
    with HealthServer("127.0.0.1", 0, Meters(), health) as first:
        port = first.port
    with HealthServer("127.0.0.1", port, Meters(), health) as second:
        assert ask(second, "/metrics")[0] == 200
