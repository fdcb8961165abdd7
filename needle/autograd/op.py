"""Op: how to compute arrays forward, and how to build the graph of the adjoint."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

__all__ = ["Array", "Op"]

Array = Any  # a NumPy array, or any type that speaks NumPy's protocols


def _shape(array: Any) -> Any:
    return tuple(map(_shape, array)) if isinstance(array, tuple) else array.shape


class Op:
    """How arrays are computed forward, and how the graph of the adjoint is built.

    Subclass `TensorOp` (or `TensorTupleOp`), define `compute` and `gradient`, and call the
    instance on Tensors; parameters that are not differentiated belong in the instance.
    """

    value_type: ClassVar[type]
    differentiable = True  # False: the result never requires a gradient (comparisons, argmax)

    def __call__(self, *args: Any) -> Any:
        return self.value_type.make_from_op(self, args)  # type: ignore[attr-defined]

    # typed loosely, so that an op may state `compute = np.exp` or name its operands
    compute: Callable[..., Any]
    """compute(*arrays) -> array (or tuple of arrays): the op's value, by NumPy's functions only."""

    check: Callable[..., None] | None = None
    """check(*arrays), optional: raises if the operands hold values that `compute` is not for."""

    gradient: Callable[..., Any]
    """gradient(out_grad, node) -> Value or tuple: one adjoint an input, None where none is needed.

    `out_grad` is the adjoint of `node`, the value that this op made; `node.inputs` are its
    operands. Built from ops, so that it can be differentiated again."""

    tangent: Callable[..., Any]
    """tangent(input_tangents, node) -> Value or None: forward mode, the directional derivative.

    One tangent an input comes in, None standing for zero; the tangent of `node` goes out. An op
    that does not define it gets it from its `gradient` (see `needle.ops.tangents`)."""

    def gradient_as_tuple(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        """`gradient` as a tuple with one adjoint an input, in the input's shape, or None.

        Raises:
            ValueError: `gradient` gave another number of adjoints, or one of another shape.
            TypeError: it gave something that is no Value.
        """
        adjoints = self.gradient(out_grad, node)
        if adjoints.__class__ is not tuple:
            adjoints = (adjoints,)
        if len(adjoints) != len(node.inputs):
            raise ValueError(
                f"{type(self).__name__}.gradient returned {len(adjoints)} adjoints "
                f"for {len(node.inputs)} inputs: return one an input, None where none is needed"
            )
        for adjoint, operand in zip(adjoints, node.inputs):  # noqa: B905 - counted above
            if adjoint is None:
                continue
            try:
                data = adjoint.cached_data
            except AttributeError:
                raise TypeError(
                    f"{type(self).__name__}.gradient returned {type(adjoint).__name__} as an "
                    "adjoint: build it from tensors by ops, or return None where none is needed"
                ) from None
            if data.__class__ is tuple:
                data = adjoint  # which tells the shapes of its entries
            if data is None or data.shape != operand.shape:
                fit = self._fit
                pairs = zip(adjoints, node.inputs, strict=True)
                return tuple(
                    [each if each is None else fit(each, operand, node) for each, operand in pairs]
                )
        return adjoints

    def _fit(self, adjoint: Any, operand: Any, node: Any) -> Any:
        """`adjoint` in the shape of `operand`. A lazy one of needle's is taken at its word."""
        is_trusted = adjoint.cached_data is None and self._is_ours()
        if is_trusted or adjoint.shape == operand.shape:
            return adjoint
        raise ValueError(
            f"{type(self).__name__}.gradient returned an adjoint of shape {adjoint.shape} "
            f"for an input of shape {operand.shape}: an adjoint has the shape of its input"
        )

    @classmethod
    def _is_ours(cls) -> bool:
        """Whether the op is needle's own, and no user's."""
        return cls.__module__.startswith("needle.")

    def _error(self, cause: Exception, arrays: Sequence[Array]) -> Exception:
        kinds = (IndexError, TypeError, OverflowError)
        kind = next((kind for kind in kinds if isinstance(cause, kind)), ValueError)
        shapes = " and ".join(str(_shape(array)) for array in arrays)
        return kind(f"{type(self).__name__} of shape {shapes}: {self._reason(cause, *arrays)}")

    def _reason(self, cause: Exception, *arrays: Array) -> str:
        """Why `compute` failed on these arrays, and what to do about it."""
        return str(cause)

    def _run(self, arrays: Sequence[Array]) -> Any:
        """`compute`, with an error that names the op and the shapes."""
        try:
            if self.check is not None:
                self.check(*arrays)
            data = self.compute(*arrays)
        except (ValueError, TypeError, IndexError, OverflowError) as cause:
            raise self._error(cause, arrays) from (None if self._is_ours() else cause)
        if data.__class__ is not np.ndarray and isinstance(data, np.generic):
            return np.asarray(data)  # NumPy gives a scalar object where the result has no axes
        return data
