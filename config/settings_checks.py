"""What settings must be together; looked at in the file's own values, so that it is said beside all other problems."""

from __future__ import annotations

from typing import Any

from config.problems import shown
from config.sections import ACTION_KINDS, KafkaTopics
from config.yaml_document import Document, KeyPath

_SINKS = ("kafka", "clickhouse", "files")


def check_together(document: Document) -> None:
    """Add the problems between settings to those of ``document``."""
    data = document.data
    if not isinstance(data, dict):
        return
    readers = _topics_of_streams(document, _mapping(_mapping(data, "source"), "topics"))
    sinks = data.get("sinks")
    if isinstance(sinks, dict):
        if all(sinks.get(name) is None for name in _SINKS):
            document.add(document.key_place(("sinks",)), "there is no sink", f"give one of {', '.join(_SINKS)}")
        _clickhouse(document, sinks.get("clickhouse"))
        if isinstance(sinks.get("kafka"), dict):
            _topics_of_sink(document, sinks["kafka"], readers)


def _mapping(data: Any, key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _topics_of_streams(document: Document, topics: dict[str, Any]) -> dict[str, KeyPath]:
    """Where each topic is read; one that is read twice is a problem."""
    read: dict[str, KeyPath] = {}
    if not topics and document.value_place(("source", "topics")) != document.value_place(("source",)):
        document.add(
            document.value_place(("source", "topics")), "`source.topics` names no topic", "give one stream one"
        )
    for stream, names in topics.items():
        for at, topic in enumerate(names if isinstance(names, list) else []):
            path: KeyPath = ("source", "topics", stream, at)
            if not isinstance(topic, str) or path in document.broken:
                continue
            if topic in read:
                line = document.value_place(read[topic]).line
                document.add(
                    document.value_place(path),
                    f"topic {shown(topic)} is given to {shown(str(read[topic][2]))} on line {line} already",
                    "a topic holds the events of one stream",
                )
            else:
                read[topic] = path
    return read


def _clickhouse(document: Document, section: Any) -> None:
    if not isinstance(section, dict):
        return
    place = document.key_place(("sinks", "clickhouse"))
    which = "`url` for a server, `path` for the embedded engine"
    if section.get("url") is not None and section.get("path") is not None:
        place = document.key_place(("sinks", "clickhouse", "path"))
        document.add(place, "`sinks.clickhouse` has both `url` and `path`", f"give one: {which}")
    elif section.get("url") is None and section.get("path") is None:
        document.add(place, "`sinks.clickhouse` needs `url` or `path`", which)


def _topics_of_sink(document: Document, section: dict[str, Any], readers: dict[str, KeyPath]) -> None:
    """No topic is both read and written on the same servers, and dead letters have one of their own."""
    given = _mapping(section, "topics")
    written: dict[str, Any] = {name: field.default for name, field in KafkaTopics.model_fields.items()} | given
    for name, topic in written.items():
        path: KeyPath = ("sinks", "kafka", "topics", name)
        if not isinstance(topic, str) or path in document.broken:
            continue
        if topic in readers and section.get("bootstrap") is None:
            message = f"topic {shown(topic)} of `sinks.kafka` is read by `source` too"
            document.add(document.value_place(path), message, "the engine would read what it writes")
    letters, path = written["dead_letters"], ("sinks", "kafka", "topics", "dead_letters")
    if letters in [written[name] for name in (*ACTION_KINDS, "suppressed")]:
        document.add(document.value_place(path), f"dead letters share topic {shown(str(letters))} with decisions")
