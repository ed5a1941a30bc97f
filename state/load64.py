"""Bytes by their address, for kernels.

Numba counts references wherever an array goes into a function that is not inlined, which for a few bytes takes longer
than reading them. An address costs nothing; whoever calls the kernel keeps the array alive meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

PADDING = 8
"""So many bytes must follow in a buffer that is read eight bytes at a time."""


def _loader(bits: int, numba_type: Any) -> Any:
    def typed(_: Any, address: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return numba_type(address), generate

    return typed


load64 = cast(Callable[[int], np.uint64], intrinsic(_loader(64, types.uint64)))
"""The eight bytes at an address as one number, the first one lowest. Only inside kernels; unchecked."""

load8 = cast(Callable[[int], int], intrinsic(_loader(8, types.int64)))
"""The byte at an address. Only inside kernels; unchecked."""
