"""The settings of a live run, read from a YAML file; all that is wrong with it is reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.problems import Problem, SettingsError, describe, nearest_hint, shown
from config.sections import ClickHouseSink, Http, KafkaSink, KafkaTopics, LiveSettings, Log, Sinks, Source, Views
from config.settings_checks import check_together
from config.yaml_document import Document, KeyPath, read_document

__all__ = [
    "ClickHouseSink", "Http", "KafkaSink", "KafkaTopics", "LiveSettings", "Log", "Problem", "SettingsError", "Sinks",
    "Source", "Views", "load_settings",
]  # fmt: skip

_SHAPES = {"model_type": "a mapping", "dict_type": "a mapping", "mapping_type": "a mapping", "list_type": "a list"}
_SECRET = ("url", "options", "mask_key")


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> LiveSettings:
    """Read the settings file at ``path``; relative paths in it are relative to its folder.

    ``${NAME}`` and ``${NAME:-default}`` are taken from ``environment``, by default the process's. Whether the files
    that it names exist is for the caller to see.

    Raises
    ------
    SettingsError
        With every problem of the file, each as ``file:line:column: message (hint)``. No message holds a password.
    """
    document = read_document(path, os.environ if environment is None else environment)
    settings: LiveSettings | None = None
    if document.data is not None:
        try:
            settings = LiveSettings.model_validate(document.data, context={"folder": path.parent})
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                _report(document, fault)
        check_together(document)
    if settings is None or document.problems:
        raise SettingsError(document.problems or [Problem(str(path), document.value_place(()), "no settings")])
    return settings


def _report(document: Document, fault: Any) -> None:
    """Add pydantic's ``fault`` to the problems, at its place and in the words of the file."""
    path: KeyPath = tuple(fault["loc"])
    of_key = path[-1:] == ("[key]",)
    path = path[:-1] if of_key else path
    if any(path[:length] in document.broken for length in range(len(path) + 1)):
        return  # said already
    name, kind = (shown(_name(path)) if path else "the file"), fault["type"]
    context = fault.get("ctx", {})
    if kind == "missing":
        what = f"{shown(_name(path[:-1]))} needs" if path[:-1] else "the file needs"
        document.add(document.key_place(path[:-1]), f"{what} the key {shown(str(path[-1]))}, which is missing")
    elif kind == "extra_forbidden":
        hint = nearest_hint(str(path[-1]), _known_keys(path[:-1]))
        document.add(document.key_place(path), f"unknown key {shown(str(path[-1]))}", hint)
    elif kind == "setting":
        place = document.key_place(path) if of_key else document.value_place(path)
        document.add(place, f"{name} {context['message']}", context["hint"] or None)
    else:
        held = describe(_value(document.data, path), any(part in _SECRET for part in path))
        shape = _SHAPES.get(kind)
        remedy = "write [a, b], or begin each entry with `- `" if shape == "a list" else None
        message = f"must be {shape}, not {held}" if shape else f"can't be {held}: {fault['msg']}"
        document.add(document.value_place(path), f"{name} {message}", remedy)


def _name(path: KeyPath) -> str:
    """``source.topics.click[0]`` for a path."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _value(data: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return data


def _known_keys(path: KeyPath) -> list[str]:
    """The keys of the section at ``path``."""
    section: type[BaseModel] = LiveSettings
    for part in path:
        field = next(field for name, field in section.model_fields.items() if part in (field.alias, name))
        candidates = (field.annotation, *get_args(field.annotation))
        section = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return [field.alias or name for name, field in section.model_fields.items()]
