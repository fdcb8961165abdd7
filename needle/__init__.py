"""needle: a PyTorch-style deep learning framework in Python on NumPy."""

from typing import TYPE_CHECKING

from . import autograd, data, init, nn, ops, optim
from ._lazy import attribute as __getattr__  # noqa: F401 - Python calls it
from .autograd import (
    Op,
    Tensor,
    TensorOp,
    TensorTuple,
    TensorTupleOp,
    Value,
    count_live_tensors,
    enable_grad,
    lazy_mode,
    no_grad,
)
from .device import Device, Generator, cpu, cuda, default_device, manual_seed
from .ops import *

if TYPE_CHECKING:  # the names that come through __getattr__
    from . import graph, interop, io, linalg, testing
    from .differentiation import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
    from .differentiation.anomaly import detect_anomaly
    from .differentiation.checkpoint import checkpoint
    from .graph.summary import summary
    from .io import load, save

__all__ = [
    "Device",
    "Generator",
    "Op",
    "Tensor",
    "TensorOp",
    "TensorTuple",
    "TensorTupleOp",
    "Value",
    "autograd",
    "checkpoint",
    "count_live_tensors",
    "cpu",
    "cuda",
    "data",
    "default_device",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "init",
    "interop",
    "io",
    "jacobian",
    "jvp",
    "lazy_mode",
    "linalg",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "save",
    "summary",
    "testing",
    "value_and_grad",
    "vjp",
    *ops.__all__,
]
