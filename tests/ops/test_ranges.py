"""Numbers at the ends of a dtype's range: integers, float16, long sums, settings."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn, ops

INTEGERS = ["bool", "int8", "int16", "int64", "uint8", "uint16", "uint64"]
F = nn.functional


def extremes(dtype):
    """0, 1, and the ends of the range."""
    if dtype == "bool":
        return np.array([False, True, True])
    if np.dtype(dtype).kind == "f":
        return np.array([0, 1, -2.5], dtype)
    limits = np.iinfo(dtype)
    return np.array([1, limits.min, limits.max], dtype)


def outcome(function, *operands):
    """The dtype and the values, or the type of the error."""
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(function(*operands))
    except (TypeError, OverflowError) as error:
        return type(error)
    return result.dtype, result.tolist()


# --- subtraction


@pytest.mark.parametrize("right", [*INTEGERS, "float32", "float64"])
@pytest.mark.parametrize("left", [*INTEGERS, "float32", "float64"])
def test_differences_are_numpys(left, right, mode):
    a, b = extremes(left), extremes(right)
    expected = outcome(lambda: a - b)
    assert outcome(lambda: Tensor(a) - Tensor(b)) == expected
    assert outcome(lambda: Tensor(a) - b) == expected
    assert outcome(lambda: a - Tensor(b)) == expected


@pytest.mark.parametrize("number", [0, 1, 1.5, -128, np.uint8(3), np.float32(0.5), True])
@pytest.mark.parametrize("dtype", [*INTEGERS[1:], "float32", "float64"])
def test_differences_with_a_number_are_numpys(dtype, number, mode):
    a = extremes(dtype)
    plain = number.item() if isinstance(number, np.generic) else number
    if isinstance(plain, int) and np.dtype(dtype).kind == "u" and plain < 0:
        assert (Tensor(a) - number).numpy().tolist() == (a + np.array(-plain, dtype)).tolist()
    else:
        assert outcome(lambda: Tensor(a) - number) == outcome(lambda: a - plain)
    assert outcome(lambda: number - Tensor(a)) == outcome(lambda: plain - a)


def test_labels_of_bytes():
    predictions, labels = Tensor([1.0, 2.0]), Tensor(np.array([5, 9], "uint8"))
    assert ((predictions - labels) ** 2).mean().item() == 32.5
    assert (labels - 1).numpy().tolist() == [4, 8]
    assert (1 - Tensor([True, False])).numpy().tolist() == [0, 1]


def test_a_difference_of_integers_has_gradients(mode):
    a, b = Tensor(np.array([3], "int64")), Tensor(np.array([5], "uint8"))
    (a - b).backward()
    assert (a.grad.numpy().tolist(), b.grad.numpy().tolist()) == ([1], [-1])
    (1.5 - b).backward()
    assert b.grad.numpy().tolist() == [-1]


def test_booleans_have_no_difference():
    with pytest.raises(TypeError, match="booleans have no difference"):
        Tensor([True]) - Tensor([False])


# --- comparisons

RELATIONS = [
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal
]  # fmt: skip
NUMBERS = [-1, 300, -(2**40), 2**63, 2**64, -(2**70), 2**70, 10**400, -(10**400), 1.5, -0.5, 7]


@pytest.mark.parametrize("number", [*NUMBERS, np.int64(300), np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_comparisons_with_a_number_are_those_of_mathematics(dtype, number, mode):
    a = extremes(dtype)
    plain = number.item() if isinstance(number, np.generic) else number
    for relation in RELATIONS:
        expected = [bool(relation(int(each), plain)) for each in a.tolist()]
        function = getattr(ndl, relation.__name__)
        assert function(Tensor(a), number).numpy().tolist() == expected
        reflected = [bool(relation(plain, int(each))) for each in a.tolist()]
        assert function(number, Tensor(a)).numpy().tolist() == reflected


def test_comparisons_with_a_number_beyond_the_floats():
    half = Tensor(np.array([np.inf, 6e4, -np.inf], "float16"))
    assert (half > 70_000).numpy().tolist() == [True, False, False]
    assert (half == 70_000).numpy().tolist() == [False, False, False]
    assert (half >= -70_000).numpy().tolist() == [True, True, False]
    assert (Tensor(np.array([np.inf, 1], "float32")) > 1e39).numpy().tolist() == [True, False]
    assert (Tensor(np.array([0.1], "float32")) == 0.1).item()  # rounded like the tensor
    assert (Tensor([1.0]) < 10**400).item()


# --- integers


@pytest.mark.parametrize("dtype", INTEGERS)
def test_means_and_norms_of_integers_are_numpys(dtype, mode):
    a = np.array([extremes(dtype)] * 4)
    x = Tensor(a)
    floats = a.astype("float64")
    np.testing.assert_allclose(ops.mean(x).numpy(), a.mean(), rtol=1e-15)
    np.testing.assert_allclose(ops.mean(x, 0).numpy(), a.mean(0), rtol=1e-15)
    np.testing.assert_allclose(ops.var(x, 1).numpy(), floats.var(1), rtol=1e-12)
    np.testing.assert_allclose(ops.std(x).numpy(), floats.std(), rtol=1e-12)
    for order in (None, 1, 2, 3, np.int64(3), np.inf, 0):
        expected = np.linalg.norm(floats, order, 1)
        result = ops.norm(x, order, 1)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
        assert result.dtype == np.float64


@pytest.mark.parametrize("name", ["prod", "cumprod", "sum", "cumsum"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_running_sums_and_products_of_integers_are_numpys(dtype, name, mode):
    a = np.array([2, 100, 3]).astype(dtype)
    assert outcome(getattr(ndl, name), Tensor(a)) == outcome(getattr(np, name), a)


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (2, 2)])
@pytest.mark.parametrize("ddof", [0, 1, 2, 3, 9])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_variance_with_few_elements_is_numpys(shape, ddof):
    a = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.testing.assert_allclose(ops.var(Tensor(a), ddof=ddof).numpy(), a.var(ddof=ddof))
    np.testing.assert_allclose(ops.std(Tensor(a), ddof=ddof).numpy(), a.std(ddof=ddof))


# --- float16: computed in float32, rounded once

LARGE = np.random.default_rng(0).choice([-600.0, 600.0], (8, 64)).astype("float16")
ONES = np.ones((4096, 2), "float16")
HALVES = {
    "mean": (ops.mean, LARGE),
    "mean of many": (ops.mean, np.full((1000, 100), 60.0)),
    "mean of columns": (lambda x: ops.mean(x, 0), ONES),
    "sum of columns": (lambda x: ops.summation(x, 0), ONES),
    "sum": (ops.summation, ONES),
    "var": (ops.var, LARGE / 4),
    "std": (lambda x: ops.std(x, 1), LARGE),
    "norm": (ops.norm, LARGE),
    "norm 3": (lambda x: ops.norm(x, 3, 1), LARGE),
    "cumsum": (lambda x: ops.cumsum(x, 0), ONES),
    "prod": (ops.prod, np.array([300.0, 300.0, 0.01, 0.5])),
    "softmax": (lambda x: ops.softmax(x, 0), ONES),
    "logsumexp": (lambda x: ops.logsumexp(x, 0), ONES),
    "log_softmax": (lambda x: ops.logsoftmax(x, 0), ONES),
    "mse_loss": (lambda x: F.mse_loss(x, np.zeros(x.shape)) / 10, LARGE / 4),
    "l1_loss": (lambda x: F.l1_loss(x, np.zeros(x.shape)), LARGE),
    "smooth_l1_loss": (lambda x: F.smooth_l1_loss(x, np.zeros(x.shape)), LARGE),
    "cross_entropy": (lambda x: F.cross_entropy(x, np.zeros(8, int)), LARGE),
    "layer_norm": (lambda x: F.layer_norm(x, 64), LARGE),
    "rms_norm": (lambda x: F.rms_norm(x, 64), LARGE),
    "group_norm": (lambda x: F.group_norm(x, 4), LARGE),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), LARGE),
    "lp_pool1d": (lambda x: F.lp_pool1d(ops.abs(x[None]), 2, 4), LARGE),
    "embedding_bag": (lambda x: F.embedding_bag(Tensor([[0, 1, 2]]), x), LARGE * 80),
    "gelu": (ops.gelu, LARGE / 6),
    "gelu by tanh": (lambda x: ops.gelu(x, "tanh"), LARGE / 6),
    "gelu of small numbers": (ops.gelu, np.linspace(-4, 4, 50)),
    "sigmoid": (ops.sigmoid, np.linspace(-8, 8, 50)),
    "silu": (ops.silu, np.linspace(-12, 12, 50)),
    "softplus": (ops.softplus, np.linspace(-12, 12, 50)),
}


@pytest.mark.parametrize("name", HALVES)
def test_float16_is_float32_rounded(name, mode):
    function, numbers = HALVES[name]
    half = Tensor(np.asarray(numbers, "float16"))
    single = half.astype("float32").detach()
    single.requires_grad = True
    y, expected = function(half), function(single)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=2e-3, atol=1e-6)
    adjoint = np.linspace(0.5, 1.5, y.size).reshape(y.shape)
    y.backward(Tensor(adjoint, dtype="float16"))
    expected.backward(Tensor(adjoint, dtype="float32"))
    assert half.grad.dtype == np.float16
    np.testing.assert_allclose(half.grad.numpy(), single.grad.numpy(), rtol=5e-3, atol=1e-3)


def test_normalization_layers_in_float16():
    signs = np.sign(LARGE)
    for layer in (nn.LayerNorm(64), nn.BatchNorm1d(64), nn.GroupNorm(1, 64), nn.RMSNorm(64)):
        layer.to(dtype="float16")
        y = layer(Tensor(LARGE))
        assert y.dtype == np.float16
        assert np.isfinite(y.numpy()).all()
        assert np.sign(y.numpy()).tolist() == signs.tolist()
        y.sum().backward()
        assert all(np.isfinite(each.grad.numpy()).all() for each in layer.parameters())
    assert nn.BatchNorm1d(64, dtype="float16").running_mean.dtype == np.float16


# --- long sums


@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("length", [16_385, 100_000, 1_000_003])
def test_long_columns_are_summed_in_blocks(length, columns):
    a = np.full((length, columns), 0.1, "float32")
    expected = 0.1 * length
    for layout in (a, np.asfortranarray(a), np.repeat(a, 2, 1)[:, ::2]):
        x = Tensor(layout)
        for result in (ops.summation(x, 0), ops.summation(x, (0,), keepdims=True)):
            np.testing.assert_allclose(result.numpy().ravel(), expected, rtol=1e-5)
    np.testing.assert_allclose(ops.mean(Tensor(a), 0).numpy(), 0.1, rtol=1e-5)
    np.testing.assert_allclose(ops.var(Tensor(a) + 1, 0).numpy(), 0, atol=1e-9)


def test_the_gradient_of_a_bias_of_many_samples():
    n = 1_000_000
    x, layer = Tensor(np.ones((n, 1), "float32"), requires_grad=False), nn.Linear(1, 1)
    layer(x).backward(Tensor(np.full((n, 1), 0.1, "float32")))
    np.testing.assert_allclose(layer.bias.grad.numpy(), 0.1 * n, rtol=3e-7)


# --- settings


SCALARS = [np.float64(0.25), np.float32(0.25), np.array(0.25), np.int64(1)]


@pytest.mark.parametrize("number", SCALARS, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_settings_widen_no_dtype(number, dtype):
    x = Tensor(np.linspace(-2, 2, 12, dtype=dtype).reshape(3, 4))
    calls = [
        lambda: ops.leaky_relu(x, number),
        lambda: ops.elu(x, number),
        lambda: ops.clip(x, -number, number),
        lambda: ops.hardtanh(x, -number, number),
        lambda: ops.softplus(x, number, number),
        lambda: F.smooth_l1_loss(x, np.zeros((3, 4)), beta=number),
        lambda: F.dropout(x, number),
        lambda: F.layer_norm(x, 4, eps=number),
        lambda: F.rms_norm(x, 4, eps=number),
        lambda: F.batch_norm(x, None, None, training=True, eps=number, momentum=number),
        lambda: F.cross_entropy(x, np.array([0, 1, 2]), label_smoothing=number),
        lambda: ops.norm(x, number + 1, 1),
        lambda: ops.var(x, ddof=number),
    ]
    if isinstance(number, np.generic):  # an array without axes is an operand, with a dtype
        calls += [lambda: x**number, lambda: (x + number) * number / number - number]
    for call in calls:
        with np.errstate(all="ignore"):
            y = call()
            y.sum().backward()
        assert (y.dtype, x.grad.dtype) == (dtype, dtype), y


def test_running_statistics_keep_their_dtype():
    layer = nn.BatchNorm1d(2, eps=np.float64(1e-5), momentum=np.float64(0.1))
    layer(Tensor(np.ones((4, 2), "float32")))
    assert layer.running_mean.dtype == layer.running_var.dtype == np.float32


def test_limits_of_clip_may_be_tensors(mode, check_derivatives):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=4) - 1, rng.normal(size=(3, 1)) + 1]
    ours = [Tensor(array) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    ops.clip(*ours).sum().backward()
    torch.clamp(*theirs).sum().backward()
    for x, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), other.grad.numpy())
    y = ops.clip(ours[0], arrays[1], 0.5)
    np.testing.assert_array_equal(y.numpy(), np.clip(arrays[0], arrays[1], 0.5))
    assert np.isnan(ops.clip(Tensor([1.0, 2.0]), Tensor([np.nan, 3.0])).numpy()).tolist() == [1, 0]
    assert np.isnan(ops.clip(Tensor([np.nan]), Tensor([0.0]), 1.0).numpy()).all()
    assert ours[0].clip(None, ours[2]).numpy().tolist() == np.minimum(*arrays[::2]).tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda x, s: ops.leaky_relu(x, s),
        lambda x, s: ops.elu(x, s),
        lambda x, s: ops.hardtanh(x, s, 2.0),
        lambda x, s: ops.add_scalar(x, s),
        lambda x, s: ops.power_scalar(x, s),
        lambda x, s: ops.norm(x, s),
    ],
)
def test_a_setting_is_a_number(call):
    with pytest.raises(TypeError, match="expected a number, got a Tensor of shape"):
        call(Tensor([1.0]), Tensor([0.5]))


# --- matrices with NaN


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "function",
    [
        ndl.linalg.inv, ndl.linalg.cholesky, ndl.linalg.eigh, ndl.linalg.eigvalsh, ndl.linalg.svd,
        ndl.linalg.svdvals, ndl.linalg.qr, lambda a: ndl.linalg.solve(a, a),
        lambda a: ndl.linalg.norm(a, 2, (1, 2)),
    ],
)  # fmt: skip
def test_matrices_with_nan_are_an_error(function, value, mode):
    a = np.stack([np.eye(2), np.eye(2)])
    a[1, 0, 1] = value
    name = "NaN" if np.isnan(value) else "infinity"
    expected = rf"matrix \(1,\) of the batch holds {name} at row 0, column 1"
    with pytest.raises(np.linalg.LinAlgError, match=expected):
        np.array([each.numpy() for each in np.atleast_1d(function(Tensor(a)))])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_determinant_of_nan_is_nan():
    assert np.isnan(ndl.linalg.det(Tensor([[np.nan, 1], [1, 2]])).item())


# --- labels that are checked although only the gradient is asked for


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: F.nll_loss(x, y),
        lambda x, y: F.cross_entropy(x, y),
        lambda x, y: F.cross_entropy(x, y, reduction="none").sum(),
        lambda x, y: F.softmax_loss(x, y),
        lambda x, y: F.embedding(y, x).sum(),
    ],
)
def test_lazy_losses_check_labels_before_their_gradient(loss, label):
    with ndl.lazy_mode():
        x = Tensor(np.zeros((2, 3)))
        y = Tensor(np.array([0, label]), requires_grad=False)
        with pytest.raises(ValueError, match=r"label|indices"):
            loss(x, y).backward()


def test_an_array_of_one_element_is_a_number():
    """The course's tests give such arrays."""
    x = Tensor([1.0, 2.0], dtype="float32")
    for found in (ndl.divide_scalar(x, np.array([2.0])), ndl.mul_scalar(x, np.array([0.5]))):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.numpy(), [0.5, 1])
    with pytest.raises(TypeError, match="expected a number"):
        ndl.mul_scalar(x, np.ones(2))
