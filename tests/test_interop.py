"""Weights to and from PyTorch: outputs agree."""

import numpy as np
import pytest

import needle as ndl
from needle import nn

torch = pytest.importorskip("torch")


def models():
    """The same structure in both libraries."""
    ours = nn.Sequential(
        nn.Linear(1, 6), nn.BatchNorm1d(6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3, bias=False)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Linear(1, 6),
        torch.nn.BatchNorm1d(6),
        torch.nn.GELU(),
        torch.nn.LayerNorm(6),
        torch.nn.Linear(6, 3, bias=False),
    )
    return ours, theirs


def outputs(ours, theirs):
    images = np.random.default_rng(0).standard_normal((8, 1)).astype("float32")
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(images)).numpy()
    return ours.eval()(ndl.Tensor(images)).numpy(), expected


def test_from_torch():
    torch.manual_seed(0)
    ours, theirs = models()
    theirs(torch.randn(16, 1))  # moves the running statistics
    ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
    actual, expected = outputs(ours, theirs)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_to_torch():
    ndl.manual_seed(0)
    ours, theirs = models()
    ours(ndl.init.randn(16, 1))
    theirs.load_state_dict(ndl.interop.to_torch_state_dict(ours))
    actual, expected = outputs(ours, theirs)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_weights_do_not_share_memory_with_the_model():
    ours, _ = models()
    state = ndl.interop.to_torch_state_dict(ours)
    before = ours[4].weight.numpy()
    state["4.weight"].zero_()
    state["1.running_var"].zero_()
    np.testing.assert_array_equal(ours[4].weight.numpy(), before)
    assert (ours[1].running_var.numpy() == 1).all()


def test_another_structure_is_refused_with_every_difference():
    ours, _ = models()
    before = ours[0].weight.numpy()
    other = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.Linear(6, 3))
    with pytest.raises(ValueError, match=r"0\.weight") as refused:
        ndl.interop.load_torch_state_dict(ours, other.state_dict())
    assert "4.weight" in str(refused.value)
    np.testing.assert_array_equal(ours[0].weight.numpy(), before)
