"""Optimizers, learning rate schedules and gradient clipping."""

from . import lr_scheduler
from .clipping import clip_grad_norm_, clip_grad_value_
from .lbfgs import LBFGS
from .lr_scheduler import *
from .optimizer import Optimizer
from .rules import Adagrad, Adam, AdamW, Lion, RMSprop
from .sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
    *lr_scheduler.__all__,
]
