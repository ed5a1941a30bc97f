"""Lays out rows and records for a plan, and makes its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from state import tables
from state.cells import address
from state.log import FIRST_BITS, MORE_BITS
from state.specs import FeatureSpec, ProgramSpec, SeriesSpec
from state.tables import Tables


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

    Attributes
    ----------
    bits, values, hashed, headers
        By stream: the bits of a record by matcher (or, below zero, by series of values whose last records are flagged),
        the slots whose scalars and hashes it holds, the place of the log's header in a row.
    update_of
        The update of each series that has no log.
    rise_offset
        Where a row keeps what ``rises`` remember.
    """

    def __init__(
        self, series: Sequence[SeriesSpec], features: Sequence[FeatureSpec], streams: Sequence[int],
        word_slots: Mapping[tuple[int, int], int], hash_slots: Mapping[tuple[int, int], int], programs: ProgramSpec,
    ) -> None:  # fmt: skip
        self.row_words = tables.FRONT_WORDS
        self._series, self._streams = series, streams
        self._word_slots, self._hash_slots = word_slots, hash_slots
        self._programs = programs
        self.holding_columns = programs.holding_columns
        self.bits: list[dict[int, int]] = [{} for _ in range(tables.STREAMS)]
        self._flags: dict[int, tuple[int, int]] = {}
        self.values: list[list[int]] = [[] for _ in range(tables.STREAMS)]
        self.hashed: list[list[int]] = [[] for _ in range(tables.STREAMS)]
        self._retention_ms = [0] * tables.STREAMS
        self._index_words = [tables.INDEX_FRONT_WORDS] * tables.STREAMS
        self._latest: dict[int, int] = {}
        self._tails: list[list[int]] = [[] for _ in range(tables.STREAMS)]
        self.periods: dict[tuple[str, str], int] = {}
        for clock in programs.clocks:
            self.period(*clock)
        self._arguments: list[int] = []
        self._updates: list[list[int]] = []
        self.update_of: dict[int, int] = {}
        self.fed_by: list[tuple[int, ...]] = []
        """By update: the matchers whose events it takes."""
        bit_words = -(-len(programs.profile_matchers) // 64)
        self._profile_offset = self._take(bit_words + len(programs.profile_slots))
        self.profile_row = [
            self._profile_offset, len(programs.profile_matchers), len(programs.profile_slots),
            *programs.profile_matchers, *programs.profile_slots,
        ]  # fmt: skip
        self.rise_offset = self._take(-(-programs.rises // 32))
        self._holdings_header = self._take(2 if programs.holding_columns else 0)
        for index, one in enumerate(series):
            if one.kind in ("times", "sums", "minima", "maxima", "values"):
                self._add_to_log(index, one, any(f.series == index and f.op == "distinct" for f in features))
        self.headers = [self._take(2) if bits else -1 for bits in self.bits]
        for index, one in enumerate(series):
            self._add_update(index, one)
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
        bits = self.bits[stream]
        bits.setdefault(matcher, len(bits))
        self._retention_ms[stream] = max(self._retention_ms[stream], one.retention_ms)
        if one.kind == "values":
            assert column is not None
            slot = self._hash_slots[stream, column]
            if slot not in self.hashed[stream]:
                self.hashed[stream].append(slot)
            self._latest[index] = self._index_words[stream]
            self._index_words[stream] += tables.LATEST_WORDS
            if distinct:
                bits[-1 - index] = len(bits)  # no matcher has a negative number
                self._flags[index] = stream, bits[-1 - index]
        elif column is not None:
            slot = self._word_slots[stream, column]
            if slot not in self.values[stream]:
                self.values[stream].append(slot)

    def _extra(self, stream: int) -> int:
        return -(-max(0, len(self.bits[stream]) - FIRST_BITS) // MORE_BITS)

    @staticmethod
    def place(bit: int) -> tuple[int, int]:
        """The word of a record, and the bit in it."""
        return (0, bit) if bit < FIRST_BITS else (1 + (bit - FIRST_BITS) // MORE_BITS, (bit - FIRST_BITS) % MORE_BITS)

    def value_place(self, stream: int, slot: int) -> int:
        """The word of a record that holds the scalar of a slot."""
        return 1 + self._extra(stream) + self.values[stream].index(slot)

    def hash_place(self, stream: int, slot: int) -> int:
        """The word of a record that holds the hash of a slot."""
        return 1 + self._extra(stream) + len(self.values[stream]) + self.hashed[stream].index(slot)

    def record_bits(self, mask: int) -> list[int]:
        """The words of bits (first word without the time) of a record for an event of this mask, for each stream."""
        words = [0] * self.bit_words
        for bits in self.bits:
            for matcher, bit in bits.items():
                if matcher >= 0 and mask >> matcher & 1:
                    word, place = self.place(bit)
                    words[word] |= 1 << place
        return [word - (1 << 64) if word >> 63 else word for word in words]

    @property
    def bit_words(self) -> int:
        """Words of bits in the widest record."""
        return 1 + max(map(self._extra, range(tables.STREAMS)))

    def record_words(self, stream: int) -> int:
        """Words of a record of a stream's logs."""
        return 1 + self._extra(stream) + len(self.values[stream]) + len(self.hashed[stream])

    def flagged(self, stream: int) -> list[tuple[int, int, int]]:
        """The series of values whose records have a flag: matcher, the flag's bit, and the slot of the hash."""
        found = []
        for index, (of, bit) in self._flags.items():
            matcher, column = self._series[index].matchers[0], self._series[index].columns[0]
            if of == stream and column is not None:
                found.append((matcher, bit, self._hash_slots[stream, column]))
        return found

    def update_place(self, update: int) -> tuple[int, int]:
        """The first word in a row of what an update keeps, and how many there are."""
        return self._updates[update][tables.U_OFFSET], self._updates[update][tables.U_LENGTH]

    # --- updates and features --------------------------------------------------------------------

    def _add_update(self, index: int, one: SeriesSpec) -> None:
        stream = self._streams[one.matchers[0]]
        column = one.columns[0]
        slot = -1 if column is None else self._word_slots.get((stream, column), -1)
        first, program, period = len(self._arguments), -1, -1
        fed_by = one.matchers
        if one.kind == "latest":
            kind, length = tables.SET_LATEST, 1  # the value; the time where none is asked for
        elif one.kind == "totals":
            kind = tables.ADD_TOTALS
            length = tables.TOTALS_WITH_SQUARES_WORDS if "std" in one.ops else tables.TOTALS_WORDS
            length = 1 if column is None else length
        elif one.kind == "sequence":
            kind, length, fed_by = tables.STEP_SEQUENCE, len(one.matchers) - 1, one.matchers[:-1]
            self._arguments += one.matchers
        elif one.kind == "run":
            kind, length, period = tables.COUNT_RUN, 2, self.period(one.period, one.timezone)
        elif one.kind == "condition_run":
            kind, period = tables.ADD_CONDITION, self.period(one.period, one.timezone)
            program = len(self._programs.captures) + one.program  # after those of the rules
            for matcher, part_column, op in zip(one.matchers, one.columns, one.ops, strict=True):
                part_slot = -1 if part_column is None else self._word_slots[self._streams[matcher], part_column]
                self._arguments += [matcher, part_slot, tables.TOTAL_OPS[op]]
            length = 2 + tables.TOTALS_WORDS * len(one.matchers)
        elif one.kind in tables.HABITS:
            kind, length = tables.HABITS[one.kind]
            slot = self._hash_slots[stream, column or 0] if kind == tables.LEARN_VALUE else slot
            period = self.period(one.period, one.timezone) if one.period else -1
        else:
            return
        self.update_of[index] = len(self._updates)
        self.fed_by.append(fed_by)
        self._updates.append([kind, self._take(length), length, slot, period, first, len(fed_by), program])

    def _feature(self, number: int, feature: FeatureSpec, one: SeriesSpec) -> list[int]:
        row = [-1] * tables.FEATURE_COLUMNS
        matcher, column = one.matchers[0], one.columns[0]
        stream = self._streams[matcher]
        row[tables.F_STREAM], row[tables.F_WINDOW], row[tables.F_SIZE_MS] = (
            stream,
            tables.WINDOWS[feature.window],
            feature.size_ms,
        )
        row[tables.F_MATCH_WORD], row[tables.F_MATCH_BIT] = divmod(matcher, 64)
        if feature.window == "this":
            row[tables.F_PERIOD] = self.period(feature.period, feature.timezone)
        if one.kind in ("times", "sums", "minima", "maxima", "values"):
            row[tables.F_OP] = tables.NOVEL if feature.op == "novel" else tables.WINDOWED_OPS[feature.op]
            row[tables.F_WORD], row[tables.F_BIT] = self.place(self.bits[stream][matcher])
            row[tables.F_HEADER] = self.headers[stream]
            if row[tables.F_OP] != tables.NOVEL:
                row[tables.F_TAIL] = self._index_words[stream]
                self._index_words[stream] += tables.TAIL_WORDS
                self._tails[stream].append(number)
            if one.kind == "values":
                assert column is not None
                row[tables.F_SLOT] = self._hash_slots[stream, column]
                row[tables.F_VALUE] = self.hash_place(stream, row[tables.F_SLOT])
                row[tables.F_LATEST] = self._latest[feature.series]
                if feature.series in self._flags:
                    row[tables.F_FLAG_WORD], row[tables.F_FLAG_BIT] = self.place(self._flags[feature.series][1])
            elif column is not None:
                row[tables.F_SLOT] = self._word_slots[stream, column]
                row[tables.F_VALUE] = self.value_place(stream, row[tables.F_SLOT])
            return row
        row[tables.F_UPDATE] = self.update_of[feature.series]
        update = self._updates[row[tables.F_UPDATE]]
        row[tables.F_OFFSET] = update[tables.U_OFFSET]
        if one.kind == "totals":
            row[tables.F_OP] = tables.TOTAL_OPS[feature.op]
        elif one.kind == "latest":
            row[tables.F_OP] = {"last": tables.LAST, "prev": tables.PREV, "age": tables.AGE}[feature.op]
        elif one.kind in tables.HABITS:
            row[tables.F_OP] = tables.HABIT
        elif one.kind == "sequence":
            row[tables.F_OP], row[tables.F_PARTS] = tables.SEQUENCE, len(one.matchers)
            row[tables.F_MATCH_WORD], row[tables.F_MATCH_BIT] = divmod(one.matchers[-1], 64)
        else:
            row[tables.F_OP] = tables.RUN if one.kind == "run" else tables.CONDITION_RUN
            row[tables.F_PERIOD] = update[tables.U_PERIOD]
        return row

    def rises(self, rule: int) -> bool:
        """Whether a row remembers what conditions of a rule were."""
        return self._programs.rise_counts[rule] > 0

    def tables(self) -> Tables:
        """The tables; their arrays live as long as this layout."""
        programs = self._programs
        slots = max([1, *map(len, self.values), *map(len, self.hashed)])
        values = []
        for index, latest in self._latest.items():
            one = self._series[index]
            stream, column = self._streams[one.matchers[0]], one.columns[0]
            assert column is not None
            flag = self.place(self._flags[index][1]) if index in self._flags else (-1, -1)
            matcher = self.place(self.bits[stream][one.matchers[0]])
            values.append([stream, *flag, *matcher, self.hash_place(stream, self._hash_slots[stream, column]), latest])
        arrays: dict[str, Any] = {
            "log_words": [
                self.record_words(s) if self.bits[s] else 0 for s in range(tables.STREAMS)
            ],
            "log_extra": [self._extra(s) for s in range(tables.STREAMS)],
            "log_header": self.headers,
            "log_slots": [v + [-1] * (slots - len(v)) for v in self.values],
            "log_hashes": [v + [-1] * (slots - len(v)) for v in self.hashed],
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
        return Tables(**addresses, log_slot_width=slots, value_count=len(values), long_log=tables.LONG_LOG,
                      rise_offset=self.rise_offset,
                      holdings_header=self._holdings_header, holding_width=len(programs.holding_columns),
                      keeps_profiles=int(programs.keeps_profiles), approximate=int(programs.approximate))  # fmt: skip
