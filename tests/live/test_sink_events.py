"""What happens when a sink fails: the waiting, what is logged and counted, and the end of the process."""

from __future__ import annotations

import logging
import threading

import pytest

from flows.live.health import Health
from flows.live.meters import Meters
from flows.live.sink_events import LiveSinkEvents
from sinks.contract import Attempts, SinkEvents, SinkStopped


class Waiter:
    """A stop event whose waiting only moves the test's clock."""

    def __init__(self) -> None:
        self.now, self.waits, self.stopped = 1000.0, list[float](), False

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.now += timeout
        return self.stopped

    def clock(self) -> float:
        return self.now


class Setup:
    """Events with everything around them."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.waiter, self.meters = Waiter(), Meters()
        self.health = Health(clock=self.waiter.clock)
        self.events = LiveSinkEvents(
            self.meters, self.health, self.waiter, self.waiter.clock, lambda: 10_000, lambda: jitter
        )

    def value(self, name: str, sink: str = "kafka") -> float | None:
        return self.meters.registry.get_sample_value(name, {"sink": sink})


@pytest.fixture
def setup(caplog: pytest.LogCaptureFixture) -> Setup:
    caplog.set_level(logging.INFO)
    return Setup()


def test_it_is_what_the_contract_asks_for(setup: Setup) -> None:
    events: SinkEvents = setup.events
    attempts = Attempts("kafka", events)
    attempts.failed("no broker")
    attempts.worked()
    assert setup.value("cem_sink_failures_total") == 1
    assert setup.value("cem_sink_waiting") == 0


def test_waiting_doubles_up_to_a_bound(setup: Setup) -> None:
    for attempt in range(1, 10):
        setup.events.failed("kafka", "no broker", attempt)
    assert setup.waiter.waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    setup.events.failed("kafka", "no broker", 1_000_000)
    assert setup.waiter.waits[-1] == 5.0


def test_chance_takes_up_to_a_half_off() -> None:
    setup = Setup(jitter=1.0)
    setup.events.failed("kafka", "no broker", 1)
    setup.events.failed("kafka", "no broker", 8)
    assert setup.waiter.waits == [0.05, 2.5]


def test_a_sink_that_is_away_is_counted_and_keeps_the_process_alive_and_not_ready(setup: Setup) -> None:
    setup.events.failed("kafka", "no broker", 1)
    setup.events.failed("kafka", "no broker", 2)
    assert setup.value("cem_sink_failures_total") == 2
    assert setup.value("cem_sink_waiting") == 1
    setup.waiter.now += 10_000
    assert setup.health.is_alive()
    assert set(setup.health.missing()) == {"kafka"}
    setup.events.recovered("kafka")
    assert setup.value("cem_sink_waiting") == 0
    assert setup.health.missing() == {}
    assert setup.health.is_alive()


def test_one_line_when_it_goes_one_in_thirty_seconds_and_one_when_it_is_back(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = 0
    while setup.waiter.now < 1000 + 100:
        attempt += 1
        setup.events.failed("clickhouse", "refused\n  by  the server " + "x" * 1000, attempt)
    away_seconds = round(setup.waiter.now - 1000, 1)
    setup.events.recovered("clickhouse")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "clickhouse is away; trying again until it is back",
        *["clickhouse is still away"] * 3,
        f"clickhouse is back after {away_seconds} s",
    ]
    first, last = vars(caplog.records[0]), vars(caplog.records[-1])
    assert first["error"].startswith("refused by the server xxx")
    assert len(first["error"]) == 300
    assert (last["attempts"], last["away_seconds"]) == (attempt, away_seconds)
    setup.events.failed("clickhouse", "again", 1)
    assert caplog.records[-1].getMessage() == "clickhouse is away; trying again until it is back"


def test_sinks_are_away_each_for_itself(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.events.failed("kafka", "x", 1)
    setup.events.failed("clickhouse", "y", 1)
    setup.events.recovered("kafka")
    assert (setup.value("cem_sink_waiting"), setup.value("cem_sink_waiting", "clickhouse")) == (0, 1)
    assert set(setup.health.missing()) == {"clickhouse"}
    assert len(caplog.records) == 3


def test_being_told_to_stop_ends_the_waiting(setup: Setup) -> None:
    setup.waiter.stopped = True
    with pytest.raises(SinkStopped, match="kafka is away"):
        setup.events.failed("kafka", "no broker", 1)


def test_a_stop_from_another_thread_ends_a_waiting_that_has_begun() -> None:
    stop, ended = threading.Event(), threading.Event()
    events = LiveSinkEvents(Meters(), Health(), stop)

    def write() -> None:
        try:
            for attempt in range(1, 1_000_000):
                events.failed("kafka", "no broker", attempt)
        except SinkStopped:
            ended.set()

    threading.Thread(target=write, daemon=True).start()
    stop.set()
    assert ended.wait(10)


def test_rows_and_times_of_delivery(setup: Setup) -> None:
    setup.events.written("kafka", 5)
    setup.events.delivered("kafka", [9_800, 9_000, 12_000])
    assert setup.value("cem_sink_rows_total") == 5
    assert setup.value("cem_delivery_seconds_count") == 3
    assert setup.value("cem_delivery_seconds_sum") == pytest.approx(1.2)  # a `ts` ahead of the clock counts as 0
