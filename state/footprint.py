"""How many bytes Python's objects take, for the figures of the summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

SAMPLE = 256
"""So many objects of a large collection are measured, evenly spread; the others are taken to be like them."""


def deep_bytes(values: Iterable[Any], shared: Iterable[Any] = ()) -> int:
    """Bytes of some objects and of what they hold, each object once; nothing for those that are ``shared``.

    Classes, functions and modules count nothing.
    """
    seen = set(map(id, shared))
    waiting, total = list(values), 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | Callable):
            continue
        seen.add(id(value))
        total += sys.getsizeof(value)
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, Sequence | set | frozenset):
            if not isinstance(value, str | bytes):
                waiting += value
        else:
            waiting += [getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)]
            waiting += getattr(value, "__dict__", {}).values()
    return total


def _slots(kind: type) -> list[str]:
    return [name for base in kind.__mro__ for name in base.__dict__.get("__slots__", ())]


def sampled_bytes(values: Iterable[Any], count: int, shared: Iterable[Any] = ()) -> int:
    """Roughly ``deep_bytes`` of ``count`` objects, from a sample of them."""
    if not count:
        return 0
    step = -(-count // SAMPLE)
    sample = list(islice(values, 0, None, step))
    return deep_bytes(sample, shared) * count // len(sample)
