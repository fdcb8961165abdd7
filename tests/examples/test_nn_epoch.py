"""nn_epoch against the same network in NumPy, its gradients derived by hand."""

import os

import numpy as np
import pytest
from nn_epoch import nn_epoch

import needle as ndl
from needle import data

# the real MNIST where this machine is said to have it
DATASETS = [data.Digits, *([data.MNIST] if os.environ.get("NEEDLE_DATA") else [])]


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_epoch_follows_numpy(dataset, numpy_epoch):
    train_set = dataset()
    X = train_set.images.reshape(len(train_set), -1)
    y = train_set.labels
    rng = np.random.default_rng(0)
    W1 = (rng.standard_normal((X.shape[1], 100)) / np.sqrt(100)).astype("float32")
    W2 = (rng.standard_normal((100, 10)) / np.sqrt(10)).astype("float32")
    losses = []
    ours = nn_epoch(
        X,
        y,
        ndl.Tensor(W1),
        ndl.Tensor(W2),
        lr=0.2,
        batch=100,
        on_batch=lambda loss, count: losses.append(loss),
    )
    *theirs, their_losses = numpy_epoch(X, y, W1, W2, lr=0.2, batch=100)
    assert len(losses) == -(-len(X) // 100)
    np.testing.assert_allclose(losses, their_losses, rtol=0, atol=1e-4)
    for mine, other, first in zip(ours, theirs, (W1, W2), strict=True):
        assert mine.dtype == "float32"
        np.testing.assert_allclose(mine.numpy(), other, rtol=0, atol=1e-4)
        assert np.abs(other - first).max() > 0.01


@pytest.fixture
def small():
    rng = np.random.default_rng(1)
    X = rng.random((7, 5), dtype="float32")
    y = np.array([0, 1, 2, 0, 1, 2, 0], "int8")
    return X, y, ndl.init.rand(5, 4), ndl.init.rand(4, 3)


def test_the_old_weights_stay_as_they_are(small):
    X, y, W1, W2 = small
    before = W1.numpy(), W2.numpy()
    after = nn_epoch(X, y, W1, W2)
    for old, kept, new in zip(before, (W1, W2), after, strict=True):
        np.testing.assert_array_equal(kept.numpy(), old)
        assert np.abs(new.numpy() - old).max() > 0


def test_the_last_batch_may_be_smaller_and_the_step_is_lr(small, numpy_epoch):
    X, y, W1, W2 = small
    ours = nn_epoch(X, y, W1, W2, lr=0.5, batch=3)
    *theirs, _ = numpy_epoch(X, y, W1.numpy(), W2.numpy(), lr=0.5, batch=3)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, atol=1e-6)


def test_a_callback_stops_the_pass(small):
    X, y, W1, W2 = small
    stopped = nn_epoch(X, y, W1, W2, batch=3, on_batch=lambda loss, count: True)
    first_step = nn_epoch(X[:3], y[:3], W1, W2, batch=3)
    for one, other in zip(stopped, first_step, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("batch", [0, -5])
def test_impossible_batches(small, batch):
    with pytest.raises(ValueError, match=f"batch is 1 or more, got {batch}"):
        nn_epoch(*small, batch=batch)


def test_images_and_labels_that_do_not_match(small):
    X, y, W1, W2 = small
    with pytest.raises(ValueError, match="got 7 and 6"):
        nn_epoch(X, y[:6], W1, W2)
