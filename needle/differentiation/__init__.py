"""Derivatives of functions: gradients, Jacobians and their products, of any order, in both modes.

The functions take functions of tensors; they nest, and do not change `.grad` of any tensor.
Arguments and results may be nested containers of tensors and Modules (see `tree`); derivatives have
the structure of the arguments that they are taken with respect to.
"""

from .anomaly import detect_anomaly
from .checkpoint import checkpoint
from .forward import jvp
from .jacobians import hessian, hvp, jacobian
from .reverse import grad, value_and_grad, vjp
from .vmap import vmap

__all__ = [
    "checkpoint", "detect_anomaly", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad",
    "vjp", "vmap",
]  # fmt: skip
