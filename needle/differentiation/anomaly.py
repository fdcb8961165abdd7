"""detect_anomaly: an error at the op that made the first NaN or infinity."""

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import modes

__all__ = ["detect_anomaly"]

_PACKAGE = str(Path(__file__).parents[1]) + os.sep


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Context manager: the first NaN or infinity raises an error, forward or backward.

    The error names the op (for a gradient, the op that was differentiated), the shapes of its
    inputs and the line of your code that called it. Every op takes longer: use it for debugging.

    Raises:
        FloatingPointError: at the op whose result, or whose adjoint, is not finite.

    Example:
        >>> import needle as ndl
        >>> with ndl.detect_anomaly():
        ...     ndl.sqrt(ndl.Tensor([0.0])).backward()
        Traceback (most recent call last):
            ...
        FloatingPointError: backward of Sqrt made ...
    """
    depth = 0  # of the gradients being computed: errors name the op differentiated, not their ops

    def watch(value: Any, op: Any, inputs: tuple[Any, ...]) -> None:
        vars(value)["created"] = f"created at {_user_line()}"
        if not depth:
            _check("", value.realize_cached_data(), op, inputs, value)

    def differentiate(out_grad: Any, node: Any) -> tuple[Any, ...]:
        nonlocal depth
        depth += 1
        try:
            adjoints = node.op.gradient_as_tuple(out_grad, node)
        finally:
            depth -= 1
        for adjoint in adjoints:
            # a dict has entries of a tuple's adjoint
            for entry in adjoint.values() if isinstance(adjoint, dict) else (adjoint,):
                if entry is not None:
                    _check("backward of ", entry.realize_cached_data(), node.op, node.inputs, node)
        return adjoints

    with (
        modes.override(modes.observers, (*modes.observers.get(), watch)),
        modes.override(modes.differentiate, differentiate),
        np.errstate(all="ignore"),  # errors say more than NumPy's warnings
    ):
        yield


def _check(phase: str, data: Any, op: Any, inputs: tuple[Any, ...], value: Any) -> None:
    for array in data if isinstance(data, tuple) else (data,):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            kind = "NaN" if np.isnan(array).any() else "infinity"
            shapes = ", ".join(str(operand.shape) for operand in inputs)
            where = vars(value).get("created", "created before detect_anomaly() began")
            raise FloatingPointError(
                f"{phase}{type(op).__name__} made {kind} from inputs of shape {shapes}, {where}"
            )


def _user_line() -> str:
    """The innermost line of the stack outside needle."""
    for frame, line in traceback.walk_stack(None):
        filename = frame.f_code.co_filename
        if not filename.startswith((_PACKAGE, "<frozen", contextlib.__file__)):
            return f"{filename}:{line} in {frame.f_code.co_name}"
    return "an unknown line"
