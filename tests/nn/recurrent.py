"""Recurrent layers in needle and in PyTorch."""

import copy

import numpy as np
import pytest

import needle as ndl
from needle import nn

KINDS = ("RNN", "LSTM", "GRU")


def pair(kind, dtype="float64", **options):
    """needle's layer (3 → 4) and PyTorch's with the same weights."""
    torch = pytest.importorskip("torch")
    ours = getattr(nn, kind)(3, 4, **options, dtype=dtype)
    theirs = getattr(torch.nn, kind)(3, 4, **options, dtype=getattr(torch, dtype))
    theirs.load_state_dict(ndl.interop.to_torch_state_dict(ours))
    return ours, theirs


def states_of(layer, batch=2):
    """Random initial states."""
    count = len(layer.cells)
    sizes = [layer.proj_size or 4, 4] if isinstance(layer, nn.LSTM) else [4]
    return [np.random.randn(count, batch, size) for size in sizes]


def as_state(tensors):
    return tuple(tensors) if len(tensors) == 2 else tensors[0]


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def objective(results):
    """A number that depends on each of the results in another way."""
    return sum(((k + 1) * (y**2).sum() + (y**3).sum() for k, y in enumerate(results)), start=0.0)


def same(ours, theirs, tolerance=1e-10):
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), tolerance, tolerance)


def gradients_of(theirs, ours):
    """The gradients of PyTorch's layer in the order and layout of ours."""
    state = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    holder = copy.deepcopy(ours)
    ndl.interop.load_torch_state_dict(holder, state)
    return [parameter.numpy() for parameter in holder.parameters()]
