"""Derivatives of functions: gradients, Jacobians and their products, of any order, both ways.

Each function here takes a function of tensors and gives a function, or values, of its derivative.
Arguments and results may be nested containers of tensors and Modules (see `tree`);
derivatives have the structure of what they are taken with respect to. They nest, and they leave
`.grad` of every tensor alone.
"""

from .anomaly import detect_anomaly
from .checkpoint import checkpoint
from .forward import jvp
from .jacobians import hessian, hvp, jacobian
from .reverse import grad, value_and_grad, vjp

__all__ = [
    "checkpoint", "detect_anomaly", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad",
    "vjp",
]  # fmt: skip
