"""Reads one YAML file into plain values, with the place of each; what is wrong is collected, nothing raises."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.environment import EnvironmentVariableError, has_references, substitute
from config.problems import EnvText, Place, Problem, shown

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead from the root to a value."""

_MAX_NODES = 10_000  # a settings file has a hundred; aliases of aliases would fill the memory
_TAG = "tag:yaml.org,2002:"
_QUOTED_NAME = re.compile(r" '(?!<)[^']{3,}'")  # an unquoted password that begins with * or ! is a name to YAML
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(slots=True)
class Document:
    """The file's values as dicts, lists and scalars.

    ``keys`` and ``values`` hold the places by path; ``broken`` are the paths whose values could not be read and have
    been reported.
    """

    file: str
    data: Any = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def add(self, place: Place, message: str, hint: str | None = None) -> None:
        """Record a problem."""
        self.problems.append(Problem(self.file, place, message, hint))

    def value_place(self, path: KeyPath) -> Place:
        """Where the value at ``path`` is, or the nearest thing that holds it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))

    def key_place(self, path: KeyPath) -> Place:
        """Where the key at the end of ``path`` is."""
        return self.keys.get(path) or self.value_place(path)


def read_document(path: Path, environment: Mapping[str, str]) -> Document:
    """The only document of the file at ``path``, with variables of ``environment`` put in."""
    document = Document(str(path))
    text = _read(path, document)
    root = None if text is None else _compose(text, document)
    if root is not None:
        _Converter(document, environment).convert(root, ())
    return document


def _read(path: Path, document: Document) -> str | None:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        document.add(Place(1, 1), f"can't read the file: {reason}")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        document.add(place, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return None


def _compose(text: str, document: Document) -> Node | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        document.add(place, f"not well-formed YAML: {_reason(error)}", _yaml_hint(str(error.problem)))
        return None
    except (YAMLError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else "a character that YAML does not allow"
        document.add(Place(1, 1), f"not well-formed YAML: {what}")
        return None
    except Exception as error:  # ruamel lets errors of its own slip on malformed input
        document.add(Place(1, 1), f"not well-formed YAML: {type(error).__name__}")
        return None
    if root is None:
        document.add(Place(1, 1), "the file is empty")
    return root


def _reason(error: MarkedYAMLError) -> str:
    text = " ".join(": ".join(str(part) for part in (error.context, error.problem) if part).split())
    return _QUOTED_NAME.sub("", text)


def _yaml_hint(problem: str) -> str | None:
    if "mapping values" in problem:
        return "is the line indented like its neighbours? put a text that holds `: ` in quotes"
    if "cannot start any token" in problem:
        return "indent with spaces; put a text that begins with such a character in quotes"
    if "could not find expected ':'" in problem:
        return "write `key: value`, with a space behind the colon"
    if "expected ',' or" in problem:
        return 'close the bracket; inside {…} and […] put ${NAME} in quotes: "${NAME}"'
    return None


@dataclass(slots=True)
class _Converter:
    document: Document
    environment: Mapping[str, str]
    open: set[int] = field(default_factory=set)
    nodes: int = 0

    def convert(self, root: Node, path: KeyPath) -> None:
        self.document.data = self._value(root, path)

    def _value(self, node: Node, path: KeyPath) -> Any:
        place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index:
            place = self.document.keys.get(path, place)  # YAML has the nothing behind a key begin on a later line
        self.document.values[path] = place
        self.nodes += 1
        if id(node) in self.open or self.nodes > _MAX_NODES:
            if path not in self.document.broken and self.nodes <= _MAX_NODES + 1:
                self.document.add(place, "the YAML refers to itself or is too large")
            self.document.broken.add(path)
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, place)
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self._value(item, (*path, at)) for at, item in enumerate(node.value)]
            assert isinstance(node, MappingNode)
            return self._mapping(node, path)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self.document.add(place, "a key must be text")
                continue
            key = key_node.value
            if key in values:
                first = self.document.keys[(*path, key)].line
                self.document.add(place, f"key {shown(key)} again", f"first on line {first}")
                continue
            self.document.keys[(*path, key)] = place
            values[key] = self._value(value_node, (*path, key))
        return values

    def _scalar(self, node: ScalarNode, path: KeyPath, place: Place) -> Any:
        text = node.value
        if has_references(text):
            return self._from_environment(text, path, place)
        kind = node.tag.removeprefix(_TAG) if isinstance(node.tag, str) else str(node.tag).removeprefix(_TAG)
        if node.style in ("'", '"', "|", ">"):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int" and _INTEGER.fullmatch(text):
            return int(text)
        return _float(text) if kind in ("int", "float") else text

    def _from_environment(self, text: str, path: KeyPath, place: Place) -> Any:
        try:
            value = substitute(text, self.environment)
        except EnvironmentVariableError as error:
            self.document.broken.add(path)
            self.document.add(place, str(error), error.hint)
            return EnvText("")
        return EnvText(value) if value else None


def _float(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
