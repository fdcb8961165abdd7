"""needle: a PyTorch-style deep learning framework in Python on NumPy."""

from . import autograd, data, init, linalg, nn, ops, optim
from .autograd import Op, Tensor, TensorOp, TensorTuple, TensorTupleOp, Value, lazy_mode, no_grad
from .device import Device, cpu, default_device, manual_seed
from .ops import *

__all__ = [
    "Device",
    "Op",
    "Tensor",
    "TensorOp",
    "TensorTuple",
    "TensorTupleOp",
    "Value",
    "autograd",
    "cpu",
    "data",
    "default_device",
    "init",
    "lazy_mode",
    "linalg",
    "manual_seed",
    "nn",
    "no_grad",
    "ops",
    "optim",
    *ops.__all__,
]
