"""Reads the keys of one mapping: required or not, of the right type, within their range."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Collection
from dataclasses import dataclass

from rules.diagnostics import Problems, did_you_mean, one_of, shown
from rules.durations import CLOCK_HINT, DURATION_HINT, duration_hint, parse_clock_minutes, parse_duration_ms
from rules.model import Position
from rules.yaml_source import Map, Node, Scalar, Seq, describe

DEFAULT_TIMEZONE = "Asia/Shanghai"

_JOINED = re.compile(r"(\w+)[：:](.*)", re.DOTALL)

# Files of the zone database that are no zones of their own, or differ from machine to machine.
_NOT_ZONES = ("posix/", "right/", "localtime", "posixrules", "Factory")


@dataclass(slots=True)
class MappingReader:
    """``what`` names the mapping in messages, such as ``a rule``."""

    node: Map
    what: str
    problems: Problems

    def known_keys(self, keys: Collection[str]) -> None:
        """Report every key that is not one of ``keys``."""
        for name, (key, _) in self.node.entries.items():
            if name not in keys:
                hint = _key_hint(name, keys)
                self.problems.add("E102", key.position, f"{self.what} has no key {shown(name)}", hint)

    def get(self, key: str) -> Node | None:
        """The value of ``key``; None if it is missing or, with an error, if nothing is written behind it."""
        entry = self.node.entries.get(key)
        if entry is None:
            return None
        if isinstance(entry[1], Scalar) and entry[1].value is None:
            self.problems.add("E101", entry[0].position, f"`{key}` has no value", "give one or remove the key")
            return None
        return entry[1]

    def optional(self, key: str) -> Node | None:
        """The value of ``key``, where nothing behind the key means the same as no key."""
        entry = self.node.entries.get(key)
        return None if entry is None or (isinstance(entry[1], Scalar) and entry[1].value is None) else entry[1]

    def require(self, key: str) -> Node | None:
        """The value of ``key``; if it is missing that is an error."""
        if key not in self.node.entries:
            self.problems.add("E103", self.node.position, f"{self.what} needs the key `{key}`")
        return self.get(key)

    def wrong_type(self, node: Node, key: str, wanted: str, hint: str | None = None) -> None:
        """Report that ``node`` is not what ``key`` takes."""
        self.problems.add("E101", node.position, f"`{key}` must be {wanted}, not {describe(node)}", hint)

    def string(self, node: Node | None, key: str, hint: str | None = None) -> str | None:
        """``node``'s text, or None if it is None or, with an error, no text."""
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        if isinstance(node, Scalar) and hint is None:
            hint = "put it in quotes"
        self.wrong_type(node, key, "text", hint)
        return None

    def text_or_number(self, key: str, default: str) -> str:
        """Text; a number counts as the text that was written."""
        node = self.get(key)
        if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return node.text
        return default if (text := self.string(node, key)) is None else text

    def choice(self, key: str, values: Collection[str], default: str) -> str:
        """One of ``values``."""
        node = self.get(key)
        text = self.string(node, key, one_of(values))
        if node is None or text is None or text in values:
            return default if text is None else text
        hint = did_you_mean(text, values) or one_of(values)
        self.problems.add("E108", node.position, f"{shown(text)} is no `{key}`", hint)
        return default

    def choices(self, key: str, values: Collection[str], default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of ``values``."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node, Seq):
            self.wrong_type(node, key, "a list", one_of(values))
            return default
        result = []
        for item in node.items:
            text = self.string(item, key, one_of(values))
            if text is not None and text not in values:
                hint = did_you_mean(text, values) or one_of(values)
                self.problems.add("E108", item.position, f"{shown(text)} is none of `{key}`", hint)
            elif text is not None:
                result.append(text)
        return tuple(result)

    def integer(self, key: str, least: int, most: int | None, default: int) -> int:
        """An integer from ``least`` to ``most`` (None: no upper bound)."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node, Scalar) or type(node.value) is not int:
            self.wrong_type(node, key, "an integer")
            return default
        value: int = node.value
        if value < least or (most is not None and value > most):
            wanted = f"{least} or more" if most is None else f"from {least} to {most}"
            self.problems.add("E109", node.position, f"`{key}` must be {wanted}, not {shown(node.text)}")
        return value

    def duration_ms(self, key: str, default: int = 0, required: bool = False) -> int:
        """A duration in milliseconds."""
        node = self.require(key) if required else self.get(key)
        if node is None:
            return default
        size_ms = parse_duration_ms(node.text) if isinstance(node, Scalar) and isinstance(node.value, str) else None
        if size_ms is None:
            hint = duration_hint(node.text) if isinstance(node, Scalar) else DURATION_HINT
            self.problems.add("E110", node.position, f"`{key}` is no duration: {describe(node)}", hint)
            return default
        return size_ms

    def zero_duration(self, key: str) -> Position | None:
        """Where ``key`` is written as a duration of no length."""
        node = self.node.entries[key][1] if key in self.node.entries else None
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or parse_duration_ms(node.text) != 0:
            return None
        return node.position

    def clock_minutes(self, key: str) -> int:
        """A required ``"HH:MM"`` as minutes after midnight."""
        node = self.require(key)
        if node is None:
            return 0
        minutes = parse_clock_minutes(node.text) if isinstance(node, Scalar) and isinstance(node.value, str) else None
        if minutes is None:
            self.problems.add("E111", node.position, f"`{key}` is no time of day: {describe(node)}", CLOCK_HINT)
        return minutes or 0

    def timezone(self) -> str:
        """The IANA name under ``timezone``."""
        node = self.get("timezone")
        name = self.string(node, "timezone")
        if node is None or name is None:
            return DEFAULT_TIMEZONE
        if is_zone(name):
            return name
        hint = did_you_mean(name, sorted(zoneinfo.available_timezones()))
        self.problems.add(
            "E105", node.position, f"unknown time zone {shown(name)}", hint or f"such as {DEFAULT_TIMEZONE}"
        )
        return DEFAULT_TIMEZONE

    def file_version(self) -> None:
        """Report a ``version`` that is not 1."""
        node = self.require("version")
        if node is not None and not (isinstance(node, Scalar) and type(node.value) is int and node.value == 1):
            self.problems.add("E104", node.position, f"`version` must be 1, not {describe(node)}")


def _key_hint(name: str, keys: Collection[str]) -> str:
    """What to write for the key ``name``, which may hold its value because of a colon that is none to YAML."""
    joined = _JOINED.fullmatch(name)
    if joined is not None and joined[1] in keys:
        return f"write {shown(f'{joined[1]}: {joined[2]}')}: a plain colon and a space"
    return did_you_mean(name, keys) or one_of(keys)


def is_zone(name: str) -> bool:
    """Whether ``name`` is an IANA time zone."""
    if name.startswith(_NOT_ZONES):
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except Exception:  # zoneinfo raises many kinds for names that are no file of its database
        return False
    return True
