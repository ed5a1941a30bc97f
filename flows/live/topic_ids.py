"""Whether a topic is still the one that was read before: one that is deleted and made again has another id.

Offsets of the old one mean nothing in the new one. The brokers say so themselves only as long as the new one is
shorter; once it has grown beyond where the old one was read, its first messages would be passed over in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_OF_ALL_CLIENTS = ("security.", "sasl.", "ssl.", "enable.ssl.", "client.", "broker.", "socket.")
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"


class TopicIds:
    """Asks the brokers for the ids of topics.

    Parameters
    ----------
    bootstrap, options
        Of the consumer; what is for consumers alone is left out.
    """

    def __init__(self, bootstrap: str, options: Mapping[str, Any]) -> None:
        shared = {name: value for name, value in options.items() if name.startswith(_OF_ALL_CLIENTS)}
        self._options = {**shared, "bootstrap.servers": bootstrap, "logger": logging.getLogger("librdkafka")}
        self._admin: AdminClient | None = None

    def __call__(self, topics: Collection[str], timeout_seconds: float) -> dict[str, str]:
        """Ids by topic; left out are those that are not there, and all of brokers that give topics no ids."""
        if not topics:
            return {}
        found: dict[str, str] = {}
        try:
            self._admin = self._admin or AdminClient(self._options)
            asked = self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_seconds)
        except (KafkaException, ValueError, TypeError):
            return {}
        for topic, answer in asked.items():
            try:
                found[topic] = str(answer.result(timeout_seconds).topic_id)
            except (KafkaException, FutureTimeoutError):
                continue
        return {topic: topic_id for topic, topic_id in found.items() if topic_id not in (_NO_ID, "None", "")}
