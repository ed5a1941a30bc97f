"""Takes one customer out of the sections of a file, and leaves what is of the others exactly as it was.

What goes: the customer's row with its logs, and values that no other row has; what Python remembers (contacts,
tickets, deadlines, held decisions, profile); the row that models have; the note that a row was removed; messages of the
customer's events that wait; and the keyed hashes by which their events would be known if they came again: the key lies
in the same folder, so whoever knows the id could find out that the customer was here. An entity that is the customer
itself (``per="customer_id"``) goes too.

What stays: what the customer's events added to aggregates over devices, terminals, … (they hold no id, and other
customers' decisions depend on them). Where these count distinct customers they have the keyed hash of the id: that
becomes a random number, so that there was somebody, and nobody can find out who. What models learned stays likewise;
their scored events that wait for labels get random numbers in the place of the hashes of customer and event, so that
the features are nobody's and go when their time is over. And other customers' messages and values stay, also where they
name the customer.

So a run that goes on decides as if all events so far had been those of somebody else, of whom nothing is heard again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.model_survey import PENDING_KEYS
from operators.survey import (
    CUSTOMERS,
    SCORED,
    has_customers,
    is_scored,
    kinds_of,
    messages_of,
    place_of,
    place_of_number,
    profile_bytes,
    rules_id,
    texts_of,
)
from operators.tables import PlanTables
from rules.model import STREAMS
from state.dedup import mixed_with_stream
from state.hashing import Key, text_hashes
from state.json_values import from_json, to_json
from state.row_snapshots import RowFrame, Sections, put_rows
from state.texts import Texts

OWN_ENTITY = "customer_id"
"""The ``per=`` field whose entities are the customers themselves."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was taken out of a file: a line for each kind, and what the file then holds."""

    removed: tuple[str, ...]
    sections: dict[str, Any]


