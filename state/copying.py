"""Copies bytes, for kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _copier(_: Any, target: Any, source: Any, count: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, of, size = arguments
        pointers = [builder.inttoptr(address, cgutils.voidptr_t) for address in (to, of)]
        cast(Any, cgutils).raw_memcpy(builder, pointers[0], pointers[1], size, 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


copy_bytes = cast(Callable[[int, int, int], None], intrinsic(_copier))
"""Copy ``count`` bytes to one address from another; they do not overlap."""
