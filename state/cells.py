"""Cells of arrays by the address of the array, for kernels.

Numba counts references wherever an array goes into a function that is not inlined, which takes longer than reading a
cell. So kernels get addresses; whoever calls them keeps the arrays alive meanwhile and vouches for the bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray


def address(array: NDArray[Any]) -> int:
    """Where an array begins; kernels presume that it is C-contiguous."""
    assert array.flags.c_contiguous
    begin: int = array.__array_interface__["data"][0]  # a third of the time of ``array.ctypes``
    return begin


def _pointer(builder: Any, base: Any, index: Any, cell: Any) -> Any:
    return builder.gep(builder.inttoptr(base, cell.as_pointer()), [index])


def _getter(cell: Any, numba_type: Any) -> Any:
    def typed(_: Any, base: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, index = arguments
            value = builder.load(_pointer(builder, base, index, cell))
            return builder.zext(value, ir.IntType(64)) if cell == ir.IntType(8) else value

        return numba_type(types.int64, types.int64), generate

    return typed


def _setter(cell: Any, numba_type: Any) -> Any:
    def typed(_: Any, base: Any, index: Any, value: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, index, value = arguments
            stored = builder.trunc(value, cell) if cell == ir.IntType(8) else value
            builder.store(stored, _pointer(builder, base, index, cell))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, numba_type), generate

    return typed


get = cast(Callable[[int, int], int], intrinsic(_getter(ir.IntType(64), types.int64)))
"""Cell ``index`` of an array of 64-bit integers."""

put = cast(Callable[[int, int, int], None], intrinsic(_setter(ir.IntType(64), types.int64)))
"""Set a cell of an array of 64-bit integers."""

get_double = cast(Callable[[int, int], float], intrinsic(_getter(ir.DoubleType(), types.float64)))
"""Cell ``index`` of an array of doubles."""

put_double = cast(Callable[[int, int, float], None], intrinsic(_setter(ir.DoubleType(), types.float64)))
"""Set a cell of an array of doubles."""

get_byte = cast(Callable[[int, int], int], intrinsic(_getter(ir.IntType(8), types.int64)))
"""Cell ``index`` of an array of bytes."""

put_byte = cast(Callable[[int, int, int], None], intrinsic(_setter(ir.IntType(8), types.int64)))
"""Set a cell of an array of bytes."""
