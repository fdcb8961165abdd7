"""Losses against PyTorch's, at extreme inputs, to second order, and on targets that do not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn
from needle.testing import gradcheck

REDUCTIONS = ["mean", "sum", "none"]
DTYPES = ["float32", "float64"]

# --- SoftmaxLoss


@pytest.mark.parametrize("dtype", DTYPES)
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


@pytest.mark.parametrize("loss", [nn.SoftmaxLoss(), nn.CrossEntropyLoss()])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_labels_of_any_integer_dtype(loss, dtype) -> None:
    value = loss(ndl.init.zeros(3, 4), ndl.Tensor([0, 1, 3], dtype=dtype))
    assert value.dtype == np.float32
    assert value.item() == pytest.approx(np.log(4), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("loss", [nn.SoftmaxLoss(), nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_class_numbers_that_came_as_floats(loss, dtype, mode) -> None:
    draw = np.random.RandomState(0)
    scores, labels = draw.randn(4, 5), np.array([4, 0, 0, 2])
    x, same = ndl.Tensor(scores), ndl.Tensor(scores)
    of_floats = loss(x**2, ndl.Tensor(labels, dtype=dtype))
    of_integers = loss(same**2, ndl.Tensor(labels))
    assert of_floats.item() == of_integers.item()
    of_floats.backward()
    of_integers.backward()
    np.testing.assert_array_equal(x.grad.numpy(), same.grad.numpy())
    (x.grad**2).sum().backward()  # to second order, too
    (same.grad**2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), same.grad.numpy())


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 4), (2,)])
def test_floats_are_probabilities_in_the_shape_of_the_logits_alone(shape) -> None:
    logits = ndl.init.zeros(*shape)
    axis = min(1, len(shape) - 1)
    numbers = ndl.init.ones(*shape[:axis], *shape[axis + 1 :])
    assert nn.CrossEntropyLoss()(logits, numbers).item() == pytest.approx(np.log(2))
    certain_of_all = nn.CrossEntropyLoss()(logits, ndl.init.ones(*shape))
    assert certain_of_all.item() == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_logits_that_are_no_floats(dtype) -> None:
    values = np.array([[0, 1], [1, 0]] if dtype == "bool" else [[1, 2], [3, 120]], dtype)
    labels = ndl.Tensor([0, 1])
    for loss in (nn.SoftmaxLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)):
        expected = loss(ndl.Tensor(values, dtype="float64"), labels).item()
        assert loss(ndl.Tensor(values), labels).item() == pytest.approx(expected, rel=1e-12)


def test_softmax_loss_makes_no_one_hot_matrix() -> None:
    logits = ndl.Tensor(np.zeros((2, 1_000_000), np.float32))
    loss = nn.SoftmaxLoss()(logits, ndl.Tensor([0, 999_999]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1e6), rel=1e-5)
    assert logits.grad.shape == logits.shape


# --- class numbers

SCORES = [(5, 3), (3,), (2, 3, 4), (2, 3, 2, 2)]


def scores_and_labels(shape, dtype="float64"):
    draw = np.random.RandomState(0)
    axis = min(1, len(shape) - 1)
    labels = draw.randint(shape[axis], size=shape[:axis] + shape[axis + 1 :])
    return draw.randn(*shape).astype(dtype), np.asarray(labels)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SCORES)
def test_cross_entropy_is_torchs(
    same_as_torch, shape, smoothing, ignore_index, weighted, reduction, dtype
) -> None:
    torch = pytest.importorskip("torch")
    scores, labels = scores_and_labels(shape, dtype)
    if (labels == ignore_index).all():
        return  # nothing to take the mean of
    weight = np.array([0.5, 2.0, 1.0], dtype) if weighted else None
    options = {
        "ignore_index": ignore_index,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }
    same_as_torch(
        nn.CrossEntropyLoss(None if weight is None else ndl.Tensor(weight), **options),
        torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), **options),
        scores,
        labels,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("shape", SCORES)
def test_nll_is_torchs(same_as_torch, shape, ignore_index, weighted, reduction) -> None:
    torch = pytest.importorskip("torch")
    scores, labels = scores_and_labels(shape)
    if (labels == ignore_index).all():
        return
    weight = np.array([0.5, 2.0, 1.0]) if weighted else None
    options = {"ignore_index": ignore_index, "reduction": reduction}
    same_as_torch(
        nn.NLLLoss(None if weight is None else ndl.Tensor(weight), **options),
        torch.nn.NLLLoss(None if weight is None else torch.tensor(weight), **options),
        scores,
        labels,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", SCORES)
def test_cross_entropy_of_probabilities_is_torchs(
    same_as_torch, shape, smoothing, weighted, reduction, dtype
) -> None:
    torch = pytest.importorskip("torch")
    scores, _ = scores_and_labels(shape, dtype)
    target = np.exp(scores[..., ::-1])
    target /= target.sum(min(1, scores.ndim - 1), keepdims=True)
    weight = np.array([0.5, 2.0, 1.0], dtype) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}
    same_as_torch(
        nn.CrossEntropyLoss(None if weight is None else ndl.Tensor(weight), **options),
        torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), **options),
        scores,
        target,
    )


def test_cross_entropy_of_class_numbers_and_of_certainties_agree() -> None:
    scores, labels = scores_and_labels((5, 3))
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    certain = ndl.Tensor(np.eye(3)[labels])
    of_numbers = loss(ndl.Tensor(scores), ndl.Tensor(labels)).item()
    assert of_numbers == pytest.approx(loss(ndl.Tensor(scores), certain).item(), rel=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": ndl.init.ones(3)}])
def test_no_labels(options, reduction) -> None:
    loss = nn.CrossEntropyLoss(reduction=reduction, **options)
    arguments = ndl.init.zeros(0, 3), ndl.Tensor(np.zeros(0, int))
    if reduction == "mean":
        with pytest.raises(ValueError, match="the mean of no losses"):
            loss(*arguments)
    else:
        np.testing.assert_array_equal(loss(*arguments).numpy(), [] if reduction == "none" else 0)


def test_a_weight_is_a_buffer() -> None:
    loss = nn.CrossEntropyLoss(ndl.Tensor([1.0, 2.0]))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.parameters() == []
    assert not loss.weight.requires_grad
    assert loss.float().weight.dtype == np.float32


# --- two tensors of one shape

PAIRS = {
    "MSELoss": {},
    "L1Loss": {},
    "SmoothL1Loss": {},
    "SmoothL1Loss beta": {"beta": 0.3},
    "SmoothL1Loss beta 0": {"beta": 0.0},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4)])
@pytest.mark.parametrize("name", PAIRS)
def test_loss_of_pairs_is_torchs(same_as_torch, name, shape, reduction, dtype) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.RandomState(0)
    x, target = (np.asarray(draw.randn(*shape), dtype) for _ in range(2))
    options = {"reduction": reduction, **PAIRS[name]}
    kind = name.split()[0]
    same_as_torch(getattr(nn, kind)(**options), getattr(torch.nn, kind)(**options), x, target)


@pytest.mark.parametrize("name", PAIRS)
def test_equal_pairs_lose_nothing(name) -> None:
    x = ndl.Tensor(np.arange(3.0))
    loss = getattr(nn, name.split()[0])(**PAIRS[name])(x, x.detach())
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(x.grad.numpy(), 0)


@given(
    x=st.lists(st.floats(-100, 100), min_size=1, max_size=6),
    shift=st.floats(-3, 3),
    beta=st.floats(0.01, 5),
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_smooth_l1_by_formula(x, shift, beta) -> None:
    values = np.array(x)
    target = values + np.linspace(-2, 2, values.size) * shift
    distance = abs(values - target)
    expected = np.where(distance < beta, distance**2 / (2 * beta), distance - beta / 2)
    loss = nn.SmoothL1Loss("none", beta=beta)(ndl.Tensor(values), ndl.Tensor(target))
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float64"])
def test_a_loss_has_the_dtype_of_the_prediction(kind, dtype) -> None:
    values, target = np.array([0.25, 0.5, 0.75], "float32"), np.array([0, 1, 1])
    x, same = ndl.Tensor(values), ndl.Tensor(values)
    loss = kind()(x, ndl.Tensor(target, dtype=dtype))
    expected = kind()(same, ndl.Tensor(target, dtype="float32"))
    assert loss.dtype == np.float32
    assert loss.item() == expected.item()
    loss.backward()
    expected.backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), same.grad.numpy())


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss])
def test_small_integers_do_not_wrap_around(kind) -> None:
    small, wide = (ndl.Tensor([[1, 200], [3, 4]], dtype=dtype) for dtype in ("uint8", "float64"))
    other = ndl.Tensor([[200, 1], [4, 3]], dtype="uint8")
    assert kind()(small, other).item() == kind()(wide, other).item()


def test_a_target_may_be_an_array_or_a_list() -> None:
    x = ndl.Tensor([1.0, 2.0])
    assert nn.MSELoss()(x, [0.0, 0.0]).item() == nn.MSELoss()(x, np.zeros(2)).item() == 2.5
    logits = ndl.init.zeros(2, 4)
    for target in ([1, 3], np.array([1, 3])):
        assert nn.CrossEntropyLoss()(logits, target).item() == pytest.approx(np.log(4))


# --- probabilities


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_bce_is_torchs(same_as_torch, weighted, reduction, dtype) -> None:
    torch = pytest.importorskip("torch")
    p = np.array([0.2, 0.5, 0.9, 1e-6], dtype)
    target = np.array([0, 1, 0.3, 1], dtype)
    weight = np.array([0.5, 2, 1, 3], dtype) if weighted else None
    ours = nn.BCELoss(None if weight is None else ndl.Tensor(weight), reduction)
    theirs = torch.nn.BCELoss(None if weight is None else torch.tensor(weight), reduction=reduction)
    same_as_torch(ours, theirs, p, target)


def test_bce_at_0_and_1(same_as_torch) -> None:
    torch = pytest.importorskip("torch")
    p = np.array([0, 0, 1, 1], "float32")
    target = np.array([0, 1, 0, 1], "float32")
    loss = nn.BCELoss(reduction="none")
    np.testing.assert_array_equal(loss(ndl.Tensor(p), ndl.Tensor(target)).numpy(), [0, 100, 100, 0])
    # there PyTorch's gradient of the target is infinite, needle's is not
    constant = ndl.Tensor(target), torch.tensor(target)
    same_as_torch(
        lambda p: loss(p, constant[0]),
        lambda p: torch.nn.BCELoss(reduction="none")(p, constant[1]),
        p,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_keeps_small_losses(dtype) -> None:
    p = np.array([1e-6, 1e-10, 1e-30], dtype)
    loss = nn.BCELoss(reduction="none")(ndl.Tensor(p), ndl.Tensor(np.zeros(3, dtype)))
    np.testing.assert_allclose(loss.numpy(), p, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [(), ("weight",), ("pos_weight",), ("weight", "pos_weight")])
def test_bce_with_logits_is_torchs_also_at_extremes(
    same_as_torch, options, reduction, dtype
) -> None:
    torch = pytest.importorskip("torch")
    logits = np.array([[-1e4, 1e4, -1e4, 1e4], [-30, 30, -30, 30], [0, 0, 1.5, -0.5]], dtype)
    target = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0.3, 0.7]], dtype)
    weight = np.array([0.5, 2, 1, 3], dtype)
    same_as_torch(
        nn.BCEWithLogitsLoss(reduction=reduction, **{name: ndl.Tensor(weight) for name in options}),
        torch.nn.BCEWithLogitsLoss(
            reduction=reduction, **{name: torch.tensor(weight) for name in options}
        ),
        logits,
        target,
    )


def test_bce_with_logits_keeps_small_losses() -> None:
    loss = nn.BCEWithLogitsLoss(reduction="none")
    value = loss(ndl.Tensor([-40.0, 40.0]), ndl.Tensor([0.0, 1.0])).numpy()
    np.testing.assert_allclose(value, np.exp(-40), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # PyTorch doubts its own mean
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_divergence_is_torchs(same_as_torch, log_target, reduction, dtype) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.RandomState(0)
    x, target = (np.log(draw.dirichlet(np.ones(4), 3)).astype(dtype) for _ in range(2))
    options = {"reduction": reduction, "log_target": log_target}
    ours, theirs = nn.KLDivLoss(**options), torch.nn.KLDivLoss(**options)
    if log_target:
        same_as_torch(ours, theirs, x, target)
    else:
        target = np.exp(target)
        target[0] = [1, 0, 0, 0]  # what is impossible loses nothing
        constant = ndl.Tensor(target), torch.tensor(target)
        same_as_torch(lambda x: ours(x, constant[0]), lambda x: theirs(x, constant[1]), x)


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_divergence_of_what_is_impossible(log_target) -> None:
    # twice impossible loses nothing; impossible to the model alone, everything
    x = ndl.Tensor([[-np.inf, 0.0], [0.0, -np.inf]])
    target = np.array([[0.0, 1.0], [1.0, 0.0]])
    if log_target:
        target = np.log(target, out=np.full_like(target, -np.inf), where=target > 0)
    t = ndl.Tensor(target)
    loss = nn.KLDivLoss("none", log_target)(x, t)
    np.testing.assert_array_equal(loss.numpy(), np.zeros((2, 2)))
    loss.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, -1], [-1, 0]])
    assert np.isfinite(t.grad.numpy()).all()
    half = ndl.Tensor(np.log([0.5, 0.5]) if log_target else [0.5, 0.5])
    assert nn.KLDivLoss("sum", log_target)(x[0], half).item() == np.inf


def test_kl_divergence_of_a_number_and_of_nothing() -> None:
    loss = nn.KLDivLoss("batchmean")
    assert loss(ndl.init.zeros(), ndl.init.ones()).item() == 0
    with pytest.raises(ValueError, match="the mean of no losses"):
        loss(ndl.init.zeros(0, 3), ndl.init.zeros(0, 3))


# --- to second order

DRAW = np.random.RandomState(0)
P, Q = (DRAW.uniform(0.1, 0.9, (2, 3)) for _ in range(2))
X, T = (DRAW.randn(2, 3) for _ in range(2))
LABELS = np.array([2, 0])
SECOND = {
    "cross entropy": (lambda x: nn.CrossEntropyLoss()(x, ndl.Tensor(LABELS)), [X]),
    "smoothed": (
        lambda x: nn.CrossEntropyLoss(label_smoothing=0.2)(x, ndl.Tensor(LABELS)),
        [X],
    ),
    "of probabilities": (nn.CrossEntropyLoss(), [X, P]),
    "nll": (lambda x: nn.NLLLoss()(x**2, ndl.Tensor(LABELS)), [X]),
    "mse": (nn.MSELoss(), [X, T]),
    "l1": (lambda x, t: nn.L1Loss()(x**2, t), [X + 3, T]),
    "smooth l1": (nn.SmoothL1Loss(), [X, T]),
    "bce": (nn.BCELoss(), [P, Q]),
    "bce with logits": (nn.BCEWithLogitsLoss(), [X, P]),
    "kl": (nn.KLDivLoss(), [X, P]),
    "kl of logarithms": (nn.KLDivLoss(log_target=True), [X, T]),
}


@pytest.mark.parametrize(("loss", "arrays"), SECOND.values(), ids=SECOND)
def test_second_derivative(loss, arrays) -> None:
    assert gradcheck(loss, tuple(ndl.Tensor(array) for array in arrays), order=2)


# --- what does not fit

BAD_LABELS = {
    "too large": (np.array([0, 4, 1]), ValueError, "4.*0 to 3"),
    "negative": (np.array([0, -1, 1]), ValueError, "-1.*0 to 3"),
    "fractions": (np.array([0.0, 1.5, 2.0]), TypeError, r"whole, got 1\.5 among float64 labels"),
    "not a number": (np.array([0.0, np.nan, 2.0]), TypeError, "got nan among"),
    "infinite": (np.array([0.0, 1.0, np.inf]), TypeError, "got inf among"),
    "too large floats": (np.array([0.0, 4.0, 1.0]), ValueError, "4.*0 to 3"),
    "truths": (np.array([True, False, True]), TypeError, "class numbers, got bool"),
    "too few": (np.array([0, 1]), ValueError, r"\(3, 4\)"),
    "one-hot": (np.eye(4, dtype=int)[:3], ValueError, r"\(3, 4\)"),
}


@pytest.mark.parametrize("loss", [nn.SoftmaxLoss(), nn.CrossEntropyLoss(), nn.NLLLoss()])
@pytest.mark.parametrize(("labels", "error", "text"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_do_not_fit(loss, labels, error, text) -> None:
    with pytest.raises(error, match=text):
        loss(ndl.init.zeros(3, 4), ndl.Tensor(labels))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 3, 4)])
def test_logits_that_are_no_batch(shape) -> None:
    with pytest.raises(ValueError, match=r"\(batch, classes\)"):
        nn.SoftmaxLoss()(ndl.init.zeros(*shape), ndl.Tensor(np.zeros(shape[0], int)))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(ignore_index=2), nn.NLLLoss(ignore_index=2)])
def test_the_mean_of_no_losses(loss) -> None:
    with pytest.raises(ValueError, match="mean of no losses: every label is ignored"):
        loss(ndl.init.zeros(2, 4), ndl.Tensor([2, 2]))
    with pytest.raises(ValueError, match="mean of no losses"):
        nn.MSELoss()(ndl.init.zeros(0), ndl.init.zeros(0))


@pytest.mark.parametrize("weight", [2, 5, 1])
@pytest.mark.parametrize("target", [ndl.Tensor([0, 1]), ndl.init.zeros(2, 3)])
def test_a_weight_for_each_class(weight, target) -> None:
    with pytest.raises(ValueError, match=rf"weight for each of 3 classes, got \({weight},\)"):
        nn.CrossEntropyLoss(ndl.init.ones(weight))(ndl.init.zeros(2, 3), target)
    with pytest.raises(ValueError, match="weight for each of 3 classes"):
        nn.NLLLoss(ndl.init.ones(weight))(ndl.init.zeros(2, 3), ndl.Tensor([0, 1]))


@pytest.mark.parametrize(
    "loss",
    [nn.BCELoss(ndl.init.ones(3, 1)), nn.BCEWithLogitsLoss(pos_weight=ndl.init.ones(3, 1))],
)
def test_weights_do_not_widen_a_loss(loss) -> None:
    with pytest.raises(ValueError, match=r"weights of shape \(3, 1\) for losses of shape \(3,\)"):
        loss(ndl.init.ones(3), ndl.init.ones(3))


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(ndl.Tensor([1.0, 2.0])), ndl.Tensor([0, 1])),
        (nn.CrossEntropyLoss(ndl.Tensor([1, 2]), label_smoothing=0.1), ndl.Tensor([0, 1])),
        (nn.CrossEntropyLoss(ndl.Tensor([1.0, 2.0])), ndl.Tensor([[0.5, 0.5], [1.0, 0.0]])),
        (nn.NLLLoss(ndl.Tensor([1.0, 2.0])), ndl.Tensor([0, 1])),
        (nn.BCELoss(ndl.Tensor([1.0, 2.0])), ndl.Tensor([[0, 1], [1, 0]])),
        (nn.BCEWithLogitsLoss(pos_weight=ndl.Tensor([1.0, 2.0])), ndl.Tensor([[0, 1], [1, 0]])),
    ],
)
def test_weights_widen_no_dtype(loss, target) -> None:
    assert loss(ndl.init.rand(2, 2), target).dtype == np.float32


def test_scores_without_classes() -> None:
    for target in (ndl.Tensor(0), ndl.Tensor(0.5)):
        with pytest.raises(ValueError, match=r"expected scores \(N, C\).* got a number"):
            nn.CrossEntropyLoss()(ndl.init.zeros(), target)


def test_no_class_of_probabilities_is_ignored() -> None:
    with pytest.raises(ValueError, match="probabilities leave no class 1 to ignore"):
        nn.CrossEntropyLoss(ignore_index=1)(ndl.init.zeros(2, 3), ndl.init.zeros(2, 3))


PAIR_LOSSES = [
    nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.BCELoss(), nn.BCEWithLogitsLoss(),
    nn.KLDivLoss(),
]  # fmt: skip


@pytest.mark.parametrize("loss", PAIR_LOSSES, ids=repr)
def test_shapes_must_be_equal(loss) -> None:
    # (N, 1) and (N,) would broadcast to (N, N) and train nonsense
    with pytest.raises(ValueError, match=r"one shape, got \(3, 1\) and \(3,\)"):
        loss(ndl.init.ones(3, 1), ndl.init.ones(3))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_probabilities_outside_0_and_1(value) -> None:
    good, bad = ndl.Tensor([0.5]), ndl.Tensor([value])
    for loss, args in [
        (nn.BCELoss(), (bad, good)),
        (nn.BCELoss(), (good, bad)),
        (nn.BCEWithLogitsLoss(), (good, bad)),
        (nn.KLDivLoss(), (good, bad)),
        (nn.CrossEntropyLoss(), (good, bad)),
    ]:
        with pytest.raises(ValueError, match=f"must be from 0 to 1, got {value}"):
            loss(*args)


@pytest.mark.parametrize("kind", [type(loss) for loss in PAIR_LOSSES] + [nn.CrossEntropyLoss])
def test_reductions_that_are_none(kind) -> None:
    with pytest.raises(ValueError, match=r"reduction 'average': expected one of mean, sum, none"):
        kind(reduction="average")


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing must be from 0 to 1, got 1\.5"):
        nn.CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        nn.SmoothL1Loss(beta=-1)(ndl.init.ones(2), ndl.init.ones(2))
