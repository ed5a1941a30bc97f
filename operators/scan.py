"""A compiled scanner of NDJSON: from bytes to where the wanted values are, without an object an event.

It reads the messages that are plain: one JSON object whose fields that its stream wants are scalars without escapes,
each at most once; other fields are read over (``scan_values``). Whatever else there is, faults included, it leaves to
the decoders, so it decides nothing: a message that it takes is JSON, with just these values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.scan_values import (
    ABSENT,
    CLOSE,
    COLON,
    COMMA,
    OPEN,
    OPEN_LIST,
    QUOTE,
    TEXT,
    UNUSUAL,
    read_scalar,
    skip_blanks,
    skip_nested,
    skip_string,
    string_end,
)
from state.compiled import compiled
from state.load64 import load8, load64

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

_ZERO_64, _8, _52, _64 = (np.uint64(n) for n in (0, 8, 52, 64))
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
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
def same_middle(one: int, other: int, size: int) -> bool:
    """Whether two texts of a size, by their addresses, are the same if their identities are."""
    same = True
    for k in range(IDENTITY_BYTES // 2, size - IDENTITY_BYTES // 2):
        same = same and load8(one + k) == load8(other + k)
    return same


@compiled
def slot_of(first: np.uint64, last: np.uint64, seed: np.uint64) -> int:
    """The slot of a name among ``SLOTS``."""
    return np.int64((((first * _MIX_1) ^ (last * _MIX_2) ^ seed) * _MIX_3) >> _52)  # type: ignore[return-value]


@compiled
def scan(
    base: int, starts: Integers, lengths: Lengths, name_addresses: Integers, names: Identities, name_sizes: Lengths,
    slots: npt.NDArray[np.int16], seed: np.uint64, taken: Kinds, kinds: Kinds, values: Integers, sizes: Lengths,
) -> None:  # fmt: skip
    """Look for the wanted values of every line.

    Parameters
    ----------
    base
        The buffer's address.
    starts, lengths
        The lines. The byte after each of them, the last one included, is a newline; ``PADDING`` bytes follow.
    name_addresses, names, name_sizes, slots, seed
        The wanted names, and their numbers by ``slot_of``.
    taken
        n: set to 1 for a plain message, else 0.
    kinds, values, sizes
        (names, n): the kind, UNUSUAL for what comes twice; where a text begins, or the word of anything else; a text's
        length in bytes. ``kinds`` must be zero.
    """
    for i in range(len(starts)):
        taken[i] = 0
        end = base + starts[i] + lengths[i]
        at = skip_blanks(base + starts[i])
        if lengths[i] > _LONGEST or load8(at) != OPEN:
            continue
        while True:
            at = skip_blanks(at + 1)
            if load8(at) != QUOTE:
                break
            key_end = string_end(at + 1)
            if key_end < 0:
                break
            size = key_end - at - 1
            first, last = identity(at + 1, size)
            key = np.int64(slots[slot_of(first, last, seed)])
            if key >= 0 and (
                names[key, 0] != first
                or names[key, 1] != last
                or name_sizes[key] != size
                or not same_middle(at + 1, name_addresses[key], size)
            ):
                key = np.int64(-1)
            at = skip_blanks(key_end + 1)
            if load8(at) != COLON:
                break
            at = skip_blanks(at + 1)
            kind, value, byte = TEXT, at + 1 - base, load8(at)
            if byte == QUOTE:
                text_end = string_end(at + 1)
                if text_end < 0:
                    text_end, kind = skip_string(at + 1), UNUSUAL
                    if text_end < 0:
                        break
                at = text_end + 1
            elif byte in (OPEN, OPEN_LIST):
                at, kind = skip_nested(at), UNUSUAL
                if at < 0:
                    break
            else:
                at, kind, value = read_scalar(at)
            if kind == ABSENT:
                break
            if key >= 0:
                if kinds[key, i] != ABSENT:
                    kind = UNUSUAL
                kinds[key, i], values[key, i] = kind, value
                sizes[key, i] = at - base - value - 1 if kind == TEXT else 0
            at = skip_blanks(at)
            following = load8(at)
            if following == CLOSE:
                taken[i] = 1 if skip_blanks(at + 1) == end else 0
                break
            if following != COMMA:
                break


@compiled
def advance(
    ts_ms: Integers, events: Kinds, high_ms: int, lateness_ms: int, max_jump_ms: int, floor_ms: int, latest_ms: int,
    effective_ms: Integers, ceiling_ms: Integers,
) -> int:  # fmt: skip
    """Move a partition's clock over its lines; the highest ``ts`` after them.

    ``events`` are 1 where the line is one, and set to 0 where its ``ts`` is too far in the future. ``ceiling_ms`` is
    the highest ``ts`` that would do at each line. ``high_ms`` is -1 before the first event; ``max_jump_ms`` is 0 for no
    limit. No event takes effect before ``floor_ms``, and none is later than ``latest_ms``.
    """
    for i in range(len(ts_ms)):
        ceiling_ms[i] = latest_ms if high_ms < 0 or max_jump_ms == 0 else min(latest_ms, high_ms + max_jump_ms)
        if not events[i]:
            continue
        if ts_ms[i] > ceiling_ms[i]:
            events[i] = 0
            continue
        effective_ms[i] = max(ts_ms[i], floor_ms if high_ms < 0 else max(floor_ms, high_ms - lateness_ms))
        high_ms = max(high_ms, ts_ms[i])
    return high_ms
