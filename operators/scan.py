"""A compiled scanner of NDJSON: from bytes to where the wanted values are, without an object an event.

It reads the messages that are plain: one JSON object of scalars without escapes, with every wanted field at most once.
Whatever else there is, faults included, it leaves to the decoders, so it decides nothing: a message that it takes is
JSON, with just these values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.compiled import compiled
from state.load64 import load8, load64
from state.words import BOOL, DECIMAL, KIND_BITS, WHOLE

ABSENT, TEXT, NUMBER, TRUTH, NULL, UNUSUAL = 0, 1, 2, 3, 4, 5
"""Kinds of values; UNUSUAL is a number that is no word."""

Kinds = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]
Identities = npt.NDArray[np.uint64]
"""(n, 2): the first and last eight bytes of short texts, see ``identity``."""

NO_CEILING = 1 << 62
SLOTS = 4096
IDENTITY_BYTES = 16
"""Texts of at most so many bytes are the same if their sizes and identities are."""
_LONGEST = 1 << 20
"""Longer messages are left to the decoders."""

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _MINUS, _PLUS, _DOT, _ZERO, _NINE = map(ord, '":,{}-+.09')
_E_LOWER, _E_UPPER, _SMALL_E = ord("e"), ord("E"), ord("e")
_DIGITS_MAX = 14
_DECIMALS_MAX = 4

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES, _SLASHES, _CONTROLS = (np.uint64(0x0101010101010101 * n) for n in (ord('"'), ord("\\"), 0x20))
_INDEX = np.uint64(0x0001020304050607)
_ZERO_64, _ONE, _7, _8, _52, _56, _64 = (np.uint64(n) for n in (0, 1, 7, 8, 52, 56, 64))
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_NULL_WORD, _TRUE_WORD, _FALS_WORD = (np.uint64(int.from_bytes(text, "little")) for text in (b"null", b"true", b"fals"))
_FOUR_BYTES = np.uint64(0xFFFFFFFF)
_MIX_1, _MIX_2, _MIX_3 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))


@compiled
def identity(address: int, size: int) -> tuple[np.uint64, np.uint64]:
    """The first and last eight bytes of a text; of one of up to eight both are all of it."""
    if size == 0:
        return _ZERO_64, _ZERO_64
    if size < 8:
        word = load64(address) & (_ALL >> (_64 - _8 * np.uint64(size)))
        return word, word
    return load64(address), load64(address + size - 8)


@compiled
def slot_of(first: np.uint64, last: np.uint64, seed: np.uint64) -> int:
    """The slot of a name among ``SLOTS``."""
    return np.int64((((first * _MIX_1) ^ (last * _MIX_2) ^ seed) * _MIX_3) >> _52)  # type: ignore[return-value]


@compiled
def scan(
    base: int, starts: Integers, lengths: Lengths, names: Identities, name_sizes: Integers,
    slots: npt.NDArray[np.int16], seed: np.uint64, taken: Kinds, kinds: Kinds, values: Integers, sizes: Lengths,
) -> None:  # fmt: skip
    """Look for the wanted values of every line.

    Parameters
    ----------
    base
        The buffer's address.
    starts, lengths
        The lines. The byte after each of them, the last one included, is a newline; ``PADDING`` bytes follow.
    names, name_sizes, slots, seed
        The wanted names, of at most ``IDENTITY_BYTES``, and their numbers by ``slot_of``.
    taken
        n: set to 1 for a plain message, else 0.
    kinds, values, sizes
        (names, n): the kind; where a text begins, or the word of anything else; a text's length in bytes. ``kinds``
        must be zero.
    """
    for i in range(len(starts)):
        taken[i] = 0
        end = base + starts[i] + lengths[i]
        at = _skip_blanks(base + starts[i])
        if lengths[i] > _LONGEST or load8(at) != _OPEN:
            continue
        while True:
            at = _skip_blanks(at + 1)
            if load8(at) != _QUOTE:
                break
            key_end = _string_end(at + 1)
            if key_end < 0:
                break
            size = key_end - at - 1
            first, last = identity(at + 1, size)
            key = np.int64(slots[slot_of(first, last, seed)])
            if key >= 0 and (names[key, 0] != first or names[key, 1] != last or name_sizes[key] != size):
                key = np.int64(-1)
            at = _skip_blanks(key_end + 1)
            if load8(at) != _COLON:
                break
            at = _skip_blanks(at + 1)
            kind, value = TEXT, at + 1 - base
            if load8(at) == _QUOTE:
                at = _string_end(at + 1) + 1
                if at == 0:
                    break
            else:
                at, kind, value = _other(at)
            if kind == ABSENT:
                break
            if key >= 0:
                if kind == UNUSUAL or kinds[key, i] != ABSENT:
                    break
                kinds[key, i], values[key, i] = kind, value
                sizes[key, i] = at - base - value - 1 if kind == TEXT else 0
            at = _skip_blanks(at)
            following = load8(at)
            if following == _CLOSE:
                taken[i] = 1 if _skip_blanks(at + 1) == end else 0
                break
            if following != _COMMA:
                break


@compiled
def _skip_blanks(at: int) -> int:
    byte = load8(at)
    while byte <= 32 and (byte == 32 or byte == 9 or byte == 13):
        at += 1
        byte = load8(at)
    return at


@compiled
def _string_end(at: int) -> int:
    """Where the string's closing quote is; -1 where it is not plain."""
    while True:
        word = load64(at)
        quote, slash = word ^ _QUOTES, word ^ _SLASHES
        # the first byte whose high bit this sets is a quote, a backslash, a control or beyond ASCII
        special = ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _CONTROLS) & ~word) | word
        special &= _HIGHS
        if special == _ZERO_64:
            at += 8
            continue
        special &= ~special + _ONE
        at += np.int64(((special >> _7) * _INDEX) >> _56)  # type: ignore[assignment]
        byte = load8(at)
        if byte == _QUOTE:
            return at
        size = _character_size(at) if byte >= 0x80 else 0
        if size == 0:
            return -1
        at += size


