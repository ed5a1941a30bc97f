"""The key under which values count as equal."""

from __future__ import annotations

from typing import Any


def value_key(x: Any) -> Any:
    """A hashable key under which exactly the equal values meet: 1 and 1.0 do, ``True`` and 1 don't.

    >>> value_key(1.0) == value_key(1), value_key(True) == value_key(1)
    (True, False)
    """
    kind = type(x)
    if kind is str or kind is int:
        return x
    if kind is float:
        return int(x) if x.is_integer() else x
    if kind is bool:
        return ("boolean", x)
    if kind is list or kind is tuple:
        return ("list", tuple(map(value_key, x)))
    if kind is dict:
        return ("object", tuple(sorted((k, repr(value_key(v))) for k, v in x.items())))
    return ("null",)
