"""Topics that are created while brokers hesitate."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sinks.kafka_topics import NewTopics, Topics
from tests.sinks.recording import RecordingEvents


class Brokers:
    """Show a topic so many looks after it was created, and refuse to create the first times."""

    def __init__(self, slow: int = 0, refusals: int = 0) -> None:
        self.slow, self.refusals = slow, refusals
        self.made: dict[str, int] = {}

    def list_topics(self, topic: str | None = None, timeout: float = 0) -> Any:
        if topic is None:
            self.made = {name: left - 1 for name, left in self.made.items()}
        shown = {name: SimpleNamespace(error=None) for name, left in self.made.items() if left < 0}
        return SimpleNamespace(topics=shown)

    def create_topics(self, topics: list[Any], **_: Any) -> dict[str, Future[None]]:
        answers: dict[str, Future[None]] = {}
        for topic in topics:
            answer = answers[topic.topic] = Future()
            if self.refusals:
                self.refusals -= 1
                answer.set_exception(KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT)))
            elif topic.topic in self.made:
                answer.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS)))
            else:
                self.made[topic.topic] = self.slow
                answer.set_result(None)
        return answers


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


def topics(brokers: Brokers, events: RecordingEvents, monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setattr("sinks.kafka_topics.AdminClient", lambda _: brokers)
    return Topics("kafka", {}, ["out"], events, NewTopics())


def test_brokers_that_do_not_know_a_new_topic_yet_are_waited_for(
    events: RecordingEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics(Brokers(slow=2), events, monkeypatch).ensure()
    assert (len(events.failures), events.recoveries) == (2, 1)


def test_nobody_waits_for_a_topic_for_ever_that_could_not_be_created_again(
    events: RecordingEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics(Brokers(refusals=1), events, monkeypatch).create_again()
    assert (len(events.failures), events.recoveries) == (1, 1)
