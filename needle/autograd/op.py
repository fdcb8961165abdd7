"""Op: how to compute arrays forward, and how to build the graph of the adjoint."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..device import default_device, device_of

__all__ = ["Array", "Op"]

Array = Any  # a NumPy array, or any type that speaks NumPy's protocols


class Op:
    """Base class of ops: what a node computes, and how its gradient is built.

    Subclass `TensorOp` (one output) or `TensorTupleOp` (several), define `compute` and
    `gradient`, and call the instance on Tensors. Everything that varies from call to call is an
    operand; an instance holds only parameters that are fixed for all its calls: numbers, strings,
    tuples, slices, dtypes.

    Example:
        >>> import needle as ndl
        >>> y = ndl.Tensor([1.0, 2.0]) * ndl.Tensor([3.0, 4.0])
        >>> isinstance(y.op, ndl.Op), type(y.op).__name__
        (True, 'EWiseMul')
    """

    value_type: ClassVar[type]

    differentiable = True
    """False: the result never requires a gradient (comparisons, argmax)."""

    constant_operands = slice(0, 0)
    """Those that get no gradient even where they require one: labels, indices, masks."""

    is_random = False
    """True: each call draws anew, through the device of its operands. Never merged or cached."""

    shares_memory = False
    """True: the result may be a view of the first operand."""

    materialize_grads = True
    """False: `gradient` of an op with several outputs gets a tuple with None, not a TensorTuple
    with zeros, for outputs that nothing was passed back to."""

    check: ClassVar[Any] = None
    """check(*arrays): raises where `compute` has no result for the *values* of the operands.

    Called before `compute`, which itself never branches on values."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.check is not None:  # other ops pay nothing for the possibility
            cls._run = cls._checked_run  # type: ignore[method-assign]
            cls.gradient_as_tuple = cls._checked_gradient  # type: ignore[method-assign]

    @property
    def key(self) -> Hashable:
        """Equal for two ops of a class with equal parameters; unlike any other if the op draws."""
        if self.is_random:
            return type(self), object()
        return type(self), tuple([(name, _frozen(vars(self)[name])) for name in sorted(vars(self))])

    # typed loosely, so that an op may state `compute = np.exp` or name its operands
    compute: Callable[..., Any]
    """compute(*arrays) -> array (or tuple of arrays): the op's value, by NumPy's functions only."""

    compute_into: ClassVar[Any] = None
    """compute_into(out, *arrays): the same, written into an array that an executor has for it."""

    def infer(self, *arrays: Any) -> Any:
        """`AbstractArray`s of the result from those of the operands: `compute` run on them."""
        return self.compute(*arrays)

    gradient: Callable[..., Any]
    """gradient(out_grad, node) -> Value or tuple: one adjoint per input, None where none is needed.

    `out_grad` is the adjoint of `node`, the value that this op made; `node.inputs` are its
    operands. Built from ops, so that it can be differentiated again."""

    tangent: Callable[..., Any]
    """tangent(input_tangents, node) -> Value or None: forward mode, the directional derivative.

    Takes one tangent per input, None for zero, and returns the tangent of `node`. An op
    that does not define it gets it from its `gradient` (see `needle.ops.tangents`)."""

    def gradient_as_tuple(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        """`gradient` as a tuple: per input an adjoint of its shape, or None."""
        adjoints = self.gradient(out_grad, node)
        if adjoints.__class__ is not tuple:
            adjoints = (adjoints,)
        if len(adjoints) != len(node.inputs):
            raise ValueError(
                f"{type(self).__name__}.gradient returned {len(adjoints)} adjoints "
                f"for {len(node.inputs)} inputs: return one per input, None where none is needed"
            )
        for adjoint, operand in zip(adjoints, node.inputs):  # noqa: B905 - counted above
            if adjoint is not None:
                try:
                    fits = adjoint.cached_data.shape == operand.cached_data.shape
                except AttributeError:  # it is lazy or a tuple, or no tensor
                    fits = False
                if not fits:
                    return self._fitted(adjoints, node)
        return adjoints

    def _fitted(self, adjoints: tuple[Any, ...], node: Any) -> tuple[Any, ...]:
        fitted = []
        for adjoint, operand in zip(adjoints, node.inputs, strict=True):
            if hasattr(adjoint, "cached_data"):
                adjoint = self._fit(adjoint, operand, node)
            elif not isinstance(adjoint, dict | None):  # a dict has entries of a tuple
                raise TypeError(
                    f"{type(self).__name__}.gradient returned {type(adjoint).__name__} as an "
                    "adjoint: build it from tensors by ops, or return None where none is needed"
                )
            fitted.append(adjoint)
        return tuple(fitted)

    def _fit(self, adjoint: Any, operand: Any, node: Any) -> Any:
        """`adjoint` in the shape of `operand`, or an error; may sum over broadcast axes first."""
        if adjoint.shape == operand.shape:
            return adjoint
        raise ValueError(
            f"{type(self).__name__}.gradient returned an adjoint of shape {adjoint.shape} "
            f"for an input of shape {operand.shape}: an adjoint has the shape of its input"
        )

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        kinds = (IndexError, TypeError, OverflowError, np.linalg.LinAlgError)
        kind = next((kind for kind in kinds if isinstance(cause, kind)), ValueError)
        operands = [each for each in arrays if hasattr(each, "shape")]
        places = {str(device_of(each, default_device())) for each in operands}
        if len(places) > 1:
            return kind(
                f"{type(self).__name__}: the operands live on {' and '.join(sorted(places))}: "
                "move them to one device with x.to(device)"
            )
        shapes = " and ".join(str(_shape(array)) for array in arrays)
        return kind(f"{type(self).__name__} of shape {shapes}: {self._reason(cause, *arrays)}")

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        """Why `compute` failed on these arrays, and what to do about it."""
        return str(cause)

    def _run(self, arrays: Sequence[Array]) -> Any:
        """`compute`, with an error that names the op and the shapes."""
        try:
            data = self.compute(*arrays)
        except (ValueError, TypeError, IndexError, OverflowError) as cause:
            error = cause if _is_of_user(cause) else self._error(cause, arrays)
            if error is cause:
                raise
            # an explanation replaces NumPy's error; any other shows where it came from
            raise error from (cause if str(error).endswith(str(cause)) else None)
        if data.__class__ is not np.ndarray and isinstance(data, np.generic):
            return np.asarray(data)  # NumPy gives a scalar object where the result has no axes
        return data

    def _checked(self, arrays: Sequence[Array]) -> None:
        """`check`, with an error that names the op and the shapes."""
        try:
            self.check(*arrays)
        except (ValueError, TypeError, IndexError, OverflowError) as cause:
            if _is_of_user(cause):
                raise
            raise self._error(cause, arrays) from None

    def _checked_run(self, arrays: Sequence[Array]) -> Any:
        self._checked(arrays)
        return Op._run(self, arrays)

    def _checked_gradient(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        if node.cached_data is None:  # lazy: adjoints may not need the value, but its check
            node.realize_cached_data()
        return Op.gradient_as_tuple(self, out_grad, node)


def _is_of_user(error: Exception) -> bool:
    """Whether an error says more than a text in an exception of Python or NumPy: it is let pass."""
    home = type(error).__module__.partition(".")[0]
    return home not in ("builtins", "numpy") or (home == "builtins" and len(error.args) > 1)


def _shape(array: Any) -> Any:
    return tuple(map(_shape, array)) if isinstance(array, tuple) else array.shape


def _frozen(parameter: Any) -> Hashable:
    """A parameter as part of a key: 1, 1.0 and True differ, as do 0.0 and -0.0; nan equals nan."""
    if isinstance(parameter, float):
        return float, repr(parameter)
    if isinstance(parameter, list | tuple):
        return tuple(map(_frozen, parameter))
    if isinstance(parameter, slice):
        return slice, _frozen((parameter.start, parameter.stop, parameter.step))
    if isinstance(parameter, dict):
        return dict, tuple([(name, _frozen(value)) for name, value in parameter.items()])
    return type(parameter), parameter
