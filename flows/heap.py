"""Lets freed memory go back to the system, where the C library is glibc."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 18


def return_freed_memory() -> None:
    """Give arrays from 256 KiB on pages of their own for the rest of the process, which go back when they are freed.

    By itself glibc raises this threshold up to 32 MiB as such arrays are freed, and then what growing stores leave
    behind stays in the heap: with 100,000 customers that was a quarter of the memory.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