@compiled
def _character_size(at: int) -> int:
    """The bytes of a character beyond ASCII; 0 where it is no UTF-8."""
    first, second = load8(at), load8(at + 1)  # a newline at the latest ends all this
    if second < 0x80 or second > 0xBF or first < 0xC2 or first > 0xF4:
        return 0
    if first < 0xE0:
        return 2
    third = load8(at + 2)
    if third < 0x80 or third > 0xBF:
        return 0
    if first < 0xF0:
        wrong = (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F)
        return 0 if wrong else 3
    fourth = load8(at + 3)
    wrong = (first == 0xF0 and second < 0x90) or (first == 0xF4 and second > 0x8F)
    return 0 if wrong or fourth < 0x80 or fourth > 0xBF else 4


@compiled
def _other(at: int) -> tuple[int, int, int]:
    """Where a value that is no string ends, its kind and its word; the kind ``ABSENT`` for what is not plain."""
    first = load8(at)
    if first == _MINUS or _ZERO <= first <= _NINE:
        return _number(at)
    word = load64(at) & _FOUR_BYTES
    if word == _NULL_WORD:
        return at + 4, NULL, 0
    if word == _TRUE_WORD:
        return at + 4, TRUTH, 1 << KIND_BITS | BOOL
    if word == _FALS_WORD and load8(at + 4) == _SMALL_E:
        return at + 5, TRUTH, BOOL
    return at, ABSENT, 0


@compiled
def _number(at: int) -> tuple[int, int, int]:
    negative = load8(at) == _MINUS
    if negative:
        at += 1
    start, units = at, 0
    while _ZERO <= load8(at) <= _NINE:
        if at - start < _DIGITS_MAX:
            units = units * 10 + load8(at) - _ZERO
        at += 1
    digits = at - start
    if digits == 0 or (digits > 1 and load8(start) == _ZERO):
        return at, ABSENT, 0
    decimals, usual = 0, digits <= _DIGITS_MAX
    if load8(at) == _DOT:
        at += 1
        start = at
        while _ZERO <= load8(at) <= _NINE:
            if at - start < _DECIMALS_MAX:
                units = units * 10 + load8(at) - _ZERO
            at += 1
        decimals = at - start
        if decimals == 0:
            return at, ABSENT, 0
        # so few digits that no other decimal of as many is the same double
        usual = usual and decimals <= _DECIMALS_MAX and digits + decimals <= _DIGITS_MAX + 1
    if load8(at) == _E_LOWER or load8(at) == _E_UPPER:
        usual = False
        at += 1
        if load8(at) == _PLUS or load8(at) == _MINUS:
            at += 1
        start = at
        while _ZERO <= load8(at) <= _NINE:
            at += 1
        if at == start:
            return at, ABSENT, 0
    if not usual or (negative and units == 0):
        return at, UNUSUAL, 0
    for _ in range(decimals, _DECIMALS_MAX):
        units *= 10
    word = (-units if negative else units) << KIND_BITS
    return at, NUMBER, word | (DECIMAL if decimals else WHOLE)


@compiled
def advance(
    ts_ms: Integers, events: Kinds, high_ms: int, lateness_ms: int, max_jump_ms: int, effective_ms: Integers,
    ceiling_ms: Integers,
) -> int:  # fmt: skip
    """Move a partition's clock over its lines; the highest ``ts`` after them.

    ``events`` are 1 where the line is one, and set to 0 where its ``ts`` is too far in the future. ``ceiling_ms`` is
    the highest ``ts`` that would do at each line. ``high_ms`` is -1 before the first event; ``max_jump_ms`` is 0 for no
    limit.
    """
    for i in range(len(ts_ms)):
        ceiling_ms[i] = NO_CEILING if high_ms < 0 or max_jump_ms == 0 else high_ms + max_jump_ms
        if not events[i]:
            continue
        if ts_ms[i] > ceiling_ms[i]:
            events[i] = 0
            continue
        effective_ms[i] = ts_ms[i] if high_ms < 0 else max(ts_ms[i], high_ms - lateness_ms)
        high_ms = max(high_ms, ts_ms[i])
    return high_ms
