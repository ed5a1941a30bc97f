"""The types of single settings: what each accepts in a file, and what its attribute holds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from config.durations import DURATION_HINT, format_duration_ms, parse_duration_ms
from config.problems import EnvText, describe, nearest_hint, shown

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
"""The streams of the contract, in the order of processing."""

YEAR_MS = 366 * 86_400_000
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(?:[A-Za-z_]+://)?(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/,\[\]]+):[0-9]{1,5}")
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_INTEGER = re.compile(r"[0-9]{1,18}")
_SWITCHES = {"true": True, "false": False}

_ENGINE_SETS = {
    "bootstrap.servers": "write `bootstrap`",
    "metadata.broker.list": "write `bootstrap`",
    "group.id": "write `group`",
    "auto.offset.reset": "write `start` and `on_lost_offset`",
    "enable.auto.commit": "offsets are committed when they are safe",
    "enable.auto.offset.store": "offsets are committed when they are safe",
    "enable.partition.eof": "the engine needs to know when a partition is read to its end",
    "enable.idempotence": "the order of a customer's decisions needs it",
    "acks": "the order of a customer's decisions needs `all`",
}
"""Options of librdkafka that a file may not give, and why."""


def wrong(message: str, hint: str | None = None) -> PydanticCustomError:
    """A problem with a value, for a validator to raise; ``message`` goes on from the setting's name."""
    return PydanticCustomError("setting", "{message}", {"message": message, "hint": hint or ""})


class Options(dict[str, str]):
    """Options of librdkafka by name; the values never appear in ``repr``, since passwords are among them."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "**********"))

    __str__ = __repr__


def duration(least_ms: int, most_ms: int = 100 * YEAR_MS) -> Any:
    """A duration between two bounds; the attribute holds milliseconds. ``0`` may be written without a unit."""

    def check(value: Any) -> int:
        size_ms = parse_duration_ms(value) if isinstance(value, str) else None
        if type(value) is int and value == 0:
            size_ms = 0
        if size_ms is None:
            raise wrong(f"must be a duration, not {describe(value)}", DURATION_HINT)
        if not least_ms <= size_ms <= most_ms:
            raise wrong(
                f"must be from {format_duration_ms(least_ms)} to {format_duration_ms(most_ms)}, not {describe(value)}"
            )
        return size_ms

    return BeforeValidator(check, json_schema_input_type=str)


def whole(least: int, most: int) -> Any:
    """An integer between two bounds."""

    def check(value: Any) -> int:
        if isinstance(value, EnvText) and _INTEGER.fullmatch(value):
            value = int(value)
        if type(value) is not int:
            raise wrong(f"must be a whole number, not {describe(value)}")
        if not least <= value <= most:
            raise wrong(f"must be from {least} to {most}, not {value}")
        return value

    return BeforeValidator(check)


def one_of(*choices: str) -> Any:
    """One of some words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            hint = nearest_hint(value, choices) if isinstance(value, str) and not isinstance(value, EnvText) else None
            raise wrong(
                f"must be one of {', '.join(choices)}, not {describe(value)}", hint if hint and "did" in hint else None
            )
        return str(value)

    return BeforeValidator(check)


def _switch(value: Any) -> bool:
    if isinstance(value, EnvText):
        value = _SWITCHES.get(value.lower(), value)
    if type(value) is not bool:
        raise wrong(f"must be true or false, not {describe(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        number = isinstance(value, int | float)
        raise wrong(f"must be text, not {describe(value)}", "put it in quotes" if number else None)
    if not value.strip():
        raise wrong("must not be empty")
    return str(value)


def _secret(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or not value:
        raise wrong(f"must be text, not {describe(value, secret=True)}")
    return str(value)


def _matching(pattern: re.Pattern[str], what: str, hint: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        if not pattern.fullmatch(text) or text in (".", ".."):
            raise wrong(f"must be {what}, not {describe(value)}", hint)
        return text

    return check


def _path(value: Any, info: ValidationInfo) -> Path:
    folder = Path(info.context["folder"]) if info.context else Path()
    text = _text(value)
    if "\0" in text:
        raise wrong("must be a path")
    return Path(os.path.normpath(folder / text))


def _servers(value: Any) -> str:
    text = _text(value)
    for server in text.split(","):
        if not _SERVER.fullmatch(server.strip()) or int(server.rpartition(":")[2]) > 65535:
            hidden = isinstance(value, EnvText) or "@" in value
            wrong_one = describe(value) if hidden else shown(server.strip())
            raise wrong(f"must be servers as host:port, not {wrong_one}", "such as a:9092,b:9092")
    return ",".join(server.strip() for server in text.split(","))


def url(*schemes: str) -> Any:
    """An address with one of some schemes; it may hold a password, so no message shows it."""
    example = f"such as {schemes[0]}://host:port"

    def check(value: Any) -> Any:
        if isinstance(value, SecretStr):
            return value
        if not isinstance(value, str):
            raise wrong(f"must be an address, not {describe(value, secret=True)}", example)
        try:
            parts = urlsplit(value.strip())
            _ = parts.port
        except ValueError:
            hint = "in a user or password write %40 for @, %3A for :, %2F for /, %23 for #"
            raise wrong("is no address", hint) from None
        if parts.scheme not in schemes:
            raise wrong(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}", example)
        if not parts.hostname and parts.scheme != "unix":
            raise wrong("names no host", example)
        return str(value.strip())

    return BeforeValidator(check)


def without_credentials(address: SecretStr) -> str:
    """``address`` as a message may show it: without user, password and query.

    >>> without_credentials(SecretStr("http://me:secret@host:8123/?x=1"))
    'http://host:8123'
    """
    parts = urlsplit(address.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def _option_name(value: Any) -> str:
    name = _text(value)
    if name in _ENGINE_SETS:
        raise wrong("is set by the engine", _ENGINE_SETS[name])
    return name


def _option_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise wrong(f"must be text, a number or a boolean, not {describe(value, secret=True)}")
    return str(value)


def _empty_mapping(value: Any) -> Any:
    return {} if value is None else value


def _stream(value: Any) -> str:
    if value not in STREAMS:
        raise wrong("is no stream", nearest_hint(str(value), STREAMS))
    return str(value)


Item = TypeVar("Item")


def _filled(value: list[Item]) -> tuple[Item, ...]:
    if not value:
        raise wrong("must not be empty")
    return tuple(value)


Text = Annotated[str, BeforeValidator(_text)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Switch = Annotated[bool, BeforeValidator(_switch)]
RelativePath = Annotated[Path, BeforeValidator(_path)]
"""A path; a relative one is relative to the folder of the settings file."""

Servers = Annotated[str, BeforeValidator(_servers)]
Topic = Annotated[
    str,
    BeforeValidator(_matching(_TOPIC, "the name of a topic", "1 to 249 of letters, digits, dot, underscore, minus")),
]
Database = Annotated[
    str, BeforeValidator(_matching(_DATABASE, "the name of a database", "letters, digits and underscore"))
]
OptionMap = Annotated[
    dict[Annotated[str, BeforeValidator(_option_name)], Annotated[str, BeforeValidator(_option_value)]],
    BeforeValidator(_empty_mapping),
    AfterValidator(Options),
]
Topics = Annotated[list[Topic], AfterValidator(_filled)]
TopicsByStream = Mapping[Annotated[str, BeforeValidator(_stream)], Topics]
Paths = Annotated[list[RelativePath], AfterValidator(_filled)]
