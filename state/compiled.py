"""The decorator of every kernel: compiled at its first call, kept on disk, run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit
from numba.core import config

from state.kernel_cache import kernel_folder

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """``function`` as machine code; for the type checker it stays what it was."""
    settings = vars(config)
    before = settings["CACHE_DIR"]
    settings["CACHE_DIR"] = str(kernel_folder())
    try:
        return cast(_Function, njit(cache=True, nogil=True)(function))
    finally:
        settings["CACHE_DIR"] = before
