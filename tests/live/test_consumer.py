"""What a reader makes of librdkafka's statistics, metadata and errors."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from flows.lines import SourceError
from flows.live.consumer import BrokerView, Commits, Topology, consumer_config, is_loopback, make_consumer, refusal


def view(leader: int = 1, state: str = "UP", rxidle: int = 1_000, **partition: Any) -> BrokerView:
    brokers = {
        "boot": {"nodeid": -1, "state": "UP", "rxidle": 5},
        "one": {"nodeid": 1, "state": state, "rxidle": rxidle},
        "two": {"nodeid": 2, "state": "UP", "rxidle": 5},
    }
    topics = {"t": {"partitions": {"0": {"leader": leader, **partition}, "-1": {"leader": -1}}}}
    found = BrokerView()
    found.take(json.dumps({"name": "x", "brokers": brokers, "topics": topics}))
    return found


def test_a_partition_can_be_read_while_its_leader_answers() -> None:
    assert view().answers(("t", 0))
    assert view().has_leader(("t", 0))
    assert view(leader=2, state="DOWN").answers(("t", 0))
    for away in (view(state="DOWN"), view(state="CONNECT"), view(leader=3)):
        assert not away.answers(("t", 0))
        assert not away.has_leader(("t", 0))
    for silent in (view(rxidle=400_000), view(rxidle=-1)):
        assert not silent.answers(("t", 0))
        assert silent.has_leader(("t", 0))
    for unknown in (("t", 1), ("other", 0)):
        assert not view().answers(unknown)
        assert view().end(unknown) is None
    assert not BrokerView().answers(("t", 0))


def test_no_leader_is_no_broker_of_that_number() -> None:
    assert not view(leader=-1).answers(("t", 0))
    assert not view(leader=-1).has_leader(("t", 0))


def test_the_end_is_known_once_it_was_said() -> None:
    assert view(hi_offset=17).end(("t", 0)) == 17
    assert view(hi_offset=0).end(("t", 0)) == 0
    assert view(hi_offset=-1001).end(("t", 0)) is None


# --- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._AUTHENTICATION, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
    ],
)  # fmt: skip
def test_what_waiting_does_not_mend_is_a_failure_with_its_remedy(code: int) -> None:
    found = refusal(KafkaError(code, "no"), "bank.click/3")
    assert isinstance(found, SourceError)
    assert str(found).startswith("bank.click/3: Kafka refuses this client: no; ")
    assert "ACL" in str(found)
    assert "source.options" in str(found)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE,
        KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._MAX_POLL_EXCEEDED,
    ],
)  # fmt: skip
def test_what_may_pass_is_waited_for(code: int) -> None:
    assert refusal(KafkaError(code), "x") is None


def config(**options: Any) -> dict[str, Any]:
    return consumer_config("b:1", "g", options, BrokerView(), Commits(), lambda _: None)


def test_operators_choose_what_correctness_does_not_depend_on() -> None:
    found = config(**{
        "client.id": "mine", "security.protocol": "SASL_SSL", "fetch.wait.max.ms": 5_000, "enable.auto.commit": True,
        "auto.offset.reset": "latest", "statistics.interval.ms": 0, "group.id": "other", "bootstrap.servers": "x:1",
    })  # fmt: skip
    assert (found["client.id"], found["security.protocol"]) == ("mine", "SASL_SSL")
    assert (found["bootstrap.servers"], found["group.id"]) == ("b:1", "g")
    assert found == config(**{"client.id": "mine", "security.protocol": "SASL_SSL"}) | {
        "stats_cb": found["stats_cb"], "on_commit": found["on_commit"], "error_cb": found["error_cb"],
    }  # fmt: skip
    assert found["auto.offset.reset"] == "error"


@pytest.mark.parametrize("options", [{"no.such.option": 1}, {"ssl.ca.location": 5}])
def test_options_that_librdkafka_refuses_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(SourceError) as raised:
        make_consumer(config(**options, **{"security.protocol": "SSL"}))
    assert str(raised.value).startswith("source.options: librdkafka refuses them: ")


# --- topics ------------------------------------------------------------------------------------------


class FakeConsumer:
    """Answers with topics: a number of partitions, or an error."""

    def __init__(self) -> None:
        self.topics: dict[str, int | KafkaError] | None = {}

    def list_topics(self, timeout: float) -> Any:
        if self.topics is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "away"))
        found = {
            name: SimpleNamespace(error=None, partitions=dict.fromkeys(range(what)))
            if isinstance(what, int)
            else SimpleNamespace(error=what, partitions={})
            for name, what in self.topics.items()
        }
        return SimpleNamespace(topics=found)


def test_partitions_are_found_and_never_given_up() -> None:
    topology, consumer = Topology(["a", "b"], 1.0), FakeConsumer()
    consumer.topics = None
    assert not topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert (topology.looked, topology.error) == (False, "away")
    consumer.topics = {"a": 2, "other": 9}
    assert topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert (topology.looked, topology.error, topology.missing) == (True, None, {"b"})
    assert topology.found == {("a", 0), ("a", 1)}
    consumer.topics = {"a": KafkaError(KafkaError.LEADER_NOT_AVAILABLE), "b": 1}
    topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert topology.missing == {"a"}
    assert topology.found == {("a", 0), ("a", 1), ("b", 0)}
    consumer.topics = None
    topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert topology.looked
    assert topology.found == {("a", 0), ("a", 1), ("b", 0)}


def test_partitions_that_were_read_before_are_known_at_once() -> None:
    """Of topics that are read still."""
    assert Topology(["a"], 1.0, [("a", 3), ("gone", 0)]).found == {("a", 3)}


def test_ids_of_topics_are_kept_while_nobody_tells_them() -> None:
    answers = [{"a": "1", "b": "2"}, {}, {"b": "3"}]
    topology, consumer = Topology(["a", "b"], 1.0, (), lambda topics, _: answers.pop(0)), FakeConsumer()
    consumer.topics = {"a": 1, "b": 1}
    topology.look(consumer, 1.0)  # type: ignore[arg-type]
    before = topology.ids
    topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert topology.ids is before  # so that who looks at it sees that nothing changed
    topology.look(consumer, 1.0)  # type: ignore[arg-type]
    assert (before, topology.ids) == ({"a": "1", "b": "2"}, {"a": "1", "b": "3"})


def test_it_can_be_closed_without_having_begun() -> None:
    Topology(["a"], 1.0).close()


def test_loopback() -> None:
    assert is_loopback("127.0.0.1:2101")
    assert is_loopback("localhost:2101")
    assert not is_loopback("engine-0.engine:2101")
