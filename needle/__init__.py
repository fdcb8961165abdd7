"""needle: a PyTorch-style deep learning framework in Python on NumPy."""

from typing import TYPE_CHECKING

from numpy import (
    float16 as float16, float32 as float32, float64 as float64, int8 as int8, int16 as int16,
    int32 as int32, int64 as int64, uint8 as uint8,
)  # fmt: skip

# `as` makes a name public, for type checkers as for `__all__`
from . import autograd as autograd, init as init, nn as nn, ops as ops
from .autograd import (
    GradientReplacedWarning as GradientReplacedWarning, Op as Op, Tensor as Tensor,
    TensorOp as TensorOp, TensorTuple as TensorTuple, TensorTupleOp as TensorTupleOp,
    Value as Value, accumulate_gradients as accumulate_gradients,
    count_live_tensors as count_live_tensors, enable_grad as enable_grad,
    is_grad_enabled as is_grad_enabled, lazy_mode as lazy_mode, no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)  # fmt: skip
from .device import (
    Device as Device, Generator as Generator, cpu as cpu, cuda as cuda,
    default_device as default_device, manual_seed as manual_seed,
)  # fmt: skip
from .init import (
    arange as arange, as_tensor as as_tensor, empty as empty, empty_like as empty_like, eye as eye,
    from_numpy as from_numpy, full as full, full_like as full_like, linspace as linspace,
    ones as ones, ones_like as ones_like, rand as rand, rand_like as rand_like,
    randint as randint, randn as randn, randn_like as randn_like, randperm as randperm,
    tensor as tensor, zeros as zeros, zeros_like as zeros_like,
)  # fmt: skip
from .ops import *

if TYPE_CHECKING:  # imported on first use
    from . import (
        data as data, distributed as distributed, graph as graph, interop as interop, io as io,
        linalg as linalg, optim as optim, testing as testing, training as training,
    )  # fmt: skip
    from .compiler import compile as compile
    from .differentiation import (
        checkpoint as checkpoint, detect_anomaly as detect_anomaly, grad as grad,
        hessian as hessian, hvp as hvp, jacobian as jacobian, jvp as jvp,
        value_and_grad as value_and_grad, vjp as vjp, vmap as vmap,
    )  # fmt: skip
    from .graph.summary import summary as summary
    from .io import load as load, save as save
    from .nn.stateless import functional_call as functional_call
else:
    from . import _missing as _missing  # makes errors for names of PyTorch
    from ._lazy import attach as _attach

    __getattr__, __dir__ = _attach(__name__)

__version__ = "0.1.0"
