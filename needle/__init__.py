"""needle: a PyTorch-style deep learning framework in Python on NumPy."""

from . import autograd, data, files, graph, init, interop, linalg, nn, ops, optim, testing
from .anomaly import detect_anomaly
from .autograd import (
    Op,
    Tensor,
    TensorOp,
    TensorTuple,
    TensorTupleOp,
    Value,
    count_live_tensors,
    lazy_mode,
    no_grad,
)
from .checkpointing import checkpoint
from .device import Device, cpu, default_device, manual_seed
from .differentiation import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .modes import enable_grad
from .ops import *
from .saving import load, save
from .summary import summary

__all__ = [
    "Device",
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
    "data",
    "default_device",
    "detect_anomaly",
    "enable_grad",
    "files",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "init",
    "interop",
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
