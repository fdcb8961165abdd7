"""The kinds of op, and what makes the functions that users call of them.

Everything that is no `Elementwise`, `Reduction`, `View` or `Contraction` is a plain `TensorOp` or
`TensorTupleOp`.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from functools import lru_cache, partial
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, cast, overload

import numpy as np

from ..autograd import Array, Tensor, TensorOp
from ..device import to_numpy
from .names import AnyName, speller

# the rest is for the modules of ops, which import it from here
__all__ = ["Axes", "Contraction", "Elementwise", "Reduction", "View"]

Axes = int | Sequence[int] | None
P = ParamSpec("P")


class Elementwise(TensorOp):
    """Acts on each element; operands broadcast as in NumPy.

    A subclass states its NumPy function: `compute = np.multiply`. Its `gradient` may ignore
    broadcasting: adjoints are summed back to the operands' shapes here.

    Example:
        >>> import needle as ndl
        >>> import numpy as np
        >>> class Square(ndl.ops.Elementwise):
        ...     compute = np.square
        ...     def gradient(self, out_grad, node):
        ...         return out_grad * node.inputs[0] * 2
        >>> print(Square()(ndl.Tensor([1.0, 3.0])))
        [1. 9.]
    """

    def _fit(self, adjoint: Any, operand: Any, node: Any) -> Any:
        if operand.shape != node.shape:
            adjoint = unbroadcast(adjoint, operand.shape)
        return super()._fit(adjoint, operand, node)

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        try:
            broadcast_shape(*[array.shape for array in arrays])
        except ValueError as error:
            return str(error)
        return str(cause)


class Reduction(TensorOp):
    """Reduces over `axes` (an int, several, or None for all), which are removed unless `keepdims`.

    Example:
        >>> import needle as ndl
        >>> op = ndl.Summation(axes=-1)
        >>> isinstance(op, ndl.ops.Reduction), op.reduced_axes(3)
        (True, (2,))
    """

    def __init__(self, axes: Axes = None, keepdims: bool = False) -> None:
        is_plain = axes is None or isinstance(axes, (int, tuple))
        self.axes = axes if is_plain else integers(axes, "axes")
        if keepdims is not False and keepdims is not True and not isinstance(keepdims, np.bool):
            # x.sum(0, 1) does not sum over both axes
            raise TypeError(f"keepdims is True or False, got {keepdims!r}: give axes as a tuple")
        self.keepdims = keepdims

    def reduced_axes(self, ndim: int) -> tuple[int, ...]:
        """The axes that are reduced in a tensor of `ndim` axes, checked, none negative."""
        return normalize_axes(self.axes, ndim)

    def expand(self, reduced: Tensor, operand: Tensor) -> Tensor:
        """`reduced`, a result or its adjoint, with axes of length 1 where axes were reduced."""
        if self.keepdims:
            return reduced
        shape = list(operand.shape)
        for axis in self.reduced_axes(operand.ndim):
            shape[axis] = 1
        return reduced.reshape(tuple(shape))


def linear_tangent(op: TensorOp, tangents: Sequence[Any], node: Any) -> Any:
    """The tangent of an op that is linear in all its operands together: the op itself."""
    return op(*or_zeros(tangents, node.inputs))


class View(TensorOp):
    """The same data under another shape or other strides.

    Example:
        >>> import needle as ndl
        >>> issubclass(ndl.Reshape, ndl.ops.View)
        True
    """

    shares_memory = True
    tangent = linear_tangent


class Contraction(TensorOp):
    """Sums products of its operands over shared axes, as matrix products do.

    `gradient` returns None for an operand that requires none: it would cost as much as the op.

    Example:
        >>> import needle as ndl
        >>> issubclass(ndl.MatMul, ndl.ops.Contraction)
        True
    """


def unary(op: TensorOp, name: str | None = None) -> Callable[[Tensor], Tensor]:
    """The public function of an op of one operand: `relu = unary(ReLU())`.

    All calls share this instance. The function is documented by the op's class, and has its name
    in lower case unless `name` is given.
    """
    make = Tensor.make_from_op

    def function(a: Tensor) -> Tensor:
        return make(op, (a,)) if isinstance(a, Tensor) else op(a)

    return function_of(type(op), function, name)


def binary(op: TensorOp, name: str | None = None) -> Callable[[Tensor, Any], Tensor]:
    """The public function of an op of two operands, as `unary`."""
    make = Tensor.make_from_op

    def function(a: Tensor, b: Any) -> Tensor:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return make(op, (a, b))
        return op(a, b)  # which makes constants of numbers and arrays

    function.op = op  # type: ignore[attr-defined]
    return function_of(type(op), function, name)


def with_parameters(
    kind: Callable[P, TensorOp], name: str | None = None
) -> AnyName[Concatenate[Tensor, P], Tensor]:
    """The public function of an op of one operand with parameters: `flip(a, axes)`, as `unary`.

    It takes the synonyms of its parameters as keywords, too (see names.py).
    """
    make = Tensor.make_from_op
    op_type = cast(type[TensorOp], kind)
    signature = inspect.signature(kind)
    spelled = speller(name or op_type.__name__.lower(), signature.parameters)

    def function(a: Tensor, *args: P.args, **options: P.kwargs) -> Tensor:
        op = kind(*args, **(spelled(options) if options else options))
        return make(op, (a,)) if isinstance(a, Tensor) else op(a)

    operand = inspect.Parameter("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Tensor)
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[operand, *signature.parameters.values()], return_annotation=Tensor
    )
    return function_of(op_type, function, name)


Row = tuple[type[Any], Callable[Concatenate[Tensor, P], Tensor]]  # an op's class, its function


def stated(
    base: type[TensorOp],
    kind: str,
    name: str,
    compute: Callable[Concatenate[Any, P], Any],
    derivative: Any,
    text: str,
) -> Row[P]:
    """An op and its function, stated in a row of a table.

    Args:
        base, kind: the base class and the name of the op's class.
        name, text: the name of the function, and the docstring of both.
        compute: NumPy's function, or a function of one or two arrays. Parameters of the op follow
            the arrays, which are positional-only then: `lambda a, /, axes=None: ...`.
        derivative: the adjoints of the operands as a function of (g, y, *operands), for the
            adjoint g of the result y, and of the parameters; None if no gradient passes.
    """
    members: dict[str, Any] = {
        "__doc__": text,
        "__module__": sys._getframe(1).f_globals["__name__"],
        "compute": compute if isinstance(compute, np.ufunc) else staticmethod(compute),
        "gradient": lambda self, g, y: derivative(g, y, *y.inputs),
        "differentiable": derivative is not None,
    }
    if isinstance(compute, np.ufunc):
        arity, parameters = compute.nin, []
    else:
        arguments = list(inspect.signature(compute).parameters.values())
        arity = sum(each.kind is each.POSITIONAL_ONLY for each in arguments) or len(arguments)
        parameters = arguments[arity:]
    if not parameters:
        op = type(kind, (base,), members)
        return op, cast(Any, binary if arity == 2 else unary)(op(), name)
    members["compute"] = lambda self, *arrays: compute(*arrays, **vars(self))
    members["gradient"] = lambda self, g, y: derivative(g, y, *y.inputs, **vars(self))
    members["__post_init__"] = _hold_plain_numbers
    fields = [
        (each.name, Any) if each.default is each.empty else (each.name, Any, each.default)
        for each in parameters
    ]
    op = make_dataclass(kind, fields, bases=(base,), namespace=members, eq=False, repr=False)
    return op, with_parameters(op, name)


def _hold_plain_numbers(op: TensorOp) -> None:
    for name, value in vars(op).items():
        if isinstance(value, _ARRAYS):
            try:
                setattr(op, name, plain_number(value))
            except TypeError as error:
                raise TypeError(f"{type(op).__name__}: {name}: {error}") from None


_ARRAYS = (Tensor, np.ndarray, np.generic)


def plain_number(setting: Any) -> Any:
    """A setting as a Python number: np.float64(2) times a float32 array would be float64."""
    if setting.__class__ is float or setting.__class__ is int:
        return setting
    if isinstance(setting, _ARRAYS):
        if isinstance(setting, Tensor) or setting.size != 1:
            raise TypeError(
                f"expected a number, got a {type(setting).__name__} of shape {setting.shape}: "
                "the item() of a tensor of one element is a number, without a gradient"
            )
        return setting.item()
    return setting


class _OneOperand(Protocol):  # a ufunc, as NumPy's types describe it
    @property
    def nin(self) -> Literal[1]: ...


class _TwoOperands(Protocol):
    @property
    def nin(self) -> Literal[2]: ...


class _ElementwiseRow(Protocol):
    """The type of `elementwise`: type checkers see the operands of a ufunc, too."""

    # in quotes: Python 3.11 cannot evaluate Row[[]]

    @overload
    def __call__(
        self, kind: str, name: str, compute: _OneOperand, derivative: Any, text: str
    ) -> "Row[[]]": ...
    @overload
    def __call__(
        self, kind: str, name: str, compute: _TwoOperands, derivative: Any, text: str
    ) -> "Row[[Any]]": ...
    @overload
    def __call__(
        self,
        kind: str,
        name: str,
        compute: Callable[Concatenate[Any, P], Any],
        derivative: Any,
        text: str,
    ) -> Row[P]: ...


elementwise: _ElementwiseRow = cast(Any, partial(stated, Elementwise))


def function_of(kind: type[TensorOp], function: Any, name: str | None = None) -> Any:
    """`function` with the name, the docstring and the module of an op's class."""
    function.__name__ = function.__qualname__ = name or kind.__name__.lower()
    function.__module__ = kind.__module__
    function.__doc__ = kind.__doc__
    return function


