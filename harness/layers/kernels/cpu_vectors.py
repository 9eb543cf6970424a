"""Vector code for the CPU kernels: what is written in LLVM's words, because loops alone do not become vectors.

Rows of maps have run-time strides, and LLVM gives up on loops over several of them ("too many memory checks"). Here
each function is a few vectors long, works on addresses (bytes, as integers), and is inlined into compiled loops. Maps
travel as integers of their size: 32 bits are fp32, 16 bits are bf16, which is the upper half of an fp32.

Imported only if kernels are compiled: see `cpu_build`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()


OPTIONS = {"error_model": "numpy"}
"""Of numba: no division raises, so that the compiled code needs nothing of numba's."""


def vector(element: Any, lanes: int) -> Any:
    """Return the type of `lanes` elements: a plain one for 1."""
    return ir.VectorType(element, lanes) if lanes > 1 else element


def constant(element: Any, lanes: int, value: float) -> Any:
    """Return a constant with `value` in each lane."""
    return ir.Constant(vector(element, lanes), [value] * lanes if lanes > 1 else value)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """Return a vector with `value` in each lane."""
    if lanes == 1:
        return value
    kind = vector(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), constant(I32, lanes, 0))


def shuffled(builder: Any, first: Any, second: Any, order: list[int]) -> Any:
    """Return the elements `order` of two vectors laid end to end."""
    return builder.shuffle_vector(first, second, ir.Constant(vector(I32, len(order)), order))


def load(builder: Any, address: Any, element: Any, lanes: int) -> Any:
    """Load `lanes` elements from an address of any alignment."""
    pointer = builder.inttoptr(address, vector(element, lanes).as_pointer())
    return builder.load(pointer, align=1)


def store(builder: Any, value: Any, address: Any) -> None:
    """Store a vector at an address of any alignment."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def offset(builder: Any, address: Any, times: int, step: Any) -> Any:
    """Return address + times · step."""
    return address if not times else builder.add(address, builder.mul(step, I64(times)))


def as_float(builder: Any, bits: Any, lanes: int) -> Any:
    """Return maps' bits (16: bf16, 32: fp32) as fp32."""
    element = bits.type.element if lanes > 1 else bits.type
    if element.width == 16:
        wide = builder.zext(bits, vector(I32, lanes))
        bits = builder.shl(wide, constant(I32, lanes, 16))
    return builder.bitcast(bits, vector(F32, lanes))


def better(builder: Any, value: Any, best: Any) -> Any:
    """Return the mask "value > best, or the first NaN": with `best` NaN it stays."""
    above = builder.fcmp_unordered("ugt", value, best)
    return builder.and_(above, builder.fcmp_ordered("ord", best, best))


def bits_of(kind: types.Integer) -> Any:
    """Return LLVM's type for a dummy argument that stands for the maps' or positions' size."""
    return ir.IntType(kind.bitwidth)


def void(name: str, argument_count: int) -> Callable[[Callable[..., None]], Any]:
    """Make an intrinsic without result of `emit(builder, element, *arguments)`, all arguments 64-bit integers.

    Called as `name(kind, *arguments)`, where `kind` is any integer of the maps' size.
    """

    def make(emit: Callable[..., None]) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            emit(builder, bits_of(signature.args[0]), *arguments[1:])
            return context.get_dummy_value()

        return _typed(name, argument_count, types.void, codegen)

    return make


def word(name: str, argument_count: int) -> Callable[[Callable[..., Any]], Any]:
    """Make an intrinsic of `emit`, like `void`, whose result is a 64-bit integer."""

    def make(emit: Callable[..., Any]) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(builder, bits_of(signature.args[0]), *arguments[1:])

        return _typed(name, argument_count, types.int64, codegen)

    return make


def _typed(name: str, count: int, result: Any, codegen: Any) -> Any:
    """Return an intrinsic (kind, count 64-bit integers) → result; numba reads the arguments off a real signature."""
    names = ", ".join(f"a{i}" for i in range(count))
    scope = {"result": result, "codegen": codegen, "integers": [types.int64] * count}
    exec(f"def {name}(typing, kind, {names}):\n    return result(kind, *integers), codegen", scope)  # noqa: S102
    return intrinsic(scope[name])


@intrinsic
def byte_at(typing: Any, address: Any) -> Any:
    """Return the byte at an address as a 64-bit integer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(load(builder, arguments[0], I8, 1), I64)

    return types.int64(types.int64), codegen


@intrinsic
def short_at(typing: Any, address: Any) -> Any:
    """Return the 16-bit unsigned integer at an address as a 64-bit integer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(load(builder, arguments[0], I16, 1), I64)

    return types.int64(types.int64), codegen


@void("zero_bytes", 2)
def zero_bytes(builder: Any, element: Any, address: Any, count: Any) -> None:
    """Set `count` bytes to zero."""
    cgutils.memset(builder, builder.inttoptr(address, I8.as_pointer()), count, 0)


@void("prefetch", 1)
def prefetch(builder: Any, element: Any, address: Any) -> None:
    """Ask for a line of memory that will be read; any address will do."""
    pointer = builder.inttoptr(address, I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
    builder.call(function, [pointer, I32(0), I32(3), I32(1)])


@void("copy_value", 2)
def copy_value(builder: Any, element: Any, source: Any, target: Any) -> None:
    """Copy one value of the maps."""
    store(builder, load(builder, source, element, 1), target)


@intrinsic
def word_at(typing: Any, address: Any) -> Any:
    """Return the 64-bit integer at an address."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return load(builder, arguments[0], I64, 1)

    return types.int64(types.int64), codegen


@intrinsic
def called(typing: Any, address: Any) -> Any:
    """Call the C function without arguments at an address; return its int as a 64-bit integer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.inttoptr(arguments[0], ir.FunctionType(I32, []).as_pointer())
        return builder.sext(builder.call(function, []), I64)

    return types.int64(types.int64), codegen


@intrinsic
def mark(typing: Any, address: Any) -> Any:
    """Set the byte at an address, whatever other threads do, and return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = builder.inttoptr(arguments[0], I8.as_pointer())
        return builder.zext(builder.atomic_rmw("xchg", byte, I8(1), "monotonic"), I64)

    return types.int64(types.int64), codegen
