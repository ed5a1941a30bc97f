"""The topics that a sink writes to: are they there, and may they be created?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sinks.contract import Attempts, SinkError, SinkEvents
from sinks.kafka_publisher import client_options

_ANSWER_S = 10.0
_IMPOSSIBLE = {
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
}
_UNKNOWN = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
_LOOKS = 5  # brokers that create topics themselves do so some time after they were asked about one


@dataclass(frozen=True, slots=True)
class NewTopics:
    """How missing topics are created; ``replication`` -1 leaves it to the brokers' default."""

    partitions: int = 6
    replication: int = -1


class Topics:
    """The topics of a sink.

    Parameters
    ----------
    create
        How to create those that are missing; None: they must be there, unless the brokers create them on being asked.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], topics: Sequence[str], events: SinkEvents,
        create: NewTopics | None = None,
    ) -> None:  # fmt: skip
        self._name, self._options, self._create = name, client_options(options), create
        self._topics = sorted(set(topics))
        self._attempts = Attempts(name, events)

    def ensure(self) -> None:
        """Returns when all topics are there; waits while no broker answers.

        Raises
        ------
        SinkError
            Topics are missing and may not be created; all are named.
        SinkStopped
            The process has been told to stop while waiting.
        """
        admin = self._admin()
        missing: list[str] = []
        for look in range(_LOOKS):
            missing = self._missing(admin)
            if not missing:
                self._attempts.worked()
                return
            if self._create is None or look:  # one that was created is not known to every broker at once
                self._attempts.failed(f"topics are missing: {', '.join(missing)}")
            if self._create is not None:
                self._create_topics(admin, missing, self._create)
        raise SinkError(
            f"{self._name}: there is no topic {', '.join(missing)} (or the user may not Describe it); create it, or "
            "set create_topics: true for this sink, or name another topic"
        )

    def create_again(self) -> None:
        """Create what is missing, if that is allowed and works; to be called when a topic has gone."""
        if self._create is None:
            return
        admin = self._admin()
        try:
            there = self._there(admin)
        except KafkaException:
            return  # the brokers are away: whoever writes finds out
        self._create_topics(admin, [topic for topic in self._topics if topic not in there], self._create)
        self._attempts.worked()  # whatever came of it: from here on the writer tells whether it waits

    def _admin(self) -> AdminClient:
        try:
            return AdminClient(self._options)
        except (KafkaException, TypeError, ValueError) as error:
            raise SinkError(f"{self._name}: the options are refused: {error}; see the sink's options") from error

    def _there(self, admin: AdminClient) -> set[str]:
        topics = admin.list_topics(timeout=_ANSWER_S).topics
        return {name for name, topic in topics.items() if topic.error is None or topic.error.code() not in _UNKNOWN}

    def _missing(self, admin: AdminClient) -> list[str]:
        while True:
            try:
                there = self._there(admin)
                missing = [topic for topic in self._topics if topic not in there]
                for topic in missing:
                    admin.list_topics(topic, timeout=_ANSWER_S)  # brokers that create topics on being asked do it now
                return missing
            except KafkaException as error:
                self._attempts.failed(error.args[0].str())

    def _create_topics(self, admin: AdminClient, topics: Sequence[str], how: NewTopics) -> None:
        if not topics:
            return
        made = [NewTopic(topic, how.partitions, how.replication) for topic in topics]
        for topic, future in admin.create_topics(made, request_timeout=_ANSWER_S).items():
            try:
                future.result()
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                    continue
                if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
                    raise SinkError(
                        f"{self._name}: not authorised to create topic {topic}; grant the user Create on it, "
                        "or create it and set create_topics: false"
                    ) from error
                if code in _IMPOSSIBLE:
                    raise SinkError(f"{self._name}: topic {topic} cannot be created: {error.args[0].str()}") from error
                self._attempts.failed(f"topic {topic} cannot be created: {error.args[0].str()}")
