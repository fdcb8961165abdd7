"""What kernels use besides Python's arithmetic: pointers to operands, `select`, bits of numbers.

Importing this module imports Numba.
"""

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

__all__ = [
    "address_plus",
    "bits_of_float",
    "call",
    "float_of_bits",
    "gemm",
    "int_of_float",
    "maximum",
    "minimum",
    "operand",
    "plus",
    "polynomial",
    "select",
    "times",
]


class Operand(types.Type):
    """A pointer to numbers of one dtype that overlaps with no operand of another number.

    LLVM is told so: without it, a loop over more than a few operands is not vectorised.
    """

    def __init__(self, dtype: types.Type, number: int) -> None:
        self.dtype, self.number = dtype, number
        super().__init__(name=f"Operand({dtype}, {number})")


@register_model(Operand)
class _OperandModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Operand) -> None:
        content = manager.lookup(kind.dtype).get_data_type()
        super().__init__(manager, kind, content.as_pointer())


@intrinsic(prefer_literal=True)
def operand(context: Any, arguments: Any, place: Any, dtype: Any, number: Any) -> Any:
    """The operand of `dtype` whose address stands at `place` among the arguments of a kernel.

    Operands of one number may overlap.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = builder.gep(values[0], [values[1]])
        return builder.inttoptr(builder.load(address), context.get_value_type(result))

    result = Operand(dtype.dtype, number.literal_value)
    return result(arguments, place, dtype, number), generate


@type_callable(operator.getitem)
def _type_getitem(context: Any) -> Any:
    def resolve(pointer: Any, index: Any) -> Any:
        if isinstance(pointer, Operand) and isinstance(index, types.Integer):
            return pointer.dtype
        return None

    return resolve


@type_callable(operator.setitem)
def _type_setitem(context: Any) -> Any:
    def resolve(pointer: Any, index: Any, value: Any) -> Any:
        if isinstance(pointer, Operand) and isinstance(index, types.Integer):
            return types.void
        return None

    return resolve


def _alone(builder: Any, instruction: Any, number: int) -> None:
    """Tell LLVM that this load or store touches nothing of operands with another number."""
    module = builder.module
    domain = module.add_metadata(["operands"])
    scopes = [module.add_metadata([f"operand {i}", domain]) for i in range(32)]
    if number < len(scopes):
        instruction.set_metadata("alias.scope", module.add_metadata([scopes[number]]))
        others = scopes[:number] + scopes[number + 1 :]
        instruction.set_metadata("noalias", module.add_metadata(others))


@lower_builtin(operator.getitem, Operand, types.Integer)
def _load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kind = signature.args[0]
    at = builder.gep(values[0], [context.cast(builder, values[1], signature.args[1], types.int64)])
    loaded = builder.load(at)
    _alone(builder, loaded, kind.number)
    return context.data_model_manager[kind.dtype].from_data(builder, loaded)


@lower_builtin(operator.setitem, Operand, types.Integer, types.Any)
def _store(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kind, index, given = signature.args
    at = builder.gep(values[0], [context.cast(builder, values[1], index, types.int64)])
    value = context.cast(builder, values[2], given, kind.dtype)
    stored = builder.store(context.data_model_manager[kind.dtype].as_data(builder, value), at)
    _alone(builder, stored, kind.number)


@intrinsic
def select(context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where `condition`, else `no`: both are computed, and no branch is taken."""
    result = context.unify_types(yes, no)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        cast = [context.cast(builder, values[i], signature.args[i], result) for i in (1, 2)]
        return builder.select(values[0], *cast)

    return result(types.boolean, yes, no), generate


def _bits(dtype: Any) -> Any:
    return types.int32 if dtype.bitwidth == 32 else types.int64


