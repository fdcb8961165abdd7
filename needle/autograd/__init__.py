"""The computational graph: values, the ops that make them, and reverse-mode differentiation.

A `Value` is a node. An `Op` computes arrays forward (`compute`) and writes the graph of its
adjoint out of other ops (`gradient`). `backward` walks the graph once, from the output to the
leaves. This package knows no op: `needle.ops` binds the operators of `Tensor` to its ops.
"""

from . import compatibility  # noqa: F401 - imported for what it does: LAZY_MODE, TENSOR_COUNTER
from .abstract import AbstractArray
from .assign import assign
from .hooks import Hook
from .modes import (
    accumulate_gradients,
    enable_grad,
    is_grad_enabled,
    lazy_mode,
    no_grad,
    set_grad_enabled,
)
from .op import Array, Op
from .reverse import (
    GradientReplacedWarning,
    clear_gradients,
    compute_adjoints,
    compute_gradient_of_variables,
    find_topo_sort,
)
from .tensor import Tensor, TensorOp, TensorTuple, TensorTupleOp
from .value import Value, count_live_tensors

__all__ = [
    "AbstractArray", "Array", "GradientReplacedWarning", "Hook", "Op", "Tensor", "TensorOp",
    "TensorTuple", "TensorTupleOp", "Value", "accumulate_gradients", "assign", "clear_gradients",
    "compute_adjoints", "compute_gradient_of_variables", "count_live_tensors", "enable_grad",
    "find_topo_sort", "is_grad_enabled", "lazy_mode", "no_grad", "set_grad_enabled",
]  # fmt: skip