def integers(given: Any, name: str) -> tuple[Any, ...]:
    """An integer, NumPy's too, or several, as a tuple; errors say `name`."""
    if isinstance(given, int | np.integer):
        return (given,)
    try:
        return tuple(given)
    except TypeError:
        raise TypeError(f"{name}: expected an integer or several, got {given!r}") from None


def check_whole_numbers(array: Array, expected: str, hint: str = "") -> None:
    """Raise TypeError unless an array holds integers, or floats that all are whole.

    The text begins with `expected`, and ends with `hint` if there are fractions.
    """
    if array.dtype.kind in "iu":
        return
    if array.dtype.kind != "f":
        raise TypeError(f"{expected}, got {array.dtype}: use astype('int64')")
    with np.errstate(invalid="ignore"):  # infinity has no remainder
        is_whole = array % 1 == 0
    if not is_whole.all().item():
        fraction = to_numpy(array[~is_whole])[0]
        raise TypeError(f"{expected}, got {fraction} among {array.dtype} numbers{hint}")


def normalize_axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    """`axes` as a tuple of different axes from 0 to ndim - 1; None means all."""
    if axes is None:
        return tuple(range(ndim))
    given = integers(axes, "axes")
    for axis in given:
        if not isinstance(axis, int | np.integer):
            raise TypeError(f"an axis is an integer, got {axis!r}")
        if not -ndim <= axis < ndim:
            raise IndexError(f"axis {axis} is out of range for {ndim} axes")
    normalized = tuple(int(axis) % ndim for axis in given)
    if len(set(normalized)) < len(normalized):
        raise ValueError(f"axes {given} name an axis twice")
    return normalized


