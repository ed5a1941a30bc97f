"""The decorator of every kernel: compiled at its first call, kept on disk, run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """``function`` as machine code; for the type checker it stays what it was."""
    return cast(_Function, njit(cache=True, nogil=True)(function))
