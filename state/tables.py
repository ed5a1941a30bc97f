"""The plan as tables of numbers, which is all that the kernels know of it.

``SeriesSpec`` and ``FeatureSpec`` (``state.specs``) are laid out over a row's words and a log's records; every
table is an int64 array whose columns are the constants below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from state.cells import address
from state.log import FIRST_BITS, MORE_BITS
from state.specs import FeatureSpec, ProgramSpec, SeriesSpec

STREAMS = 6

# --- features: one row each ---
(F_OP, F_STREAM, F_WORD, F_BIT, F_FLAG_WORD, F_FLAG_BIT, F_VALUE, F_WINDOW, F_SIZE_MS, F_PERIOD, F_OFFSET, F_UPDATE,
 F_MATCH_WORD, F_MATCH_BIT, F_SLOT, F_HEADER, F_PARTS, F_TAIL, F_LATEST) = range(19)  # fmt: skip
FEATURE_COLUMNS = 19

(COUNT, SUM, MEAN, STD, MIN, MAX, DISTINCT, NOVEL, LAST, PREV, AGE, SEQUENCE, RUN, CONDITION_RUN,
 TOTAL_COUNT, TOTAL_SUM, TOTAL_MEAN, TOTAL_STD, TOTAL_MIN, TOTAL_MAX) = range(20)  # fmt: skip
WINDOWED_OPS = {"count": COUNT, "sum": SUM, "mean": MEAN, "std": STD, "min": MIN, "max": MAX, "distinct": DISTINCT}
TOTAL_OPS = {"count": TOTAL_COUNT, "sum": TOTAL_SUM, "mean": TOTAL_MEAN, "std": TOTAL_STD, "min": TOTAL_MIN,
             "max": TOTAL_MAX}  # fmt: skip

LAST_WINDOW, PRIOR_WINDOW, THIS_WINDOW = 0, 1, 2
WINDOWS = {"": LAST_WINDOW, "last": LAST_WINDOW, "prior": PRIOR_WINDOW, "this": THIS_WINDOW}

# --- updates: what an event does to the fixed words of a row ---
U_KIND, U_OFFSET, U_LENGTH, U_SLOT, U_PERIOD, U_ARGUMENTS, U_COUNT, U_PROGRAM = range(8)
UPDATE_COLUMNS = 8
SET_LATEST, STEP_SEQUENCE, COUNT_RUN, ADD_TOTALS, ADD_CONDITION = range(5)

# --- totals: words from the series' offset ---
T_MATCHES, T_NUMBERS, T_FLOATS, T_HI, T_LO, T_REST, T_REST_LOW, T_LOWEST, T_HIGHEST = range(9)
T_SQUARES_HI, T_SQUARES_LO, T_DOUBLES, T_DOUBLES_LOW, T_DOUBLE_SQUARES, T_DOUBLE_SQUARES_LOW = range(9, 15)
TOTALS_WORDS, TOTALS_WITH_SQUARES_WORDS = 9, 15

# --- indexes of long logs: words at the front, of each windowed feature, and of each series of values ---
LONG_LOG = 128
"""Logs of more records get an index."""
I_BASE, I_OWN, I_PENDING = range(3)
INDEX_FRONT_WORDS = 3
TAIL_WORDS, LATEST_WORDS = 8, 4

# --- series of values: one row each (``Tables.values``) ---
V_STREAM, V_FLAG_WORD, V_FLAG_BIT, V_WORD, V_BIT, V_VALUE, V_LATEST = range(7)
VALUES_COLUMNS = 7

# --- words at the front of every row ---
R_FLAGS, R_ARMED = 0, 1
FRONT_WORDS = 2
HAS_PROFILE, MAY_HAVE_TICKETS = 1, 2


class Tables(NamedTuple):
    """Addresses of everything the kernels need of a plan that does not change while it runs, all of 64-bit integers.

    By stream: ``log_words`` (0: no log), ``log_extra`` words of further bits, ``log_header`` the header's place in a
    row, ``log_slots`` and ``log_hashes`` the event's slots that a record holds (``log_slot_width`` each, −1 fills),
    ``retention_ms``; ``index_words`` of a long log's index, and from ``tail_starts`` on in ``tails`` the windowed
    features that have a place in it (at ``F_TAIL``). ``values``: one row per series of values: stream, word and bit of
    its flag (−1: none), word and bit of its matcher, place of the hash, place in an index. ``long_log``: logs of more
    records have an index. ``programs``: instructions (operation, argument); ``starts``: the first instruction of each.
    ``profile``: the place in a row of what is kept of the profile event, the numbers of matchers and of scalars, then
    these. ``captures``: by rule, from ``capture_starts``, the features whose values go to Python. ``rise_counts``: by
    rule, how many ``rises`` a row remembers, two bits each from ``rise_offset``. ``holdings_header``: the header of a
    row's holdings, each ``holding_width`` words. ``keeps_profiles``: whether Python keeps profiles.
    """

    log_words: int
    log_extra: int
    log_header: int
    log_slots: int
    log_hashes: int
    log_slot_width: int
    retention_ms: int
    index_words: int
    tails: int
    tail_starts: int
    values: int
    value_count: int
    long_log: int
    features: int
    updates: int
    arguments: int
    programs: int
    starts: int
    constants: int
    matches: int
    captures: int
    capture_starts: int
    rule_flags: int
    armed_bits: int
    rise_counts: int
    rise_offset: int
    holdings_header: int
    holding_width: int
    keeps_profiles: int
    profile: int


class Layout:
    """Lays out rows and records, and makes the tables.

    Parameters
    ----------
    series, features
        Of one kind of row.
    word_slots, hash_slots
        By stream and column, the slot of the event's scalars and hashes.
    programs
        The rules' conditions and what they look at.
    """

    def __init__(
        self, series: Sequence[SeriesSpec], features: Sequence[FeatureSpec], streams: Sequence[int],
        word_slots: Mapping[tuple[int, int], int], hash_slots: Mapping[tuple[int, int], int], programs: ProgramSpec,
    ) -> None:  # fmt: skip
        self.row_words = FRONT_WORDS
        self._series, self._streams = series, streams
        self._word_slots, self._hash_slots = word_slots, hash_slots
        self._programs = programs
        self.holding_columns = programs.holding_columns
        self._bits: list[dict[int, int]] = [{} for _ in range(STREAMS)]
        self._flags: dict[int, tuple[int, int]] = {}
        self._values: list[list[int]] = [[] for _ in range(STREAMS)]
        self._hashed: list[list[int]] = [[] for _ in range(STREAMS)]
        self._retention_ms = [0] * STREAMS
        self._index_words = [INDEX_FRONT_WORDS] * STREAMS
        self._latest: dict[int, int] = {}
        self._tails: list[list[int]] = [[] for _ in range(STREAMS)]
        self.periods: dict[tuple[str, str], int] = {}
        for clock in programs.clocks:
            self.period(*clock)
        self._arguments: list[int] = []
        self._updates: list[list[int]] = []
        self._update_of: dict[int, int] = {}
        self.fed_by: list[tuple[int, ...]] = []
        """By update: the matchers whose events it takes."""
        bit_words = -(-len(programs.profile_matchers) // 64)
        self._profile_offset = self._take(bit_words + len(programs.profile_slots))
        self.profile_row = [
            self._profile_offset, len(programs.profile_matchers), len(programs.profile_slots),
            *programs.profile_matchers, *programs.profile_slots,
        ]  # fmt: skip
        self._rise_offset = self._take(-(-programs.rises // 32))
        self._holdings_header = self._take(2 if programs.holding_columns else 0)
        for index, one in enumerate(series):
            if one.kind in ("times", "sums", "minima", "maxima", "values"):
                self._add_to_log(index, one, any(f.series == index and f.op == "distinct" for f in features))
        self._headers = [self._take(2) if bits else -1 for bits in self._bits]
        squares = {f.series for f in features if f.op == "std"}
        for index, one in enumerate(series):
            self._add_update(index, one, index in squares)
        self._features = [
            self._feature(number, feature, series[feature.series]) for number, feature in enumerate(features)
        ]
        self.feature_rows, self.update_rows = np.array(self._features), np.array(self._updates)

    def _take(self, words: int) -> int:
        offset = self.row_words
        self.row_words += words
        return offset

    def period(self, period: str, timezone: str) -> int:
        """The number of a kind of calendar period."""
        return self.periods.setdefault((period, timezone), len(self.periods))

    # --- logs ------------------------------------------------------------------------------------

    def _add_to_log(self, index: int, one: SeriesSpec, distinct: bool) -> None:
        matcher, column = one.matchers[0], one.columns[0]
        stream = self._streams[matcher]
        bits = self._bits[stream]
        bits.setdefault(matcher, len(bits))
        self._retention_ms[stream] = max(self._retention_ms[stream], one.retention_ms)
        if one.kind == "values":
            assert column is not None
            slot = self._hash_slots[stream, column]
            if slot not in self._hashed[stream]:
                self._hashed[stream].append(slot)
            self._latest[index] = self._index_words[stream]
            self._index_words[stream] += LATEST_WORDS
            if distinct:
                bits[-1 - index] = len(bits)  # no matcher has a negative number
                self._flags[index] = stream, bits[-1 - index]
        elif column is not None:
            slot = self._word_slots[stream, column]
            if slot not in self._values[stream]:
                self._values[stream].append(slot)

    def _extra(self, stream: int) -> int:
        return -(-max(0, len(self._bits[stream]) - FIRST_BITS) // MORE_BITS)

    @staticmethod
    def _place(bit: int) -> tuple[int, int]:
        """The word of a record, and the bit in it."""
        return (0, bit) if bit < FIRST_BITS else (1 + (bit - FIRST_BITS) // MORE_BITS, (bit - FIRST_BITS) % MORE_BITS)

    def _value_place(self, stream: int, slot: int) -> int:
        return 1 + self._extra(stream) + self._values[stream].index(slot)

    def _hash_place(self, stream: int, slot: int) -> int:
        return 1 + self._extra(stream) + len(self._values[stream]) + self._hashed[stream].index(slot)

    def record_bits(self, mask: int) -> list[int]:
        """The words of bits (first word without the time) of a record for an event of this mask, for each stream."""
        words = [0] * self.bit_words
        for bits in self._bits:
            for matcher, bit in bits.items():
                if matcher >= 0 and mask >> matcher & 1:
                    word, place = self._place(bit)
                    words[word] |= 1 << place
        return [word - (1 << 64) if word >> 63 else word for word in words]

    @property
    def bit_words(self) -> int:
        """Words of bits in the widest record."""
        return 1 + max(map(self._extra, range(STREAMS)))

    # --- updates and features --------------------------------------------------------------------

    def _add_update(self, index: int, one: SeriesSpec, squares: bool) -> None:
        stream = self._streams[one.matchers[0]]
        column = one.columns[0]
        slot = -1 if column is None else self._word_slots.get((stream, column), -1)
        first, program, period = len(self._arguments), -1, -1
        fed_by = one.matchers
        if one.kind == "latest":
            kind, length = SET_LATEST, 1  # the value; the time where none is asked for
        elif one.kind == "totals":
            kind, length = ADD_TOTALS, TOTALS_WITH_SQUARES_WORDS if squares else TOTALS_WORDS
            length = 1 if column is None else length
        elif one.kind == "sequence":
            kind, length, fed_by = STEP_SEQUENCE, len(one.matchers) - 1, one.matchers[:-1]
            self._arguments += one.matchers
        elif one.kind == "run":
            kind, length, period = COUNT_RUN, 2, self.period(one.period, one.timezone)
        elif one.kind == "condition_run":
            kind, period = ADD_CONDITION, self.period(one.period, one.timezone)
            program = len(self._programs.captures) + one.program  # after those of the rules
            for matcher, part_column, op in zip(one.matchers, one.columns, one.ops, strict=True):
                part_slot = -1 if part_column is None else self._word_slots[self._streams[matcher], part_column]
                self._arguments += [matcher, part_slot, TOTAL_OPS[op]]
            length = 2 + TOTALS_WORDS * len(one.matchers)
        else:
            return
        self._update_of[index] = len(self._updates)
        self.fed_by.append(fed_by)
        self._updates.append([kind, self._take(length), length, slot, period, first, len(fed_by), program])

    def _feature(self, number: int, feature: FeatureSpec, one: SeriesSpec) -> list[int]:
        row = [-1] * FEATURE_COLUMNS
        matcher, column = one.matchers[0], one.columns[0]
        stream = self._streams[matcher]
        row[F_STREAM], row[F_WINDOW], row[F_SIZE_MS] = stream, WINDOWS[feature.window], feature.size_ms
        row[F_MATCH_WORD], row[F_MATCH_BIT] = divmod(matcher, 64)
        if feature.window == "this":
            row[F_PERIOD] = self.period(feature.period, feature.timezone)
        if one.kind in ("times", "sums", "minima", "maxima", "values"):
            row[F_OP] = NOVEL if feature.op == "novel" else WINDOWED_OPS[feature.op]
            row[F_WORD], row[F_BIT] = self._place(self._bits[stream][matcher])
            row[F_HEADER] = self._headers[stream]
            if row[F_OP] != NOVEL:
                row[F_TAIL] = self._index_words[stream]
                self._index_words[stream] += TAIL_WORDS
                self._tails[stream].append(number)
            if one.kind == "values":
                assert column is not None
                row[F_SLOT] = self._hash_slots[stream, column]
                row[F_VALUE] = self._hash_place(stream, row[F_SLOT])
                row[F_LATEST] = self._latest[feature.series]
                if feature.series in self._flags:
                    row[F_FLAG_WORD], row[F_FLAG_BIT] = self._place(self._flags[feature.series][1])
            elif column is not None:
                row[F_SLOT] = self._word_slots[stream, column]
                row[F_VALUE] = self._value_place(stream, row[F_SLOT])
            return row
        row[F_UPDATE] = self._update_of[feature.series]
        update = self._updates[row[F_UPDATE]]
        row[F_OFFSET] = update[U_OFFSET]
        if one.kind == "totals":
            row[F_OP] = TOTAL_OPS[feature.op]
        elif one.kind == "latest":
            row[F_OP] = {"last": LAST, "prev": PREV, "age": AGE}[feature.op]
        elif one.kind == "sequence":
            row[F_OP], row[F_PARTS] = SEQUENCE, len(one.matchers)
            row[F_MATCH_WORD], row[F_MATCH_BIT] = divmod(one.matchers[-1], 64)
        else:
            row[F_OP] = RUN if one.kind == "run" else CONDITION_RUN
            row[F_PERIOD] = update[U_PERIOD]
        return row

    def tables(self) -> Tables:
        """The tables; their arrays live as long as this layout."""
        programs = self._programs

        slots = max([1, *map(len, self._values), *map(len, self._hashed)])
        values = []
        for index, latest in self._latest.items():
            one = self._series[index]
            stream, column = self._streams[one.matchers[0]], one.columns[0]
            assert column is not None
            flag = self._place(self._flags[index][1]) if index in self._flags else (-1, -1)
            matcher = self._place(self._bits[stream][one.matchers[0]])
            values.append([stream, *flag, *matcher, self._hash_place(stream, self._hash_slots[stream, column]), latest])
        arrays: dict[str, Any] = {
            "log_words": [
                1 + self._extra(s) + len(self._values[s]) + len(self._hashed[s]) if self._bits[s] else 0
                for s in range(STREAMS)
            ],
            "log_extra": [self._extra(s) for s in range(STREAMS)],
            "log_header": self._headers,
            "log_slots": [v + [-1] * (slots - len(v)) for v in self._values],
            "log_hashes": [v + [-1] * (slots - len(v)) for v in self._hashed],
            "retention_ms": self._retention_ms,
            "index_words": self._index_words,
            "tails": [number for numbers in self._tails for number in numbers],
            "tail_starts": np.cumsum([0, *map(len, self._tails)]),
            "values": values,
            "features": self._features,
            "updates": self._updates,
            "arguments": self._arguments,
            "programs": programs.code,
            "starts": programs.starts,
            "matches": programs.matches,
            "captures": [feature for own in programs.captures for feature in own],
            "capture_starts": np.cumsum([0, *map(len, programs.captures)]),
            "rule_flags": programs.rule_flags,
            "armed_bits": programs.armed_bits,
            "rise_counts": programs.rise_counts,
            "profile": self.profile_row,
        }  # fmt: skip
        # an empty array may have no address
        self._kept = {name: np.array(values if len(values) else [0], np.int64) for name, values in arrays.items()}
        self._kept["constants"] = np.array(programs.constants or [0.0])
        addresses = {name: address(array) for name, array in self._kept.items()}
        self.features, self.updates = len(self._features), len(self._updates)
        self.rules = len(programs.captures)
        self.captures = len(arrays["captures"]) + self.rules  # a rule's ``rises`` are one more value
        return Tables(**addresses, log_slot_width=slots, value_count=len(values), long_log=LONG_LOG,
                      rise_offset=self._rise_offset,
                      holdings_header=self._holdings_header, holding_width=len(programs.holding_columns),
                      keeps_profiles=int(programs.keeps_profiles))  # fmt: skip