def normalize_axis(axis: int, ndim: int) -> int:
    """One axis, from 0 to ndim - 1."""
    axes = normalize_axes(integers(axis, "axis"), ndim)
    if len(axes) != 1:
        raise ValueError(f"expected one axis, got {axis!r}")
    return axes[0]


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that `shapes` broadcast to; else a ValueError with the shapes."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(
            f"shapes {' and '.join(map(str, shapes))} do not broadcast: counted from the last, "
            "axes must have equal lengths or length 1"
        ) from None


def unbroadcast(adjoint: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The adjoint of broadcasting `shape` to `adjoint.shape`: sums over the axes it repeated."""
    return adjoint if adjoint.shape == shape else adjoint._sum_to(shape)


@lru_cache
def repeated_axes(wide: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which broadcasting `shape` to `wide` repeats."""
    added = len(wide) - len(shape)
    stretched = [
        axis for axis, length in enumerate(shape, start=added) if length == 1 and wide[axis] != 1
    ]
    return (*range(added), *stretched)


def constant_like(tensor: Tensor, value: Any) -> Tensor:
    """A constant of `tensor`'s shape and dtype, filled with `value`."""
    data = tensor.cached_data
    if data is None:  # lazy, and not to be computed for its shape
        return Tensor.make_const(tensor.device.full(tensor.shape, value, tensor.dtype))
    return Tensor.make_const(np.full_like(data, value))


def or_zeros(found: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Derivatives, with zeros in the place of None."""
    pairs = zip(found, like, strict=True)
    return [constant_like(tensor, 0) if each is None else each for each, tensor in pairs]
