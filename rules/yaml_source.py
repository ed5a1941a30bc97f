"""Reads one YAML file into nodes that know their places.

Scalars are resolved by the YAML 1.2 core schema: unquoted dates, ``on`` and ``yes`` are strings, ``0o17`` and
``0x1f`` are integers. Everything that is wrong becomes a diagnostic; nothing raises.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from rules.diagnostics import Problems, shown
from rules.model import Position
from rules.source_text import SourceText
from rules.yaml_errors import explain
from rules.yaml_scalars import resolve_plain
from rules.yaml_scanner import SelectorScanner

MAX_DEPTH = 60
MAX_NODES = 2_000_000
"""Bound on nodes with aliases written out, so that a few nested aliases can't fill the memory."""

_PREFIX = "tag:yaml.org,2002:"
_PROPERTY = re.compile(r"(?:([!&])([^\s,\[\]{}]*)|#[^\n]*)\s*")


@dataclass(slots=True)
class Node:
    """Base of the nodes; ``position`` is where the node's own text begins (after tag and anchor)."""

    position: Position


@dataclass(slots=True)
class Scalar(Node):
    """``value`` is None, bool, int, float or str; ``text`` is the scalar as written, quotes removed."""

    value: Any
    text: str
    source: SourceText
    start: int
    style: str

    def place_of(self, offset: int) -> Position:
        """The place in the file of character ``offset`` of ``text``."""
        return self.source.place_in_scalar(self.start, self.text, self.style, offset)


@dataclass(slots=True)
class Seq(Node):
    items: list[Node]


@dataclass(slots=True)
class Map(Node):
    """``entries`` maps a key to its key node and value node, in the order of the text; ``end`` is behind the last."""

    end: Position
    entries: dict[str, tuple[Scalar, Node]]


def describe(node: Node) -> str:
    """What ``node`` is, in words for a message."""
    if isinstance(node, Map):
        return "a mapping"
    if isinstance(node, Seq):
        return "a list"
    assert isinstance(node, Scalar)
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return f"the boolean {shown(node.text)}"
    if isinstance(node.value, int | float):
        return f"the number {shown(node.text)}"
    return f"the text {shown(node.text)}"


def read_yaml(path: Path, problems: Problems, read: list[bytes] | None = None) -> Node | None:
    """The root node of the only document in ``path``; None if there is none, with the reason in ``problems``.

    ``read`` gets what the file held.
    """
    data = _read_bytes(path, problems)
    text = None if data is None else _decode(path, data, problems)
    if data is None or text is None:
        return None
    if read is not None:
        read.append(data)
    source = SourceText(str(path), text)
    root = _compose(source, problems)
    if root is None:
        return None
    try:
        return _Converter(source, problems).convert(root, 0)
    except _TooLargeError as error:
        problems.add("E008", source.place(error.start), str(error))
        return None


def _read_bytes(path: Path, problems: Problems) -> bytes | None:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.add("E001", Position(str(path), 1, 1), f"can't read the file: {reason}")
        return None


