"""needle: a PyTorch-style deep learning framework in Python on NumPy."""

from . import autograd, ops
from .autograd import Op, Tensor, TensorOp, TensorTuple, TensorTupleOp, Value, lazy_mode, no_grad
from .device import Device, cpu, default_device
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
    "default_device",
    "lazy_mode",
    "no_grad",
    "ops",
    *ops.__all__,
]
