"""Keyed hashes and order of byte strings, compiled.

The hash is SipHash with 64 bits (Aumasson and Bernstein, 2012): whoever doesn't know the key cannot make strings that
meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from state.compiled import compiled
from state.equality import value_key
from state.load64 import load8, load64
from state.texts import Lengths, Starts, Texts

Hashes = npt.NDArray[np.uint64]
Key = tuple[int, int]

_INIT_0 = np.uint64(0x736F6D6570736575)
_INIT_1 = np.uint64(0x646F72616E646F6D)
_INIT_2 = np.uint64(0x6C7967656E657261)
_INIT_3 = np.uint64(0x7465646279746573)
_END = np.uint64(0xFF)
_ONE = np.uint64(1)
_8, _13, _16, _17, _21, _32, _56 = (np.uint64(n) for n in (8, 13, 16, 17, 21, 32, 56))
_64 = np.uint64(64)
_NO_TEXT = b"\xff"
"""Begins what is hashed for a value that is no text: no UTF-8 holds this byte."""

_State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


def sip_hashes(texts: Texts, key: Key, *, rounds: tuple[int, int] = (1, 3)) -> Hashes:
    """SipHash of each string; ``rounds`` are those of an 8-byte block and those at the end."""
    hashes = np.empty(len(texts), np.uint64)
    _sip_all(texts.address, texts.starts, texts.lengths, np.uint64(key[0]), np.uint64(key[1]), *rounds, hashes)
    return hashes


def text_hashes(texts: Texts, key: Key) -> Hashes:
    """SipHash-1-3 of each string, never 0, which stands for null."""
    hashes = sip_hashes(texts, key)
    hashes[hashes == 0] = 1
    return hashes


def value_bytes(value: Any) -> bytes:
    """What is hashed for a value that is not null: the same bytes exactly for values with the same ``value_key``."""
    if type(value) is str:
        return value.encode()
    return _NO_TEXT + repr(value_key(value)).encode()


def value_hash(value: Any, key: Key) -> int:
    """The hash of one value, equal for equal values; 0 for null and nothing else."""
    if value is None:
        return 0
    return int(text_hashes(Texts.from_lines([value_bytes(value)]), key)[0])


@compiled
def _rotated(x: np.uint64, bits: np.uint64) -> np.uint64:
    return (x << bits) | (x >> (_64 - bits))


@compiled
def _round(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> _State:
    a += b
    b = _rotated(b, _13) ^ a
    a = _rotated(a, _32)
    c += d
    d = _rotated(d, _16) ^ c
    a += d
    d = _rotated(d, _21) ^ a
    c += b
    b = _rotated(b, _17) ^ c
    c = _rotated(c, _32)
    return a, b, c, d


@compiled
def sip_hash(
    address: int, length: int, key_0: np.uint64, key_1: np.uint64, block_rounds: int, end_rounds: int
) -> np.uint64:
    """SipHash of ``length`` bytes at an address."""
    a, b, c, d = key_0 ^ _INIT_0, key_1 ^ _INIT_1, key_0 ^ _INIT_2, key_1 ^ _INIT_3
    at, blocks_end = address, address + (length & ~7)
    while at < blocks_end:
        block = load64(at)
        d ^= block
        for _ in range(block_rounds):
            a, b, c, d = _round(a, b, c, d)
        a ^= block
        at += 8
    block = np.uint64(length & 0xFF) << _56
    for k in range(length & 7):
        block |= np.uint64(load8(at + k)) << np.uint64(8 * k)
    d ^= block
    for _ in range(block_rounds):
        a, b, c, d = _round(a, b, c, d)
    a ^= block
    c ^= _END
    for _ in range(end_rounds):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


@compiled
def _sip_all(
    base: int, starts: Starts, lengths: Lengths, key_0: np.uint64, key_1: np.uint64,
    block_rounds: int, end_rounds: int, hashes: Hashes,
) -> None:  # fmt: skip
    for i in range(len(starts)):
        hashes[i] = sip_hash(base + starts[i], int(lengths[i]), key_0, key_1, block_rounds, end_rounds)


@compiled
def compare(address_a: int, length_a: int, address_b: int, length_b: int) -> int:
    """Which of two byte strings comes first: negative for the first, positive for the second, 0 if they are equal."""
    for k in range(min(length_a, length_b)):
        a, b = load8(address_a + k), load8(address_b + k)
        if a != b:
            return a - b
    return length_a - length_b
