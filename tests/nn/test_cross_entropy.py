"""Cross-entropies of class numbers and of probabilities: PyTorch's values, and bad targets."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn

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


def test_ignored_labels_may_be_floats() -> None:
    logits = ndl.Tensor(np.random.RandomState(0).randn(3, 4))
    of_floats, of_integers = (
        nn.CrossEntropyLoss()(logits, ndl.Tensor([2, -100, 0], dtype=dtype)).item()
        for dtype in ("float32", "int64")
    )
    assert of_floats == of_integers


@pytest.mark.parametrize("ignore_index", [-100, 300, 2])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "float32"])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_the_label_to_ignore_may_be_outside_the_labels_dtype(loss, dtype, ignore_index) -> None:
    rows = np.random.RandomState(0).randn(3, 4)
    weight = ndl.Tensor([1.0, 2.0, 0.5, 1.0])
    values = [
        loss(weight, ignore_index=ignore_index)(ndl.Tensor(rows), ndl.Tensor([2, 1, 0], dtype=each))
        for each in (dtype, "int64")
    ]
    assert values[0].item() == values[1].item()


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


def test_weights_of_classes_stay_fractions_for_logits_of_integers() -> None:
    labels, options = ndl.Tensor([0, 1]), {"reduction": "sum", "label_smoothing": 0.1}
    loss = nn.CrossEntropyLoss(ndl.Tensor([0.5, 1.5]), **options)
    whole, floats = (ndl.Tensor([[1, 2], [3, 0]], dtype=dtype) for dtype in ("int64", "float64"))
    assert loss(whole, labels).item() == loss(floats, labels).item() > 0


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


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    of_probabilities=st.booleans(),
    ignored=st.integers(-1, 4),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=st.sampled_from(REDUCTIONS),
    scale=st.sampled_from([1, 1e4]),
    seed=st.integers(0, 100),
)
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_cross_entropy_of_any_shape_and_options_is_torchs(
    same_as_torch, shape, of_probabilities, ignored, weighted, smoothing, reduction, scale, seed
) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.RandomState(seed)
    axis = min(1, len(shape) - 1)
    classes, rest = shape[axis], shape[:axis] + shape[axis + 1 :]
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if of_probabilities:
        target = np.moveaxis(draw.dirichlet(np.ones(classes), rest), -1, axis).round(1)
    else:
        target = np.asarray(draw.randint(classes, size=rest))
        if ignored >= 0 and (target != ignored).any():
            options["ignore_index"] = ignored
    weight = draw.rand(classes) + 0.1 if weighted else None
    same_as_torch(
        nn.CrossEntropyLoss(None if weight is None else ndl.Tensor(weight), **options),
        torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), **options),
        draw.randn(*shape) * scale,
        target,
    )


def test_cross_entropy_of_class_numbers_and_of_certainties_agree() -> None:
    scores, labels = scores_and_labels((5, 3))
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    certain = ndl.Tensor(np.eye(3)[labels])
    of_numbers = loss(ndl.Tensor(scores), ndl.Tensor(labels)).item()
    assert of_numbers == pytest.approx(loss(ndl.Tensor(scores), certain).item(), rel=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_an_ignored_label_may_have_infinite_scores(kind, reduction) -> None:
    # as where a mask has put -inf on classes, and padding on labels
    scores = np.array([[-np.inf, 0.0, 1.0], [0.5, 0.0, 1.0]])
    x, label = ndl.Tensor(scores), ndl.Tensor([-100, 1])
    loss = kind(reduction=reduction)(x, label)
    loss.sum().backward()
    y = ndl.Tensor(scores[1:])
    expected = kind(reduction="sum")(y, label[1:])
    expected.backward()
    assert loss.sum().item() == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0, 0], *y.grad.numpy()], rtol=1e-12)


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


# --- what does not fit

BAD_LABELS = {
    "too large": (np.array([0, 4, 1]), ValueError, "4.*0 to 3"),
    "negative": (np.array([0, -1, 1]), ValueError, "-1.*0 to 3"),
    "fractions": (
        np.array([0.0, 1.5, 2.0]),
        TypeError,
        r"whole class numbers, got 1\.5 among float64",
    ),
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


@pytest.mark.parametrize("weight", [2, 5, 1])
@pytest.mark.parametrize("target", [ndl.Tensor([0, 1]), ndl.init.zeros(2, 3)])
def test_a_weight_for_each_class(weight, target) -> None:
    with pytest.raises(ValueError, match=rf"weight for each of 3 classes, got \({weight},\)"):
        nn.CrossEntropyLoss(ndl.init.ones(weight))(ndl.init.zeros(2, 3), target)
    with pytest.raises(ValueError, match="weight for each of 3 classes"):
        nn.NLLLoss(ndl.init.ones(weight))(ndl.init.zeros(2, 3), ndl.Tensor([0, 1]))


def test_errors_tell_what_was_passed() -> None:
    for logits in ((3, 4, 5), (3,)):
        with pytest.raises(
            ValueError, match=r"^SoftmaxCrossEntropy of shape \(3.*\): expected logi"
        ):
            nn.SoftmaxLoss()(ndl.init.zeros(*logits), ndl.Tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy of shape \(3, 4\) and \(2,\): "):
        nn.SoftmaxLoss()(ndl.init.zeros(3, 4), ndl.Tensor([0, 1]))


def test_scores_without_classes() -> None:
    for target in (ndl.Tensor(0), ndl.Tensor(0.5)):
        with pytest.raises(ValueError, match=r"expected scores \(N, C\).* got a number"):
            nn.CrossEntropyLoss()(ndl.init.zeros(), target)


def test_no_class_of_probabilities_is_ignored() -> None:
    with pytest.raises(ValueError, match="probabilities leave no class 1 to ignore"):
        nn.CrossEntropyLoss(ignore_index=1)(ndl.init.zeros(2, 3), ndl.init.zeros(2, 3))
