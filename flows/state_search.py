"""Looks for a customer's id, byte by byte, in every file of a state folder, and says whose every place is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.rule_history import RULES_FOLDER
from operators.survey import CUSTOMERS, messages_of, profile_at, texts_of
from state.delta_file import Frame, read_frame
from state.disk import DISK
from state.json_values import from_json
from state.state_folder import CONTROL_FOLDER, FORMAT_FILE, StateFolder

_ID_SECTIONS = (".ids_bytes", ".removed_ids_bytes")
_VALUES = (".objects",)


@dataclass(frozen=True, slots=True)
class Trace:
    """A place where the bytes of the id are. ``is_own``: it is of the customer, and not of somebody else."""

    path: Path
    section: str
    whose: str
    is_own: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.section}: {self.whose}" if self.section else f"{self.path}: {self.whose}"


def spellings(text: str) -> re.Pattern[bytes]:
    """A pattern for all the ways in which a text can stand in UTF-8 or in JSON."""
    short = {'"': rb'\\"', "\\": rb"\\\\", "/": rb"\\/", "\b": rb"\\b", "\f": rb"\\f", "\n": rb"\\n", "\r": rb"\\r",
             "\t": rb"\\t"}  # fmt: skip
    pieces = []
    for letter in text:
        units = np.frombuffer(letter.encode("utf-16-be", "surrogatepass"), ">u2").tolist()
        escaped = b"".join(rb"\\u(?i:%04x)" % unit for unit in units)
        ways = [re.escape(letter.encode("utf-8", "surrogatepass")), escaped]
        pieces.append(b"(?:" + b"|".join([*ways, *([short[letter]] if letter in short else [])]) + b")")
    return re.compile(b"".join(pieces))


def traces_of(folder: StateFolder, customer_id: str) -> Iterator[Trace]:
    """Every place in the files of a folder, once for each owner of it.

    Raises
    ------
    StateError
        A file is damaged.
    """
    pattern = spellings(customer_id)
    readers = {reader.folder: reader for reader in folder.shards()}
    for path in sorted(path for path in folder.path.rglob("*") if path.is_file()):
        if path.parent in readers and path.suffix in (".base", ".delta"):
            frame = read_frame(DISK, path)
            if pattern.search(json.dumps(frame.header.sections).encode()):
                yield Trace(path, "header", "the names of its sections")
            yield from _in_frame(path, frame, pattern, customer_id)
        elif pattern.search(path.read_bytes()):
            yield Trace(path, "", _whose_file(path, folder.path))


def _whose_file(path: Path, folder: Path) -> str:
    if path == folder / FORMAT_FILE:
        return "the arguments or the rules of the run hold these letters"
    if path.is_relative_to(folder / RULES_FOLDER):
        return "the text of a rule"
    if path.name == "lock":
        return "the number of the process that held it last"
    if path.parent == folder / "runtime":
        return "the runtime's database: no customer's; numbers of versions, positions, names of rules and files"
    if path.parent == folder / CONTROL_FOLDER:
        return "rules that operators paused, and what they wrote about it"
    return "a file that is none of the state's"


def _in_frame(path: Path, frame: Frame, pattern: re.Pattern[bytes], customer_id: str) -> Iterator[Trace]:
    for name, data in frame.sections.items():
        if not pattern.search(data):
            continue
        found = set(_owners(name, frame, pattern, customer_id)) or {("", "letters of two neighbouring texts")}
        for owner, what in sorted(found):
            own = owner == customer_id
            whose = f"customer {owner!r}: {what}" if owner else what
            yield Trace(path, name, f"left of the customer: {what}" if own else whose, own)


def _owners(name: str, frame: Frame, pattern: re.Pattern[bytes], customer_id: str) -> Iterator[tuple[str, str]]:
    """Owner (empty: nobody in particular) and what it is, of all places in one section."""
    sections = frame.sections
    if name.endswith(_ID_SECTIONS):
        texts = texts_of(sections, name.removesuffix("_bytes"))
        for text in _texts_with(texts, pattern):
            yield text.decode(), "the id, which these letters are a part of"
    elif name == "waiting.messages":
        for message in messages_of(sections):
            if pattern.search(message):
                values = json.loads(message, parse_int=str)
                yield values["customer_id"], f"an event that waits {_how(values, customer_id)}"
    elif name in ("customers.records", "customers.profiles"):
        yield from _of_customers(name, frame, customer_id)
    elif name.endswith(_VALUES):
        for value in from_json(sections[name]):
            if pattern.search(json.dumps(value).encode()):
                yield "", f"a value of other rows' {_how(value, customer_id)}"
    elif name in ("decider", "ordering", "deciding", "entities", "measuring", "scoring"):
        yield "", "how rules and models are called and written, and names of attributes that profiles have"
    else:
        yield "", "numbers, by chance"


def _texts_with(texts: Any, pattern: re.Pattern[bytes]) -> Iterator[bytes]:
    for place in range(len(texts)):
        text = texts.bytes_at(place)
        if pattern.search(text):
            yield text


def _of_customers(name: str, frame: Frame, customer_id: str) -> Iterator[tuple[str, str]]:
    sections = frame.sections
    ids = texts_of(sections, f"{CUSTOMERS}.ids")
    places = np.frombuffer(sections["customers.places"], np.int64).tolist()
    records = from_json(sections["customers.records"])
    for at, row in enumerate(places):
        value = records[at] if name == "customers.records" else profile_at(sections, at)
        if any(customer_id in text for text in _strings(value)):
            kind = "what rules remember" if name == "customers.records" else "the profile"
            yield ids.bytes_at(row).decode(), f"{kind} {_how(value, customer_id)}"


def _how(value: Any, customer_id: str) -> str:
    """Whether a value names the customer, or has the letters in a longer text."""
    return "names this customer" if customer_id in _strings(value) else "has these letters in a longer text"


def _strings(value: Any) -> set[str]:
    """All texts in a value."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set().union(*map(_strings, value), *map(_strings, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(_strings, value))
    return set()
