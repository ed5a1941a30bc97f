"""What the files of the keyed stages hold, as far as it can be said without the rules."""

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from operators.model_survey import KeptModel, is_model, kept_model, model_misfits
from state.customer_records import Record
from state.json_values import from_json
from state.packing import Packer
from state.row_snapshots import Newest, RowFrame, Sections
from state.sequencer import BEFORE_ALL_MS
from state.texts import Texts
from state.timers import HELD

CUSTOMERS = "rows"
"""The kind of rows that are the customers'; the others are called like the ``per=`` fields whose entities they are."""

SCORED = "scored"
"""The kind of customers' rows that models have, in files of their own."""

_HEADS = ("deciding", "entities", "measuring", "scoring")
"""Sections that say how far a shard was."""


@dataclass(slots=True)
class Survey:
    """What shards hold, counted.

    Attributes
    ----------
    rows
        By kind of rows: how many there are.
    customers
        How many have a profile, contacts, tickets, open tickets, armed deadlines, held decisions, …
    waiting, remembered
        Events that wait for their turn, and that are known as seen, if they come again.
    scored
        How many customers the models know.
    models
        What there is of each model.
    watermarks_ms
        Of each shard that has one.
    """

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    customers: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    remembered: int = 0
    scored: int = 0
    models: list[KeptModel] = field(default_factory=list)
    watermarks_ms: list[int] = field(default_factory=list)

    def add(self, frames: Sequence[Sections], dedup_ms: int | None, *, runs: bool = True) -> None:
        """Count one shard: its files, the oldest first. ``runs``: false if it was of models that no longer do."""
        newest = frames[-1]
        if runs:
            self.watermarks_ms.append(watermark_of(newest))
        if "waiting.runs" in newest:
            self.waiting += int(np.frombuffer(newest["waiting.runs"], np.int64).sum())
            after_ms = BEFORE_ALL_MS if dedup_ms is None else watermark_of(newest) - dedup_ms
            times = (np.frombuffer(frame["seen.times"], np.int64) for frame in frames)
            self.remembered += sum(int((of > after_ms).sum()) for of in times)
        if is_scored(newest):
            self.scored += count_rows(frames, SCORED)
        elif is_model(newest):
            self.models.append(kept_model(newest))
        elif not has_customers(newest):
            for kind in kinds_of(newest):
                self.entities[kind] += count_rows(frames, kind)
        else:
            self.rows += count_rows(frames, CUSTOMERS)
            for record, has_profile in kept_customers(frames):
                self.customers.update(parts_of(record))
                self.customers["profile"] += has_profile


def is_scored(sections: Sections) -> bool:
    """Whether a file is of the customers' rows that models have; an entity's field may be called like them."""
    return "measuring" in sections


def has_customers(sections: Sections) -> bool:
    """Whether a file is of customers; an entity's field may be called like their rows."""
    return "customers.places" in sections


def kinds_of(sections: Sections) -> list[str]:
    """The kinds of rows that a file has."""
    return [name.removesuffix(".hashes") for name in sections if name.endswith(".hashes") and _is_kind(name, sections)]


def _is_kind(name: str, sections: Sections) -> bool:
    return f"{name.removesuffix('.hashes')}.fixed" in sections


def watermark_of(sections: Sections) -> int:
    """The watermark of a shard as of a file: below it everything has been decided (or sent on)."""
    if "ordering" in sections:
        return min(from_json(sections["ordering"])["watermarks"], default=BEFORE_ALL_MS)
    head = next(sections[name] for name in _HEADS if name in sections)
    return int(from_json(head)["watermark_ms"])


def end_of(sections: Sections) -> int:
    """The latest effective time that a shard knows of, as of a file."""
    head = next(sections[name] for name in ("ordering", *_HEADS) if name in sections)
    return int(from_json(head)["end_ms"])


