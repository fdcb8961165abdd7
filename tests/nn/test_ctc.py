"""CTC loss against PyTorch's and against all paths; lengths and labels that do not fit."""

import itertools

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F
from needle.testing import gradcheck

STEPS, BATCH, CLASSES = 7, 4, 5
TARGETS = np.array([[1, 2, 2], [4, 4, -9], [-9, -9, -9], [3, 1, 3]])
LENGTHS, SIZES = [7, 6, 5, 2], [3, 2, 0, 3]  # the last does not fit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("blank", [0, 2])
def test_loss_and_gradient_are_torchs(same_as_torch, reduction, blank, dtype) -> None:
    torch = pytest.importorskip("torch")
    targets = np.where(blank == TARGETS, 0 if blank else 1, TARGETS)
    settings = blank, reduction, True
    ours, theirs = nn.CTCLoss(*settings), torch.nn.CTCLoss(*settings)
    lengths, sizes = map(torch.tensor, (LENGTHS, SIZES))
    same_as_torch(
        lambda x: ours(F.log_softmax(x), Tensor(targets), LENGTHS, SIZES),
        lambda x: theirs(x.log_softmax(-1), torch.tensor(targets), lengths, sizes),
        np.random.randn(STEPS, BATCH, CLASSES).astype(dtype),
    )


def test_second_derivatives() -> None:
    x = Tensor(np.random.randn(4, 2, 3))

    def function(x):
        return F.ctc_loss(F.log_softmax(x), Tensor([[1, 1], [2, 0]]), [4, 3], [2, 1])

    assert gradcheck(function, x, order=2)


def test_it_is_the_sum_of_all_paths() -> None:
    log_probs = F.log_softmax(Tensor(np.random.randn(4, 3)))
    scores, total = log_probs.numpy(), 0.0
    for path in itertools.product(range(3), repeat=4):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label] == [1, 2]:
            total += np.exp(sum(scores[step, label] for step, label in enumerate(path)))
    loss = F.ctc_loss(log_probs, Tensor([1, 2]), [4], [2], reduction="none")
    assert loss.shape == ()
    assert loss.item() == pytest.approx(-np.log(total))


def test_targets_one_after_another() -> None:
    log_probs = F.log_softmax(Tensor(np.random.randn(STEPS, BATCH, CLASSES)))
    padded = F.ctc_loss(log_probs, Tensor(TARGETS), LENGTHS, SIZES, zero_infinity=True)
    flat = np.concatenate([row[:size] for row, size in zip(TARGETS, SIZES, strict=True)])
    joined = F.ctc_loss(log_probs, Tensor(flat), LENGTHS, Tensor(SIZES), zero_infinity=True)
    assert joined.item() == padded.item()


def test_a_target_that_does_not_fit() -> None:
    x = Tensor(np.random.randn(STEPS, BATCH, CLASSES))
    losses = F.ctc_loss(F.log_softmax(x), Tensor(TARGETS), LENGTHS, SIZES, reduction="none")
    assert np.isinf(losses.numpy()).tolist() == [False, False, False, True]
    losses.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert (x.grad.numpy()[:, 3] == 0).all()


def test_probabilities_of_zero() -> None:
    scores = np.log(
        np.eye(3)[[0, 1, 0]], where=np.eye(3)[[0, 1, 0]] > 0, out=np.full((3, 3), -np.inf)
    )
    x = Tensor(scores)
    loss = F.ctc_loss(x, Tensor([1]), [3], [1])
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(x.grad.numpy(), -np.eye(3)[[0, 1, 0]])


X = ndl.init.zeros(STEPS, 2, CLASSES)


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        (
            (X, [[1], [2]], [7, 8], [1, 1]),
            ValueError,
            "input_lengths .* 1 to 7, got 8 for sequence 1",
        ),
        ((X, [[1], [2]], [0, 7], [1, 1]), ValueError, "got 0 for sequence 0"),
        ((X, [[1], [2]], [7, 7], [1, 2]), ValueError, "target_lengths .* 0 to 1, got 2"),
        ((X, [[1], [2]], [7, 7], [1, -1]), ValueError, "got -1 for sequence 1"),
        ((X, [[1], [5]], [7, 7], [1, 1]), ValueError, r"0 to 4 .*, got 5 at \(1, 0\)"),
        ((X, [[1], [0]], [7, 7], [1, 1]), ValueError, r"the blank, 0, got 0 at \(1, 0\)"),
        ((X, [[1], [0.5]], [7, 7], [1, 1]), TypeError, "targets are whole numbers, got 0.5"),
        ((X, [1, 2, 3], [7, 7], [1, 1]), ValueError, r"all 2 labels one after another, got \(3,\)"),
        ((X, [[1], [2]], [7], [1, 1]), ValueError, "expected 2 input_lengths"),
        ((X, [[1], [2]], [7, 7], [1, 1], 5), ValueError, "blank 5 is none of 5 classes"),
        ((X[:0], [[1], [2]], [7, 7], [1, 1]), ValueError, "at least one step"),
        ((X, [[1], [2]], [7, 7], [1, 1], 0, "max"), ValueError, "reduction 'max'"),
    ],
)
def test_errors(args, kind, text) -> None:
    log_probs, targets, *others = args
    with pytest.raises(kind, match=text):
        F.ctc_loss(log_probs, Tensor(targets), *others)