@intrinsic
def bits_of_float(context: Any, number: Any) -> Any:
    """The bits of a float as an integer of the same width."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], context.get_value_type(signature.return_type))

    return _bits(number)(number), generate


@intrinsic
def float_of_bits(context: Any, bits: Any) -> Any:
    """The float that has these bits."""
    result = types.float32 if bits.bitwidth == 32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], context.get_value_type(result))

    return result(bits), generate


@intrinsic
def int_of_float(context: Any, number: Any) -> Any:
    """A float without its fraction as an int32, which must be in range."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fptosi(values[0], ir.IntType(32))

    return types.int32(number), generate


@intrinsic
def call(context: Any, function: Any, arguments: Any) -> Any:
    """Call the kernel at an address with a pointer to its arguments."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        # Numba's own convention: where to write a result, where to write an exception, arguments
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer, pointer, values[1].type])
        address = builder.inttoptr(values[0], kind.as_pointer())
        scratch = [cgutils.alloca_once(builder, ir.IntType(64)) for _ in range(2)]
        builder.call(address, [*[builder.bitcast(s, pointer) for s in scratch], values[1]])
        return context.get_dummy_value()

    return types.void(types.int64, arguments), generate


@intrinsic
def gemm(
    context: Any, function: Any, a_transposed: Any, b_transposed: Any, m: Any, n: Any, k: Any,
    alpha: Any, a: Any, a_row: Any, b: Any, b_row: Any, beta: Any, c: Any, c_row: Any,
) -> Any:  # fmt: skip
    """Call cblas_sgemm or cblas_dgemm at an address: c = α·a·b + β·c, matrices in rows."""
    long, number = types.int64, alpha

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        plain, transposed, in_rows = (ir.Constant(integer, code) for code in (111, 112, 101))
        address, ta, tb, m, n, k, alpha, a, a_row, b, b_row, beta, c, c_row = values
        flags = [
            builder.select(builder.trunc(t, ir.IntType(1)), transposed, plain) for t in (ta, tb)
        ]
        a, b, c = (builder.inttoptr(matrix, pointer) for matrix in (a, b, c))
        given = [in_rows, *flags, m, n, k, alpha, a, a_row, b, b_row, beta, c, c_row]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(builder.inttoptr(address, kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(
        long, long, long, long, long, long, number, long, long, long, long, number, long, long
    ), generate


@intrinsic
def address_plus(context: Any, pointer: Any, count: Any) -> Any:
    """The pointer to the element that stands `count` after the first."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.gep(values[0], [values[1]])

    return pointer(pointer, count), generate


def polynomial(*coefficients: float) -> Any:
    """The function c₀ + c₁x + c₂x² + … of a float, by Horner's rule."""

    @intrinsic
    def evaluate(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = values[0].type
            *rest, last = [ir.Constant(kind, float(c)) for c in coefficients]
            result = last
            for coefficient in reversed(rest):
                product = builder.fmul(result, values[0], flags=("contract",))
                result = builder.fadd(product, coefficient, flags=("contract",))
            return result

        return x(x), generate

    return evaluate


def _extremum(name: str) -> Any:
    @intrinsic
    def extremum(context: Any, a: Any, b: Any) -> Any:
        kind = context.unify_types(a, b)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pair = [context.cast(builder, v, t, kind) for v, t in zip(values, (a, b), strict=True)]
            if isinstance(kind, types.Float):
                number = pair[0].type
                declared = builder.module.declare_intrinsic(
                    f"llvm.{name}", [number], ir.FunctionType(number, [number, number])
                )
                return builder.call(declared, pair, fastmath=("nsz",))
            sign = ">" if name == "maximum" else "<"
            if isinstance(kind, types.Integer) and kind.signed:
                return builder.select(builder.icmp_signed(sign, *pair), *pair)
            return builder.select(builder.icmp_unsigned(sign, *pair), *pair)

        return kind(a, b), generate

    return extremum


maximum, minimum = _extremum("maximum"), _extremum("minimum")  # NaN where one operand is


def _in_any_order(instruction: str) -> Any:
    @intrinsic
    def combine(context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, instruction)(*values, flags=("reassoc", "nsz"))

        return a(a, a), generate

    return combine


plus, times = _in_any_order("fadd"), _in_any_order("fmul")  # of floats, for reductions