def rules_id(sections: Sections) -> str:
    """The id of the rules by which the rows in a file were laid out; empty if the file does not say."""
    heads = (from_json(sections[name]) for name in ("decider", "entities", "measuring") if name in sections)
    return str(next((head.get("rules", "") for head in heads), ""))


def read_rows(sections: Sections, kind: str) -> RowFrame:
    """The rows of one kind in a file, whatever the rules were that laid them out."""
    rows = len(np.frombuffer(sections[f"{kind}.hashes"], np.uint64))
    words = len(sections[f"{kind}.fixed"]) // 8
    return RowFrame.from_sections(kind, sections, words // rows if rows else 1)


def texts_of(sections: Sections, name: str) -> Texts:
    """A column of texts: sections ``…_lengths`` and ``…_bytes``."""
    lengths = np.frombuffer(sections[f"{name}_lengths"], np.int32)
    return Texts.consecutive(np.frombuffer(sections[f"{name}_bytes"], np.uint8).copy(), lengths)


def messages_of(sections: Sections) -> list[bytes]:
    """The messages that wait, in their order."""
    lengths = np.frombuffer(sections["waiting.lengths"], np.int32)
    messages = Texts.consecutive(np.frombuffer(sections["waiting.messages"], np.uint8).copy(), lengths)
    return [messages.bytes_at(i) for i in range(len(messages))]


def count_rows(frames: Sequence[Sections], kind: str) -> int:
    """How many rows there are, by the files of a shard, the oldest first."""
    newest = Newest()
    return sum(len(newest.rows(read_rows(sections, kind))[0]) for sections in reversed(frames))


def kept_customers(frames: Sequence[Sections]) -> Iterator[tuple[Record, bool]]:
    """What Python remembers of each customer, and whether there is a profile."""
    newest = Newest()
    for sections in reversed(frames):
        _, unnoted = newest.rows(read_rows(sections, CUSTOMERS))
        places = np.frombuffer(sections["customers.places"], np.int64)
        chosen = np.flatnonzero(unnoted[places])
        newest.note(places[chosen])
        records = from_json(sections["customers.records"])
        lengths = np.frombuffer(sections["customers.profile_lengths"], np.int64)
        for place in chosen.tolist():
            yield records[place], bool(lengths[place] >= 0)


def parts_of(record: Record) -> set[str]:
    """What there is in a record."""
    found = {name for name in ("contacts", "tickets") if record.get(name)}
    if any(not closed for *_, closed in record.get("tickets", ())):
        found.add("open tickets")
    if any(firing is not None for _, firing, *_ in record.get("armed", {}).values()):
        found.add("armed")
    if any(kind == HELD for _, _, kind, *_ in record["timers"]):
        found.add("held")
    if record.get("shadows"):
        found.add("shadows")
    return found


def place_of(texts: Texts, text: bytes) -> int | None:
    """Where a text is in a column that has it once at most; null if it is not there."""
    places = np.flatnonzero(texts.lengths == len(text)).tolist()
    return next((place for place in places if texts.bytes_at(place) == text), None)


@dataclass(frozen=True, slots=True)
class KeptCustomer:
    """One customer as the files of a shard have them.

    ``frame``: the newest file with their row, among the files that were given, and ``row`` its number there; null
    with an empty ``record`` if there is none. ``profile``: the values of the attributes that rules read.
    """

    frame: int | None
    row: int
    record: Record
    profile: tuple[Any, ...] | None


def find_customer(frames: Sequence[Sections], customer_id: str) -> KeptCustomer | None:
    """What the files of a deciding shard (the oldest first) hold of a customer; null if nothing."""
    found: tuple[int, int] | None = None
    for number in reversed(range(len(frames))):
        sections = frames[number]
        row = place_of(texts_of(sections, f"{CUSTOMERS}.ids"), customer_id.encode())
        if row is not None:
            found = found or (number, row)
            at = place_of_number(np.frombuffer(sections["customers.places"], np.int64), row)
            if at is not None:
                return KeptCustomer(*found, from_json(sections["customers.records"])[at], profile_at(sections, at))
        if place_of(texts_of(sections, f"{CUSTOMERS}.removed_ids"), customer_id.encode()) is not None:
            break
    return None if found is None else KeptCustomer(*found, {"timers": []}, None)


def find_row(frames: Sequence[Sections], kind: str, owner: str) -> tuple[int, int] | None:
    """The number of the newest file with the row of an id, and the row's number there; null if there is none."""
    for number in reversed(range(len(frames))):
        row = place_of(texts_of(frames[number], f"{kind}.ids"), owner.encode())
        if row is not None:
            return number, row
        if place_of(texts_of(frames[number], f"{kind}.removed_ids"), owner.encode()) is not None:
            return None
    return None


def place_of_number(numbers: Any, number: int) -> int | None:
    """Where a number is among others that ascend."""
    at = int(np.searchsorted(numbers, number))
    return at if at < len(numbers) and numbers[at] == number else None


def profile_bytes(sections: Sections) -> list[bytes | None]:
    """The packed profiles, by the place of the record."""
    lengths = np.frombuffer(sections["customers.profile_lengths"], np.int64)
    ends = np.cumsum(np.maximum(lengths, 0)).tolist()
    packed = bytes(sections["customers.profiles"])
    return [
        None if length < 0 else packed[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)
    ]


def profile_at(sections: Sections, place: int) -> tuple[Any, ...] | None:
    """A profile's values by the place of the record, null if there is none."""
    packed = profile_bytes(sections)[place]
    return None if packed is None else Packer(from_json(sections["decider"])["shapes"]).unpack(packed)


def problems_in(sections: Mapping[str, Any]) -> list[str]:
    """What in a file does not fit together, though it is as it was written."""
    try:
        return [*_misfits(sections)]
    except (ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        return [f"the contents cannot be read: {error!r}"]


def _misfits(sections: Mapping[str, Any]) -> Iterator[str]:
    for kind in kinds_of(sections):
        rows, removed = (texts_of(sections, f"{kind}.{name}") for name in ("ids", "removed_ids"))
        frame = read_rows(sections, kind)
        counts = len(frame.hashes), len(rows), len(frame.fixed) if len(frame.hashes) else len(rows)
        if len(set(counts)) > 1 or len(removed) != len(frame.removed_hashes):
            yield f"the numbers of {kind}, their ids and their hashes are not the same"
        for name in ("ids", "removed_ids"):
            if int(texts_of(sections, f"{kind}.{name}").lengths.sum()) != len(sections[f"{kind}.{name}_bytes"]):
                yield f"{kind}.{name} are not as long as they should be"
    if "waiting.runs" in sections:
        runs, times, lengths = (
            np.frombuffer(sections[f"waiting.{name}"], kind)
            for name, kind in (("runs", np.int64), ("effective_ms", np.int64), ("lengths", np.int32))
        )
        if not int(runs.sum()) == len(times) == len(lengths) or lengths.sum() != len(sections["waiting.messages"]):
            yield "the events that wait are not as many as they should be"
        if len({len(sections[f"seen.{name}"]) for name in ("first", "second", "times")}) > 1:
            yield "the ids that were seen are not as many as their times"
        from_json(sections["ordering"])
    yield from model_misfits(sections)
    if has_customers(sections):
        places = np.frombuffer(sections["customers.places"], np.int64)
        records = from_json(sections["customers.records"])
        rows_count = len(np.frombuffer(sections[f"{CUSTOMERS}.hashes"], np.uint64))
        profiles = profile_bytes(sections)
        if not len(places) == len(records) == len(profiles) or (len(places) and int(places[-1]) >= rows_count):
            yield "what is kept of the customers refers to rows that are not there"
        if sum(len(packed) for packed in profiles if packed) != len(sections["customers.profiles"]):
            yield "the profiles are not as long as they should be"
        for packed in profiles:
            if packed is not None:
                marshal.loads(packed)
    for name in ("decider", *_HEADS):
        if name in sections:
            from_json(sections[name])
