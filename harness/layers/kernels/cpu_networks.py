"""Sorting networks for the CPU: sort16 and bitonic merges on vectors of pixels, for top-k.

What is sorted are keys (`cpu_keys`), float64 in descending order, and none is NaN. A row of keys is one vector, of
`LANES64` pixels; rows lie one behind another. Arguments are addresses and counts.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from harness.layers.kernels.cpu_layout import LANES64
from harness.layers.kernels.cpu_vectors import F64, I64, constant, load, offset, store, void

ROW_BYTES = 8 * LANES64

SORT16 = (
    ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15)),
    ((0, 2), (4, 6), (8, 10), (12, 14), (1, 3), (5, 7), (9, 11), (13, 15)),
    ((0, 4), (8, 12), (1, 5), (9, 13), (2, 6), (10, 14), (3, 7), (11, 15)),
    ((0, 8), (1, 9), (2, 10), (3, 11), (4, 12), (5, 13), (6, 14), (7, 15)),
    ((5, 10), (6, 9), (3, 12), (13, 14), (4, 8), (7, 11), (1, 2)),
    ((1, 4), (7, 13), (2, 8), (11, 14)),
    ((2, 4), (5, 6), (9, 10), (11, 13), (3, 8), (7, 12)),
    ((6, 8), (10, 12), (3, 5), (7, 9)),
    ((3, 4), (5, 6), (7, 8), (9, 10), (11, 12)),
    ((6, 7), (8, 9)),
)
"""Green's network of 60 comparisons."""


def row_at(builder: Any, rows: Any, number: int) -> Any:
    """Return the address of a row."""
    return builder.add(rows, I64(number * ROW_BYTES))


def _best(builder: Any, name: str, a: Any, b: Any) -> Any:
    """Return LLVM's maxnum or minnum of two rows of keys: one instruction, as keys are not NaN.

    A comparison and a selection would be taken for one of integers if keys were made from them: four instructions.
    """
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type, a.type]), f"llvm.{name}.v{LANES64}f64"
    )
    return builder.call(function, [a, b], fastmath=("nnan", "nsz"))


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return _best(builder, "maxnum", a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return _best(builder, "minnum", a, b)


def _exchange(builder: Any, keys: list[Any], i: int, j: int) -> None:
    keys[i], keys[j] = _larger(builder, keys[i], keys[j]), _smaller(builder, keys[i], keys[j])


def _merge(builder: Any, keys: list[Any]) -> None:
    """Sort a bitonic sequence, in place."""
    half = len(keys) // 2
    while half:
        for i in range(len(keys)):
            if not i & half:
                _exchange(builder, keys, i, i + half)
        half //= 2


def write_sorted(builder: Any, made: list[Any], keys: Any) -> None:
    """Sort 16 rows of keys and store them."""
    for layer in SORT16:
        for i, j in layer:
            _exchange(builder, made, i, j)
    for i, key in enumerate(made):
        store(builder, key, row_at(builder, keys, i))


def _merge_rows(count: int) -> Any:
    """(keys, step): sort bitonic sequences of `count` rows, `step` bytes apart."""

    @void(f"merge_rows_{count}", 2)
    def emit(builder: Any, element: Any, keys: Any, step: Any) -> None:
        where = [offset(builder, keys, i, step) for i in range(count)]
        rows = [load(builder, address, F64, LANES64) for address in where]
        _merge(builder, rows)
        for address, row in zip(where, rows, strict=True):
            store(builder, row, address)

    return emit


def _merge_top(count: int) -> Any:
    """(a, b): a becomes the sorted `count` largest of the sorted sequences a and b."""

    @void(f"merge_top_{count}", 2)
    def emit(builder: Any, element: Any, a: Any, b: Any) -> None:
        rows = [
            _larger(
                builder,
                load(builder, row_at(builder, a, i), F64, LANES64),
                load(builder, row_at(builder, b, count - 1 - i), F64, LANES64),
            )
            for i in range(count)
        ]
        _merge(builder, rows)
        for i, row in enumerate(rows):
            store(builder, row, row_at(builder, a, i))

    return emit


merge2, merge4, merge8, merge16 = _merge_rows(2), _merge_rows(4), _merge_rows(8), _merge_rows(16)
top1, top2, top4, top8, top16 = _merge_top(1), _merge_top(2), _merge_top(4), _merge_top(8), _merge_top(16)


@void("cross", 2)
def cross(builder: Any, element: Any, a: Any, b: Any) -> None:
    """Leave the larger keys of two rows in a, the smaller ones in b."""
    first, second = load(builder, a, F64, LANES64), load(builder, b, F64, LANES64)
    store(builder, _larger(builder, first, second), a)
    store(builder, _smaller(builder, first, second), b)


@void("larger", 2)
def larger(builder: Any, element: Any, a: Any, b: Any) -> None:
    """Leave the larger keys of two rows in a."""
    store(builder, _larger(builder, load(builder, a, F64, LANES64), load(builder, b, F64, LANES64)), a)


@void("pad", 1)
def pad(builder: Any, element: Any, a: Any) -> None:
    """Make a row of padding."""
    store(builder, constant(F64, LANES64, 0.0), a)