def _decode(path: Path, data: bytes, problems: Problems) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        place = SourceText(str(path), before).place(len(before))
        problems.add("E002", place, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _compose(source: SourceText, problems: Problems) -> Any:
    """The root of ruamel's node tree, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yaml = YAML(typ="safe", pure=True)
            yaml.Scanner = SelectorScanner
            root = yaml.compose(source.text)
    except ReaderError as error:
        place = source.place(error.position if isinstance(error.position, int) else 0)
        code_point = error.character if isinstance(error.character, int) else ord(error.character)
        problems.add("E003", place, f"character U+{code_point:04X} is not allowed in YAML")
        return None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = source.place(mark.index if mark is not None else 0)
        if isinstance(error, ComposerError) and "another document" in str(error.problem):
            problems.add("E005", place, "the file holds a second YAML document", "write one file per document")
        else:
            mistake = explain(error, source.text)
            problems.add("E003", source.place(mistake.offset), mistake.message, mistake.hint)
        return None
    except (YAMLError, RecursionError) as error:
        kind = "E008" if isinstance(error, RecursionError) else "E003"
        problems.add(kind, source.place(0), "the YAML is nested too deeply" if kind == "E008" else str(error))
        return None
    except Exception as error:  # ruamel lets errors of its own slip on malformed input
        problems.add("E003", source.place(0), f"the YAML can't be read: {shown(str(error), 120)}")
        return None
    if root is None:
        problems.add("E004", source.place(0), "the file is empty")
    return root


class _TooLargeError(Exception):
    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.start = start


@dataclass(slots=True)
class _Converter:
    """Turns ruamel's nodes into ours; an aliased node is converted once and shared."""

    source: SourceText
    problems: Problems
    done: dict[int, tuple[Node, int]] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    nodes: int = 0

    def convert(self, raw: Any, depth: int) -> Node:
        """Our node for ruamel's ``raw``. Raises _TooLargeError."""
        key = id(raw)
        before = self.nodes
        if key in self.done:
            node, size = self.done[key]
            self._count(size, raw)
            return node
        if key in self.open:
            raise _TooLargeError("the YAML refers to itself", raw.start_mark.index)
        if depth > MAX_DEPTH:
            raise _TooLargeError(f"the YAML is nested more than {MAX_DEPTH} deep", raw.start_mark.index)
        self._count(1, raw)
        self.open.add(key)
        start, tag = self._skip_properties(raw.start_mark.index)
        result: Node
        if isinstance(raw, ScalarNode):
            result = self._scalar(raw, start, tag)
        elif isinstance(raw, SequenceNode):
            self._check_tag(tag, "seq", start)
            result = Seq(self.source.place(start), [self.convert(item, depth + 1) for item in raw.value])
        else:
            assert isinstance(raw, MappingNode)
            self._check_tag(tag, "map", start)
            result = self._mapping(raw, start, depth)
        self.open.discard(key)
        self.done[key] = (result, self.nodes - before)
        return result

    def _count(self, size: int, raw: Any) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise _TooLargeError(f"the YAML holds more than {MAX_NODES} values", raw.start_mark.index)

    def _skip_properties(self, start: int) -> tuple[int, str | None]:
        """Where the node's own text begins after ``!tag`` and ``&anchor``, and the tag as written."""
        tag = None
        text = self.source.text
        if text[start : start + 1] not in ("!", "&"):
            return start, None
        while match := _PROPERTY.match(text, start):
            if match[1] == "!":
                tag = "!" + match[2]
            start = match.end()
        return start, tag

    def _check_tag(self, tag: str | None, expected: str, start: int) -> None:
        if tag not in (None, "!", f"!!{expected}", f"!<{_PREFIX}{expected}>"):
            self.problems.add("E007", self.source.place(start), f"unknown tag {shown(str(tag))}", "remove the tag")

    def _mapping(self, raw: MappingNode, start: int, depth: int) -> Map:
        entries: dict[str, tuple[Scalar, Node]] = {}
        for raw_key, raw_value in raw.value:
            key = self.convert(raw_key, depth + 1)
            value = self.convert(raw_value, depth + 1)
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                hint = "put it in quotes" if isinstance(key, Scalar) and key.value is not None else None
                self.problems.add("E009", key.position, f"a key must be text, this is {describe(key)}", hint)
            elif key.value in entries:
                first = entries[key.value][0].position
                self.problems.add("E006", key.position, f"key {shown(key.value)} again", f"first on line {first.line}")
            else:
                entries[key.value] = (key, value)
        return Map(self.source.place(start), self.source.place(raw.end_mark.index), entries)

    def _scalar(self, raw: ScalarNode, start: int, tag: str | None) -> Scalar:
        style = raw.style if raw.style in ("'", '"', "|", ">") else ""
        place = self.source.place(start)
        text = _joined_surrogates(raw.value)
        if any("\ud800" <= c <= "\udfff" for c in text):
            self.problems.add("E010", place, "the text holds half of a surrogate pair", "write the whole character")
            text = text.encode("utf-8", "replace").decode()
        value: Any = text
        if tag is not None and tag != "!":
            value = self._tagged(
                text, tag.removeprefix("!!").removeprefix(f"!<{_PREFIX}").removesuffix(">"), tag, place
            )
        elif tag is None and style == "":
            value = resolve_plain(text)
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.add("E109", place, f"{shown(text)} is not a finite number")
            value = 0.0
        if type(value) is int and abs(value) >= 2**63:
            self.problems.add("E109", place, f"{shown(text)} is too large for an integer", "put it in quotes")
            value = 0
        return Scalar(place, value, text, self.source, start, style)

    def _tagged(self, text: str, name: str, tag: str, place: Position) -> Any:
        types = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
        if name not in types:
            self.problems.add("E007", place, f"unknown tag {shown(tag)}", "remove the tag")
            return text
        if name == "str":
            return text
        value = resolve_plain(text)
        if name == "float" and type(value) is int:
            value = float(text)
        if type(value) is not types[name]:
            self.problems.add("E011", place, f"{shown(text)} is no {shown(tag)}")
        return value


def _joined_surrogates(text: str) -> str:
    """``text`` with escaped surrogate pairs (as JSON writes them) joined to single characters."""
    if text.isascii() or not any("\ud800" <= c <= "\udbff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
