"""The plan as tables of numbers, which is all that the kernels know of it.

``SeriesSpec`` and ``FeatureSpec`` (``state.specs``) are laid out over a row's words and a log's records; every
table is an int64 array whose columns are the constants below.
"""

from __future__ import annotations

from typing import NamedTuple

from state.habits import AMOUNT_WORDS, HOUR_WORDS, PACE_WORDS, VALUE_WORDS

STREAMS = 6

# --- features: one row each ---
(F_OP, F_STREAM, F_WORD, F_BIT, F_FLAG_WORD, F_FLAG_BIT, F_VALUE, F_WINDOW, F_SIZE_MS, F_PERIOD, F_OFFSET, F_UPDATE,
 F_MATCH_WORD, F_MATCH_BIT, F_SLOT, F_HEADER, F_PARTS, F_TAIL, F_LATEST) = range(19)  # fmt: skip
FEATURE_COLUMNS = 19

(COUNT, SUM, MEAN, STD, MIN, MAX, DISTINCT, NOVEL, LAST, PREV, AGE, SEQUENCE, RUN, CONDITION_RUN,
 TOTAL_COUNT, TOTAL_SUM, TOTAL_MEAN, TOTAL_STD, TOTAL_MIN, TOTAL_MAX, HABIT) = range(21)  # fmt: skip
WINDOWED_OPS = {"count": COUNT, "sum": SUM, "mean": MEAN, "std": STD, "min": MIN, "max": MAX, "distinct": DISTINCT}
TOTAL_OPS = {"count": TOTAL_COUNT, "sum": TOTAL_SUM, "mean": TOTAL_MEAN, "std": TOTAL_STD, "min": TOTAL_MIN,
             "max": TOTAL_MAX}  # fmt: skip

LAST_WINDOW, PRIOR_WINDOW, THIS_WINDOW = 0, 1, 2
WINDOWS = {"": LAST_WINDOW, "last": LAST_WINDOW, "prior": PRIOR_WINDOW, "this": THIS_WINDOW}

# --- updates: what an event does to the fixed words of a row ---
U_KIND, U_OFFSET, U_LENGTH, U_SLOT, U_PERIOD, U_ARGUMENTS, U_COUNT, U_PROGRAM = range(8)
UPDATE_COLUMNS = 8
SET_LATEST, STEP_SEQUENCE, COUNT_RUN, ADD_TOTALS, ADD_CONDITION = range(5)
LEARN_AMOUNT, LEARN_HOUR, LEARN_VALUE, LEARN_PACE = range(5, 9)
HABITS = {"unusual_amount": (LEARN_AMOUNT, AMOUNT_WORDS), "unusual_hour": (LEARN_HOUR, HOUR_WORDS),
          "unusual_value": (LEARN_VALUE, VALUE_WORDS), "unusual_pace": (LEARN_PACE, PACE_WORDS)}  # fmt: skip
"""By kind of series, what an event does and how many words it needs."""

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
    row's holdings, each ``holding_width`` words. ``keeps_profiles``: whether Python keeps profiles. ``approximate``:
    whether programs take the nearest double of every number, not only of those that it shows exactly.
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
    approximate: int
    profile: int
