"""The decorator of every kernel: compiled at its first call, kept on disk, run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from numba import njit
from numba.core import config

from state.kernel_cache import kernel_folder

_Function = TypeVar("_Function", bound=Callable[..., object])


class KernelLocator:
    """Tells Numba where a kernel's machine code is kept (what ``NUMBA_CACHE_LOCATOR_CLASSES`` asks for).

    Numba's own locators keep it by the path of the source: there every new clone or installation would compile anew.
    """

    def __init__(self, package: str, line: int) -> None:
        self._folder, self._line = kernel_folder() / package, line

    @classmethod
    def from_function(cls, function: Callable[..., object], source: str) -> KernelLocator:
        """The locator of a function in the file ``source``."""
        return cls(Path(source).parent.name, function.__code__.co_firstlineno)

    def ensure_cache_path(self) -> None:
        """Make the folder."""
        self._folder.mkdir(exist_ok=True)

    def get_cache_path(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """What changes with the sources: their digest, which is the folder's name."""
        return kernel_folder().name

    def get_disambiguator(self) -> str:
        """What tells functions of the same name apart."""
        return str(self._line)


def compiled(function: _Function) -> _Function:
    """``function`` as machine code; for the type checker it stays what it was."""
    settings = vars(config)
    before = settings["CACHE_LOCATOR_CLASSES"]
    settings["CACHE_LOCATOR_CLASSES"] = f"{__name__}.{KernelLocator.__name__}"
    try:
        return cast(_Function, njit(cache=True, nogil=True)(function))
    finally:
        settings["CACHE_LOCATOR_CLASSES"] = before