class Eraser:
    """Takes one customer out of files.

    ``tables_of``: gives the tables of the rules by which rows were laid out, by the rules' id (``rules_id``). ``key``:
    of the hashes in the folder.
    """

    def __init__(self, customer_id: str, tables_of: Callable[[str], PlanTables], key: Key) -> None:
        self._id = customer_id.encode()
        self._name, self._tables_of = customer_id, tables_of
        hashed = text_hashes(Texts.from_lines([self._id]), key)
        self._hash = hashed[0]
        streams = np.arange(len(STREAMS), dtype=np.uint8)
        self._seen = mixed_with_stream(np.repeat(hashed, len(streams)), streams)

    def erase(self, sections: Sections) -> Erasure | None:
        """The file without the customer; null if it holds nothing of them."""
        changed: dict[str, Any] = {}
        removed: list[str] = []
        parts = (
            self._waiting, self._seen_events, self._own_rows, self._in_entities, self._in_models, self._customer,
        )  # fmt: skip
        for part in parts:
            for what, replaced in part({**sections, **changed}):  # two parts may change the same section
                removed.append(what)
                changed |= replaced
        return Erasure(tuple(removed), {**sections, **changed}) if removed else None

    def _waiting(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        if "waiting.messages" not in sections:
            return []
        lines = messages_of(sections)
        kept = np.array([customer_of_message(line, self._id) != self._name for line in lines], np.bool_)
        if kept.all():
            return []
        runs = np.frombuffer(sections["waiting.runs"], np.int64)
        run_of = np.repeat(np.arange(len(runs)), runs)
        counts = np.bincount(run_of[kept], minlength=len(runs))
        times = np.frombuffer(sections["waiting.effective_ms"], np.int64)
        return [(
            "events that waited",
            {
                "waiting.runs": counts[counts > 0].astype(np.int64),
                "waiting.effective_ms": times[kept],
                "waiting.lengths": np.frombuffer(sections["waiting.lengths"], np.int32)[kept],
                "waiting.messages": b"".join(line for line, stays in zip(lines, kept, strict=True) if stays),
            },
        )]  # fmt: skip

    def _seen_events(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        if "seen.first" not in sections:
            return []
        first = np.frombuffer(sections["seen.first"], np.uint64)
        kept = ~np.isin(first, self._seen)
        if kept.all():
            return []
        second, times = (
            np.frombuffer(sections["seen.second"], np.uint64),
            np.frombuffer(sections["seen.times"], np.int64),
        )
        changed = {"seen.first": first[kept], "seen.second": second[kept], "seen.times": times[kept]}
        return [("hashes of the ids of seen events", changed)]

    def _own_rows(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        """Rows that are the customer's beside the one that rules have: as an entity, and for models."""
        scored = is_scored(sections)
        kind, what = (SCORED, "what models know of the customer") if scored else (
            OWN_ENTITY, "aggregates over the customer"
        )  # fmt: skip
        if kind not in kinds_of(sections):
            return []
        tables = self._tables_of(rules_id(sections)).rows_of(kind, scored=scored)
        assert tables is not None
        store = tables.store()
        frame = RowFrame.from_sections(kind, sections, store.row_words)
        gone, noted = frame.hashes == self._hash, frame.removed_hashes == self._hash
        if not gone.any() and not noted.any():
            return []
        return [(what, self._without(frame, gone, noted, store).sections(kind))]

    def _in_entities(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        """Among the customers that an entity has seen the hash of this one becomes a random number."""
        found: list[tuple[str, dict[str, Any]]] = []
        kinds = [] if has_customers(sections) or is_scored(sections) else kinds_of(sections)
        tables = self._tables_of(rules_id(sections)) if kinds else None
        for kind in kinds:
            assert tables is not None
            if hashed := _customer_hashes(tables, kind):
                frame = RowFrame.from_sections(kind, sections, tables.entities[kind].layout.row_words)
                somebody = secrets.randbits(64) | 1  # never 0, which stands for null
                replaced = sum(_replace(frame, *place, int(self._hash), somebody) for place in hashed)
                if replaced:
                    changed = {f"{kind}.pool": frame.pool}
                    found.append((f"hashes in aggregates over {kind}", changed))
        return found

    def _in_models(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        """Scored events that wait for a label become nobody's: no label and nobody who knows an id finds them."""
        if PENDING_KEYS not in sections:
            return []
        keys = np.frombuffer(sections[PENDING_KEYS], np.uint64).reshape(-1, 2).copy()
        own = np.flatnonzero(keys[:, 0] == self._hash)
        if not len(own):
            return []
        keys[own] = np.frombuffer(secrets.token_bytes(16 * len(own)), np.uint64).reshape(-1, 2)
        return [("events that wait for labels", {PENDING_KEYS: keys})]

    def _customer(self, sections: Sections) -> Sequence[tuple[str, dict[str, Any]]]:
        if not has_customers(sections):
            return []
        row = place_of(texts_of(sections, f"{CUSTOMERS}.ids"), self._id)
        noted = place_of(texts_of(sections, f"{CUSTOMERS}.removed_ids"), self._id)
        if row is None and noted is None:
            return []
        store = self._tables_of(rules_id(sections)).customer.store()
        frame = RowFrame.from_sections(CUSTOMERS, sections, store.row_words)
        gone, gone_note = np.zeros(len(frame.hashes), np.bool_), np.zeros(len(frame.removed_hashes), np.bool_)
        what, changed = [], {}
        if noted is not None:
            gone_note[noted] = True
            what.append("the note that a row was removed")
        if row is not None:
            gone[row] = True
            what.append("the row with its logs")
            if (at := place_of_number(np.frombuffer(sections["customers.places"], np.int64), row)) is not None:
                what.append("contacts, tickets, deadlines and profile")
            changed = _without_record(sections, row, at)
        changed |= self._without(frame, gone, gone_note, store).sections(CUSTOMERS)
        return [(name, changed) for name in what]

    @staticmethod
    def _without(frame: RowFrame, gone: NDArray[np.bool_], noted: NDArray[np.bool_], store: Any) -> RowFrame:
        """The frame without some rows and some notes of removed ones, put together anew by way of an empty store."""
        rows = put_rows(store, frame, np.flatnonzero(~gone))
        notes = np.flatnonzero(~noted)
        removed = frame.removed_hashes[notes], frame.removed_ids.take(notes)
        return RowFrame.of(store, rows, removed, now_ms=0)  # no event is older than that: nothing else is left out


def _customer_hashes(tables: PlanTables, kind: str) -> list[tuple[int, int, int]]:
    """Where logs have hashes of customers' ids: header in a row, words of a record, place in the record."""
    layout, plan = tables.entities[kind].layout, tables.plan
    found = []
    for code, stream in enumerate(STREAMS):
        columns = plan.layout.hashes.get(stream, ())
        for slot in layout.hashed[code]:
            if plan.fields[stream][columns[slot]] == OWN_ENTITY:
                found.append((layout.headers[code], layout.record_words(code), layout.hash_place(code, slot)))
    return found


def _replace(frame: RowFrame, header: int, width: int, place: int, old: int, new: int) -> int:
    """Put one number in the place of another in the records of a frame's logs; how often it was done."""
    words = frame.pool.view(np.uint64)
    if not (words == old).any():
        return 0
    replaced = 0
    for block, count in frame.fixed[:, header : header + 2].tolist():
        if block:
            first = (block >> 8) + place
            cells = words[first : first + width * (count & 0xFFFFFFFF) : width]
            replaced += int((cells == old).sum())
            cells[cells == old] = new
    return replaced


def customer_of_message(message: bytes, customer_id: bytes) -> str | None:
    """Whose event a message is, if it may be that customer's; else null."""
    if customer_id not in message and b"\\" not in message:
        return None
    found = json.loads(message, parse_int=str)["customer_id"]  # some numbers are too long for Python's own way
    assert isinstance(found, str)
    return found


def _without_record(sections: Sections, row: int, at: int | None) -> dict[str, Any]:
    """The sections of what Python remembers, without row ``row``, whose record (if any) is number ``at``."""
    places = np.frombuffer(sections["customers.places"], np.int64)
    lengths = np.frombuffer(sections["customers.profile_lengths"], np.int64)
    records, profiles = from_json(sections["customers.records"]), profile_bytes(sections)
    kept = np.flatnonzero(places != row)
    if at is not None:
        del records[at], profiles[at]
    return {
        "customers.places": places[kept] - (places[kept] > row),
        "customers.records": to_json(records),
        "customers.profile_lengths": lengths[kept],
        "customers.profiles": b"".join(packed for packed in profiles if packed is not None),
    }
