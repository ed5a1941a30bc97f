"""Every setting of the model as a row, for the document and the test that holds it to the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.sections import LiveSettings


@dataclass(frozen=True, slots=True)
class Setting:
    """``name`` is dotted, as ``sinks.kafka.topics``; ``default`` as a file would give it, ``required`` without one."""

    name: str
    default: str
    description: str

    def row(self) -> str:
        """The setting's line of a Markdown table."""
        return f"| `{self.name}` | {self.default} | {self.description} |"


def settings_table(section: type[BaseModel] = LiveSettings, prefix: str = "") -> Iterator[Setting]:
    """Every setting, a section's own line before those in it.

    >>> [setting.name for setting in settings_table() if setting.name.startswith("http")]
    ['http', 'http.host', 'http.port']
    """
    for attribute, field in section.model_fields.items():
        name = prefix + (field.alias or attribute)
        inner = _section(field.annotation)
        yield Setting(name, _default(field.default, inner is not None), field.description or "")
        if inner is not None:
            yield from settings_table(inner, f"{name}.")


def _section(annotation: object) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _default(value: object, is_section: bool) -> str:
    if value is PydanticUndefined:
        return "required"
    if is_section and value == {}:
        return "as below"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
