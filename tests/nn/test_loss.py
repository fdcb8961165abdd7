"""Losses against PyTorch's, at extreme inputs, to second order, and on targets that do not fit.

Cross-entropies of class numbers have their own file, but for what all losses are tested for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn
from needle.testing import gradcheck

REDUCTIONS = ["mean", "sum", "none"]
DTYPES = ["float32", "float64"]

# --- two tensors of one shape

PAIRS = {
    "MSELoss": {},
    "L1Loss": {},
    "SmoothL1Loss": {},
    "SmoothL1Loss beta": {"beta": 0.3},
    "SmoothL1Loss beta 0": {"beta": 0.0},
    "HuberLoss": {},
    "HuberLoss delta": {"delta": 0.3},
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


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_a_loss_of_integers_has_the_dtype_of_the_target(kind, dtype) -> None:
    integers, values = ndl.Tensor([0, 1, 1], dtype=dtype), np.array([0.25, 0.5, 0.75], "float32")
    loss, expected = kind()(integers, ndl.Tensor(values)), kind()(ndl.Tensor(values), integers)
    assert loss.dtype == np.float32
    assert loss.item() == expected.item()
    assert kind()(integers, ndl.Tensor(values, dtype="float16")).dtype == np.float32
    assert kind()(integers, ndl.Tensor(values, dtype="float64")).dtype == np.float64
    assert kind()(integers, integers).dtype == np.float64


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
    "huber": (nn.HuberLoss(delta=0.4), [X, T]),
    "bce": (nn.BCELoss(), [P, Q]),
    "bce with logits": (nn.BCEWithLogitsLoss(), [X, P]),
    "kl": (nn.KLDivLoss(), [X, P]),
    "kl of logarithms": (nn.KLDivLoss(log_target=True), [X, T]),
}


@pytest.mark.parametrize(("loss", "arrays"), SECOND.values(), ids=SECOND)
def test_second_derivative(loss, arrays) -> None:
    assert gradcheck(loss, tuple(ndl.Tensor(array) for array in arrays), order=2)


# --- what does not fit


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(ignore_index=2), nn.NLLLoss(ignore_index=2)])
def test_the_mean_of_no_losses(loss) -> None:
    with pytest.raises(ValueError, match="mean of no losses: every label is ignored"):
        loss(ndl.init.zeros(2, 4), ndl.Tensor([2, 2]))
    with pytest.raises(ValueError, match="mean of no losses"):
        nn.MSELoss()(ndl.init.zeros(0), ndl.init.zeros(0))


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


@pytest.mark.parametrize("delta", [0, -1.0, float("nan")])
def test_huber_loss_needs_a_positive_delta(delta) -> None:
    with pytest.raises(ValueError, match="huber_loss: delta must be positive, got"):
        nn.HuberLoss(delta=delta)(ndl.Tensor([1.0]), ndl.Tensor([2.0]))
    with pytest.raises(ValueError, match=r"huber_loss expected two tensors of one shape"):
        nn.HuberLoss()(ndl.Tensor([1.0]), ndl.Tensor([2.0, 3.0]))
