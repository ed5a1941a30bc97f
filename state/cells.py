"""Cells of arrays by the address of the array, for kernels.

Numba counts references wherever an array goes into a function that is not inlined, which takes longer than reading a
cell. So kernels get addresses; whoever calls them keeps the arrays alive meanwhile and vouches for the bounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ctypes import c_ssize_t
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

_HEAD_BYTES = object.__basicsize__
_word_at = c_ssize_t.from_address


def _by_interface(array: NDArray[Any]) -> int:
    begin: int = array.__array_interface__["data"][0]
    return begin


def _by_layout(array: NDArray[Any]) -> int:
    """The first field of an array's structure in C, which is NumPy's ABI (``PyArrayObject_fields.data``)."""
    begin: int = _word_at(id(array) + _HEAD_BYTES).value
    return begin


def _tell_the_same() -> bool:
    whole = np.arange(6).reshape(2, 3)
    return sys.implementation.name == "cpython" and all(
        _by_layout(array) == _by_interface(array) for array in (whole, whole[1:], whole[:, 1:], np.empty(0))
    )


# A step asks for some thirty addresses; the interface builds a dictionary for each, in a microsecond or two.
_begin = _by_layout if _tell_the_same() else _by_interface


def address(array: NDArray[Any]) -> int:
    """Where an array begins; kernels presume that it is C-contiguous."""
    assert array.flags.c_contiguous
    return _begin(array)


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
