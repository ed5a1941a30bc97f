"""What the scanner has to know of the streams, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from operators import event_schema as schema
from operators.scan import SLOTS, Identities, slot_of
from operators.scan_values import ABSENT, NULL, NUMBER, TEXT, TRUTH
from rules.model import STREAMS
from state.exact import SCALE
from state.texts import Texts

_FIRST_NAMES = ("stream", "ts", "event_id", "customer_id")
"""``check`` knows them by their places."""

_ANY = 0xFF
_NOTHING = 1 << ABSENT | 1 << NULL
_OPTIONAL = {
    schema.STRING: _NOTHING | 1 << TEXT,
    schema.NUMBER: _NOTHING | 1 << NUMBER,
    None: _NOTHING | 1 << TEXT | 1 << NUMBER | 1 << TRUTH,
}
"""The kinds that an optional field may have; lists are for the decoders."""
_REQUIRED = {schema.STRING: 1 << TEXT, schema.NUMBER: 1 << NUMBER, schema.BOOLEAN: 1 << TRUTH}


class ScanTables:
    """Names and rules of the streams.

    Attributes
    ----------
    names
        How many names are looked for.
    name_of
        By stream, the number of the name of each column that is read.
    for_scan, for_check
        Arguments of ``scan`` and ``check``.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], read: Sequence[Sequence[int]]) -> None:
        wanted = [
            {column: fields[stream][column] for column in columns}
            for stream, columns in zip(STREAMS, read, strict=True)
        ]
        required = [item.name for stream in STREAMS for item in schema.REQUIRED[stream]]
        every = [*_FIRST_NAMES, *required, *(name for names in wanted for name in names.values())]
        names = list(dict.fromkeys(every))
        numbers = {name: number for number, name in enumerate(names)}
        self.names = len(names)
        self._wanted = wanted
        self.name_of = [{c: numbers[name] for c, name in one.items()} for one in wanted]
        # a stream with texts to be annotated is for the decoders
        scannable = [
            not (stream == "feedback" and {*one.values()} & {*schema.ANNOTATED})
            for stream, one in zip(STREAMS, wanted, strict=True)
        ]
        slots, seed = _make_slots(names)
        self._names = Texts.padded(names)
        addresses = self._names.address + self._names.starts
        self.for_scan = (addresses, identities(names), self._names.lengths, slots, np.uint64(seed))
        allowed = np.full((len(STREAMS), self.names), _ANY, np.uint8)
        ranges = np.full((len(STREAMS), 3), -1, np.int64)
        choice_keys = np.full(len(STREAMS), -1, np.int64)
        choices: list[tuple[int, str]] = []
        for code, stream in enumerate(STREAMS):
            for name in wanted[code].values():
                allowed[code, numbers[name]] = _OPTIONAL.get(schema.OPTIONAL[stream].get(name), _NOTHING)
            for item in schema.REQUIRED[stream]:
                allowed[code, numbers[item.name]] = _REQUIRED[item.kind]
                if item.least is not None and item.most is not None:
                    ranges[code] = numbers[item.name], item.least * SCALE, item.most * SCALE
                if item.choices:
                    choice_keys[code] = numbers[item.name]
                    choices += [(code, text) for text in item.choices]
            allowed[code, : len(_FIRST_NAMES)] = [1 << kind for kind in (TEXT, NUMBER, TEXT, TEXT)]
            if not scannable[code]:
                allowed[code] = 0
        texts = [text for _, text in choices]
        streams_of_choices = np.array([code for code, _ in choices], np.int64)
        self.for_check = (
            identities(STREAMS), _sizes(STREAMS), allowed, ranges, choice_keys, identities(texts), streams_of_choices,
            _sizes(texts),
        )  # fmt: skip

    def is_currency(self, code: int, column: int) -> bool:
        """Whether null in this column means the default currency."""
        return STREAMS[code] == "txn" and self._wanted[code][column] == "currency"


def identities(texts: Sequence[str]) -> Identities:
    """As ``scan.identity``."""
    encoded = [text.encode() for text in texts]
    words = [(int.from_bytes(text[:8], "little"), int.from_bytes(text[-8:], "little")) for text in encoded]
    return np.array(words, np.uint64).reshape(-1, 2)


def _sizes(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([len(text.encode()) for text in texts], np.int64)


def _make_slots(names: Sequence[str]) -> tuple[npt.NDArray[np.int16], int]:
    """The names' numbers by slot, and the seed with which no two meet."""
    words = identities(names)
    seed = 0
    while True:
        slots = np.full(SLOTS, -1, np.int16)
        found = [slot_of(first, last, np.uint64(seed)) for first, last in words]
        slots[found] = np.arange(len(names))
        if len(set(found)) == len(names):
            return slots, seed
        seed += 1
