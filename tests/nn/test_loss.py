"""Losses against PyTorch's, at extreme inputs, and on labels that do not fit."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 2), (8, 10), (3, 1)])
@pytest.mark.parametrize("scale", [1, 1e4])
def test_softmax_loss_is_torchs_cross_entropy(same_as_torch, shape, scale, dtype) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.RandomState(0)
    logits = (draw.randn(*shape) * scale).astype(dtype)
    labels = draw.randint(shape[1], size=shape[0])
    same_as_torch(nn.SoftmaxLoss(), torch.nn.CrossEntropyLoss(), logits, labels)


def test_softmax_loss_by_formula() -> None:
    logits = np.random.RandomState(0).randn(6, 4)
    labels = np.array([3, 0, 0, 1, 2, 2])
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(6), labels])
    loss = nn.SoftmaxLoss()(ndl.Tensor(logits), ndl.Tensor(labels))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_labels_of_any_integer_dtype(dtype) -> None:
    loss = nn.SoftmaxLoss()(ndl.init.zeros(3, 4), ndl.Tensor([0, 1, 3], dtype=dtype))
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(np.log(4), rel=1e-6)


def test_softmax_loss_makes_no_one_hot_matrix() -> None:
    logits = ndl.Tensor(np.zeros((2, 1_000_000), np.float32))
    loss = nn.SoftmaxLoss()(logits, ndl.Tensor([0, 999_999]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1e6), rel=1e-5)
    assert logits.grad.shape == logits.shape


BAD_LABELS = {
    "too large": (np.array([0, 4, 1]), ValueError, "4.*labels must be 0 to 3"),
    "negative": (np.array([0, -1, 1]), ValueError, "-1.*labels must be 0 to 3"),
    "of floats": (np.array([0.0, 1.0, 2.0]), TypeError, "integer labels, got float64"),
    "too few": (np.array([0, 1]), ValueError, r"3 labels.*\(2,\)"),
    "one-hot": (np.eye(4, dtype=int)[:3], ValueError, r"3 labels.*\(3, 4\)"),
}


@pytest.mark.parametrize(("labels", "error", "text"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_do_not_fit(labels, error, text) -> None:
    with pytest.raises(error, match=text):
        nn.SoftmaxLoss()(ndl.init.zeros(3, 4), ndl.Tensor(labels))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 3, 4)])
def test_logits_that_are_no_batch(shape) -> None:
    with pytest.raises(ValueError, match=r"\(batch, classes\)"):
        nn.SoftmaxLoss()(ndl.init.zeros(*shape), ndl.Tensor(np.zeros(shape[0], int)))
