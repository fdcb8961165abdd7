"""What threads need to work on one program: words that several of them read and write.

Importing this module imports Numba.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["add_atomic", "call_plain", "load_atomic", "store_atomic", "words_at"]

_ORDER = "seq_cst"


@intrinsic
def load_atomic(context: Any, pointer: Any, index: Any) -> Any:
    """The word at an index, as others have written it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(builder.gep(values[0], [values[1]]), _ORDER, 8)

    return types.int64(pointer, index), generate


@intrinsic
def store_atomic(context: Any, pointer: Any, index: Any, value: Any) -> Any:
    """Write a word after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[2], builder.gep(values[0], [values[1]]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(pointer, index, types.int64), generate


@intrinsic
def add_atomic(context: Any, pointer: Any, index: Any, value: Any) -> Any:
    """Add to a word; what it was before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", builder.gep(values[0], [values[1]]), values[2], _ORDER)

    return types.int64(pointer, index, types.int64), generate


@intrinsic
def call_plain(context: Any, function: Any, argument: Any) -> Any:
    """Call the C function at an address with a whole number or an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [values[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def words_at(context: Any, address: Any) -> Any:
    """A pointer to the words at an address."""
    result = types.CPointer(types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(result))

    return result(types.int64), generate
