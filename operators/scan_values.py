"""Reads single values of JSON out of memory, for ``scan``.

All of it stops at a newline, which is in no JSON string, so a line's end needs no check. What is not plain gives no
value but the news that there is none, also where it might be JSON.
"""

from __future__ import annotations

import numpy as np

from state.compiled import compiled
from state.load64 import load8, load64
from state.words import BOOL, DECIMAL, KIND_BITS, WHOLE

ABSENT, TEXT, NUMBER, TRUTH, NULL, UNUSUAL = 0, 1, 2, 3, 4, 5
"""Kinds of values; UNUSUAL is a number that is no word, a text with escapes, an array or an object."""

QUOTE, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = map(ord, '":,{}[]')

_MINUS, _PLUS, _DOT, _ZERO, _NINE, _E_LOWER, _E_UPPER, _SLASH, _U, _A, _F = map(ord, "-+.09eE\\uaf")
_LOWER = 0x20
"""The bit by which small letters differ from capitals."""
_ESCAPED = tuple(map(ord, '"\\/bfnrt'))
_DIGITS_MAX = 14
_DECIMALS_MAX = 4
_DEPTH_MAX = 60
"""So many arrays and objects in each other are read over; well below what the decoders allow."""

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES, _SLASHES, _CONTROLS = (np.uint64(0x0101010101010101 * n) for n in (QUOTE, _SLASH, 0x20))
_INDEX = np.uint64(0x0001020304050607)
_ZERO_64, _ONE, _7, _56 = (np.uint64(n) for n in (0, 1, 7, 56))
_NULL_WORD, _TRUE_WORD, _FALS_WORD = (np.uint64(int.from_bytes(text, "little")) for text in (b"null", b"true", b"fals"))
_FOUR_BYTES = np.uint64(0xFFFFFFFF)


@compiled
def skip_blanks(at: int) -> int:
    """The first place from ``at`` on without a blank."""
    byte = load8(at)
    while byte <= 32 and (byte == 32 or byte == 9 or byte == 13):
        at += 1
        byte = load8(at)
    return at


@compiled
def string_end(at: int) -> int:
    """Where the closing quote is of a string whose text begins at ``at``; ``~place`` of what is not plain before it."""
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
        if byte == QUOTE:
            return at
        size = _character_size(at) if byte >= 0x80 else 0
        if size == 0:
            return ~at
        at += size


@compiled
def skip_string(at: int) -> int:
    """As ``string_end``, over escapes as well, but for halves of surrogate pairs."""
    end = string_end(at)
    while end < 0:
        size = _escape_size(~end)
        if size == 0:
            return end
        end = string_end(~end + size)
    return end


@compiled
def _escape_size(at: int) -> int:
    """The bytes of an escape; 0 where there is none, or one that needs a second."""
    if load8(at) != _SLASH:
        return 0
    letter = load8(at + 1)
    if letter != _U:
        for plain in _ESCAPED:
            if letter == plain:
                return 2
        return 0
    code = 0
    for k in range(2, 6):
        digit = load8(at + k)
        if _ZERO <= digit <= _NINE:
            code = code * 16 + digit - _ZERO
        elif _A <= digit | _LOWER <= _F:
            code = code * 16 + (digit | _LOWER) - _A + 10
        else:
            return 0
    return 0 if 0xD800 <= code <= 0xDFFF else 6


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
def read_scalar(at: int) -> tuple[int, int, int]:
    """Where a value that is no string ends, its kind and its word; the kind ``ABSENT`` for what is not plain."""
    first = load8(at)
    if first == _MINUS or _ZERO <= first <= _NINE:
        return _number(at)
    word = load64(at) & _FOUR_BYTES
    if word == _NULL_WORD:
        return at + 4, NULL, 0
    if word == _TRUE_WORD:
        return at + 4, TRUTH, 1 << KIND_BITS | BOOL
    if word == _FALS_WORD and load8(at + 4) == _E_LOWER:
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
def skip_nested(at: int) -> int:
    """Where the array or object at ``at`` ends; -1 where it is not plain."""
    objects, depth = 0, 0  # a bit for each level: whether it is an object
    while True:
        byte = load8(at)
        if byte in (OPEN, OPEN_LIST):
            if depth == _DEPTH_MAX:
                return -1
            depth += 1
            objects = objects << 1 | (1 if byte == OPEN else 0)
            at = skip_blanks(at + 1)
            if load8(at) != (CLOSE if byte == OPEN else CLOSE_LIST):
                at = _skip_key(at) if byte == OPEN else at
                if at < 0:
                    return -1
                continue
        elif byte == QUOTE:
            at = skip_string(at + 1) + 1
            if at <= 0:
                return -1
        else:
            at, kind, _ = read_scalar(at)
            if kind == ABSENT:
                return -1
        # a value has ended, or is to be closed
        at = skip_blanks(at)
        while load8(at) == (CLOSE if objects & 1 else CLOSE_LIST):
            objects >>= 1
            depth -= 1
            if depth == 0:
                return at + 1
            at = skip_blanks(at + 1)
        if load8(at) != COMMA:
            return -1
        at = skip_blanks(at + 1)
        if objects & 1:
            at = _skip_key(at)
            if at < 0:
                return -1


@compiled
def _skip_key(at: int) -> int:
    """Where the value of the key at ``at`` begins; -1 where there is no plain key."""
    if load8(at) != QUOTE:
        return -1
    at = skip_string(at + 1)
    if at < 0:
        return -1
    at = skip_blanks(at + 1)
    return skip_blanks(at + 1) if load8(at) == COLON else -1
