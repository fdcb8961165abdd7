"""Modules: layers with parameters, containers and losses."""

from .activation import ReLU, Sigmoid, Tanh
from .container import Residual, Sequential
from .linear import Flatten, Identity, Linear
from .loss import SoftmaxLoss
from .module import Module, Parameter

__all__ = [
    "Flatten",
    "Identity",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SoftmaxLoss",
    "Tanh",
]
