"""NumPy's functions on Tensors: needle's where it has them; no gradient is lost."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

ARRAY = np.random.default_rng(0).normal(size=(2, 3, 4))
SQUARE = 5 * np.eye(3)

# by name: a function of an array of shape (2, 3, 4)
OURS = {
    "sum": lambda a: np.sum(a),
    "sum over an axis": lambda a: np.sum(a, axis=1),
    "sum over axes": lambda a: np.sum(a, (0, -1), keepdims=True),
    "mean": lambda a: np.mean(a, axis=-1),
    "var": lambda a: np.var(a, axis=0, ddof=1),
    "std": lambda a: np.std(a, axis=0, ddof=1),
    "std correction": lambda a: np.std(a, axis=0, correction=1),
    "max": lambda a: np.max(a, 2),
    "amax": lambda a: np.amax(a),
    "min": lambda a: np.min(a, axis=(0, 1), keepdims=True),
    "amin": lambda a: np.amin(a),
    "ptp": lambda a: np.ptp(a, 1),
    "prod": lambda a: np.prod(a, axis=1),
    "median": lambda a: np.median(a, axis=1),
    "quantile": lambda a: np.quantile(a, [0.2, 0.9], axis=2, method="lower"),
    "percentile": lambda a: np.percentile(a, 30),
    "cumsum": lambda a: np.cumsum(a),
    "cumsum along an axis": lambda a: np.cumsum(a, axis=1),
    "cumprod": lambda a: np.cumprod(a, axis=1),
    "diff": lambda a: np.diff(a, axis=1),
    "sort": lambda a: np.sort(a, axis=1),
    "clip": lambda a: np.clip(a, -0.5, 0.5),
    "clip below": lambda a: np.clip(a, -0.5, None),
    "clip by min": lambda a: np.clip(a, min=-0.5),
    "where": lambda a: np.where(a > 0, a, 2 * a),
    "where by an array": lambda a: np.where(ARRAY > 0, a, 1.0),
    "take": lambda a: np.take(a, [0, 2, 2], axis=1),
    "take from all": lambda a: np.take(a, [0, 20]),
    "take_along_axis": lambda a: np.take_along_axis(a, np.argsort(ARRAY, 1), 1),
    "copy": lambda a: np.copy(a),
    "concatenate": lambda a: np.concatenate([a, a], axis=1),
    "concatenate with an array": lambda a: np.concatenate((np.ones((2, 3, 4)), a)),
    "concatenate flat": lambda a: np.concatenate((a, a[0]), axis=None),
    "stack": lambda a: np.stack((a, a), axis=-1),
    "vstack": lambda a: np.vstack((a[0, 0], a[1])),
    "hstack": lambda a: np.hstack((a[0], a[1])),
    "hstack of vectors": lambda a: np.hstack((a[0, 0], a[1, 1], 2.0)),
    "split": lambda a: np.split(a, 2, axis=2)[1],
    "split at": lambda a: np.split(a, [1], axis=1)[1],
    "meshgrid": lambda a: np.meshgrid(a[0, 0], a[0, :, 1])[0],
    "reshape": lambda a: np.reshape(a, (4, -1)),
    "ravel": lambda a: np.ravel(a),
    "transpose": lambda a: np.transpose(a),
    "transpose by axes": lambda a: np.transpose(a, (1, 2, 0)),
    "matrix_transpose": lambda a: np.matrix_transpose(a),
    "swapaxes": lambda a: np.swapaxes(a, 0, 2),
    "moveaxis": lambda a: np.moveaxis(a, 0, -1),
    "squeeze": lambda a: np.squeeze(a),
    "squeeze an axis": lambda a: np.squeeze(a[:, :1], axis=1),
    "expand_dims": lambda a: np.expand_dims(a, (0, -1)),
    "atleast_1d": lambda a: np.atleast_1d(a[0, 0, 0]),
    "atleast_2d": lambda a: np.atleast_2d(a[0, 0]),
    "flip": lambda a: np.flip(a, axis=1),
    "flipud": lambda a: np.flipud(a),
    "fliplr": lambda a: np.fliplr(a),
    "roll": lambda a: np.roll(a, 1, axis=2),
    "roll all": lambda a: np.roll(a, -5),
    "broadcast_to": lambda a: np.broadcast_to(a, (5, 2, 3, 4)),
    "tile": lambda a: np.tile(a, (2, 1)),
    "repeat": lambda a: np.repeat(a, 2, axis=0),
    "pad": lambda a: np.pad(a, (1, 2)),
    "pad edge": lambda a: np.pad(a, ((0, 0), (1, 0), (0, 2)), mode="edge"),
    "dot": lambda a: np.dot(a, np.swapaxes(a, 1, 2)),
    "dot of vectors": lambda a: np.dot(a[0, 0], a[1, 1]),
    "dot with an array": lambda a: np.dot(np.ones((5, 3)), a[0]),
    "inner": lambda a: np.inner(a, a[0]),
    "vdot": lambda a: np.vdot(a, a),
    "outer": lambda a: np.outer(a[0, 0], a[1, 1]),
    "tensordot": lambda a: np.tensordot(a, a, ([0, 2], [0, 2])),
    "einsum": lambda a: np.einsum("ijk,ijk->j", a, a),
    "diagonal": lambda a: np.diagonal(a, 1, 1, 2),
    "diag": lambda a: np.diag(a[0]),
    "diag of a vector": lambda a: np.diag(a[0, 0], 1),
    "trace": lambda a: np.trace(a),
    "tril": lambda a: np.tril(a, 1),
    "triu": lambda a: np.triu(a),
    "bincount of booleans": lambda a: np.bincount(ARRAY.reshape(-1) > 0, np.reshape(a, -1), 24),
    "quantile at a tensor": lambda a: np.quantile(a, np.abs(a[0, 0]) / 9, axis=0),
    "percentile at a tensor": lambda a: np.percentile(a, np.abs(a[0, 0])),
    "linalg.norm": lambda a: np.linalg.norm(a),
    "linalg.norm of rows": lambda a: np.linalg.norm(a, 1, axis=-1),
    "linalg.norm of a matrix": lambda a: np.linalg.norm(a[0], 2),
    "linalg.vector_norm": lambda a: np.linalg.vector_norm(a, ord=3),
    "linalg.matrix_norm": lambda a: np.linalg.matrix_norm(a),
    "linalg.solve": lambda a: np.linalg.solve(SQUARE + a[0, :, :3], np.ones(3)),
    "linalg.lstsq": lambda a: np.linalg.lstsq(a[0, :, :2], np.ones(3), rcond=None)[0],
    "linalg.inv": lambda a: np.linalg.inv(SQUARE + a[0, :, :3]),
    "linalg.det": lambda a: np.linalg.det(SQUARE + a[0, :, :3]),
    "linalg.slogdet": lambda a: np.linalg.slogdet(SQUARE + a[0, :, :3])[1],
    "linalg.cholesky": lambda a: np.linalg.cholesky(SQUARE + np.dot(a[0], np.transpose(a[0]))),
    "linalg.eigh": lambda a: np.linalg.eigh(np.dot(a[0], np.transpose(a[0])))[0],
    "linalg.eigvalsh": lambda a: np.linalg.eigvalsh(np.dot(a[0], np.transpose(a[0])), "U"),
    "linalg.qr": lambda a: np.linalg.qr(a[0])[1],
    "linalg.svd": lambda a: np.linalg.svd(a[0], full_matrices=False)[1],
    "linalg.svd without vectors": lambda a: np.linalg.svd(a[0], compute_uv=False),
    # elementwise
    "add": lambda a: np.add(a, a),
    "add with an array": lambda a: np.add(np.ones(4), a),
    "subtract": lambda a: np.subtract(1.0, a),
    "multiply": lambda a: np.multiply(np.float64(2), a),
    "divide": lambda a: np.divide(1.0, 3 + a),
    "power": lambda a: np.power(a, 2),
    "matmul": lambda a: np.matmul(np.ones((5, 3)), a),
    "maximum": lambda a: np.maximum(a, 0.1),
    "minimum": lambda a: np.minimum(0.1, a),
    "logaddexp": lambda a: np.logaddexp(a, 1.0),
    "arctan2": lambda a: np.arctan2(a, np.abs(a) + 1),
    "remainder": lambda a: np.remainder(a, 0.7),
    "negative": lambda a: np.negative(a),
    "positive": lambda a: np.positive(a),
    "square": lambda a: np.square(a),
    "reciprocal": lambda a: np.reciprocal(a),
    "deg2rad": lambda a: np.deg2rad(a),
    **{
        name: lambda a, name=name: getattr(np, name)(a)
        for name in (
            "absolute", "arctan", "cos", "cosh", "exp", "exp2", "expm1", "fabs", "sin", "sinh",
            "tan", "tanh",
        )
    },
    **{
        name: lambda a, name=name: getattr(np, name)(np.abs(a) + 0.5)
        for name in ("log", "log10", "log1p", "log2", "sqrt")
    },
    "arcsin": lambda a: np.arcsin(a / 4),
    "arccos": lambda a: np.arccos(a / 4),
    "array times tensor": lambda a: np.full(4, 2.0) * a,
    "array minus tensor": lambda a: np.full(4, 2.0) - a,
    "array by tensor": lambda a: np.full(4, 2.0) / (a + 5),
    "number to the power": lambda a: np.float64(2) ** a,
    "array @ tensor": lambda a: np.ones((5, 3)) @ a,
}  # fmt: skip

CONSTANT = {
    "argmax": lambda a: np.argmax(a, axis=1),
    "argmin": lambda a: np.argmin(a, axis=1, keepdims=True),
    "argsort": lambda a: np.argsort(a, axis=1),
    "unique": lambda a: np.unique(a),
    "any": lambda a: np.any(a > 0, axis=1),
    "all": lambda a: np.all(a > 0),
    "round": lambda a: np.round(a, 1),
    "around": lambda a: np.around(a),
    **{
        name: lambda a, name=name: getattr(np, name)(a)
        for name in ("ceil", "floor", "isfinite", "isinf", "isnan", "rint", "sign")
    },
    "logical_not": lambda a: np.logical_not(a),
    "logical_and": lambda a: np.logical_and(a > 0, ARRAY < 1),
    "bitwise_or": lambda a: (ARRAY > 0) | (a < -1),
    "floor_divide": lambda a: np.floor_divide(a, 0.7),
    "less": lambda a: np.less(0.5, a),
    "array == tensor": lambda a: a[0] == ARRAY[0],
    "array > tensor": lambda a: a < ARRAY + 0.1,
}

THEIRS = {
    "where": lambda a: np.where(a[0, 0] > 0),
    "allclose": lambda a: np.allclose(a, b=a),
    "isclose": lambda a: np.isclose(a, a + 1),
    "shape": lambda a: np.shape(a),
    "zeros_like": lambda a: np.zeros_like(a),
    "full_like": lambda a: np.full_like(a, 2.0),
    "searchsorted": lambda a: np.searchsorted(np.arange(3.0), a),
    "array_repr": lambda a: np.array_repr(a),
}

WITHOUT_OP = {
    "interp": lambda a: np.interp(a, [0.0, 1.0], [0.0, 2.0]),
    "linalg.cond": lambda a: np.linalg.cond(a[0]),
    "fft.fft": lambda a: np.abs(np.fft.fft(a)),
    "nansum": lambda a: np.nansum(a),
    "full_like": lambda a: np.full_like(np.ones(2), a[0, 0, 0] * 2),
    "full_like of itself": lambda a: np.full_like(a, fill_value=a),
    "histogram_bin_edges": lambda a: np.histogram_bin_edges(a),
    "intersect1d": lambda a: np.intersect1d(a, a),
    "arccosh": lambda a: np.arccosh(np.array(2.0) + np.square(a)),
    "hypot": lambda a: np.hypot(a, 1.0),
    "add.reduce": lambda a: np.add.reduce(a),
    "multiply.outer": lambda a: np.multiply.outer(a, np.ones(2)),
    "add.accumulate": lambda a: np.add.accumulate(a),
    "add with dtype": lambda a: np.add(a, 1.0, dtype="float64"),
}


@pytest.mark.parametrize("name", OURS)
def test_numpys_functions_stay_in_the_graph(mode, name, check_derivatives):
    function, x = OURS[name], Tensor(ARRAY)
    y, expected = function(x), function(ARRAY)
    assert isinstance(y, Tensor)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert y.requires_grad
    if mode == "eager":
        check_derivatives(function, ARRAY, tolerance=1e-5)


@pytest.mark.parametrize("name", CONSTANT)
def test_numpys_functions_without_gradient_are_needles(mode, name):
    function = CONSTANT[name]
    y, expected = function(Tensor(ARRAY)), function(ARRAY)
    assert isinstance(y, Tensor)
    assert not y.requires_grad
    np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("name", THEIRS)
def test_to_other_functions_a_tensor_is_its_array(mode, name):
    function = THEIRS[name]
    np.testing.assert_array_equal(function(Tensor(ARRAY)), function(ARRAY))


@pytest.mark.parametrize("name", WITHOUT_OP)
def test_functions_without_an_op_raise_where_a_gradient_would_be_lost(name):
    function = WITHOUT_OP[name]
    with pytest.raises(RuntimeError, match=r"np\.[\w.]+ of a tensor that requires.*x\.detach\(\)"):
        function(Tensor(ARRAY))
    constant = Tensor(ARRAY, requires_grad=False)
    np.testing.assert_allclose(function(constant), function(ARRAY))
    np.testing.assert_allclose(function(Tensor(ARRAY).detach()), function(ARRAY))
    with ndl.no_grad():
        np.testing.assert_allclose(function(Tensor(ARRAY)), function(ARRAY))


def test_forward_mode_misses_no_term_either():
    x = Tensor(ARRAY, requires_grad=False)
    for function in (
        lambda a: np.interp(a, [0.0, 1.0], [0.0, 2.0]) * a,
        lambda a: np.hypot(a, 1.0) * a,
    ):
        with pytest.raises(RuntimeError, match=r"x\.detach\(\)"):
            ndl.jvp(function, (x,), (x,))
    _, tangent = ndl.jvp(lambda a: np.linalg.norm(np.exp(a)), (x,), (x,))
    norm = np.linalg.norm(np.exp(ARRAY))
    np.testing.assert_allclose(tangent.item(), (np.exp(2 * ARRAY) * ARRAY).sum() / norm)


def test_sums_into_an_array_raise_instead_of_losing_the_gradient():
    total, x = np.zeros(3), Tensor([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match=r"np\.add of a tensor that requires"):
        total += x
    total += x.detach()
    np.testing.assert_array_equal(total, [1, 2, 3])


def test_numpys_functions_do_not_write_into_tensors():
    x = Tensor([1.0, 2.0], requires_grad=False)
    for call in (
        lambda: np.add(1.0, 1.0, out=x),
        lambda: np.copyto(x, 3.0),
        lambda: np.put(x, 0, 3.0),
        lambda: np.add.at(x, 0, 3.0),
    ):
        with pytest.raises(TypeError, match="cannot write into a Tensor"):
            call()
    np.testing.assert_array_equal(x.numpy(), [1, 2])


def test_numbers_of_numpy_do_not_widen_tensors():
    x = Tensor([1.0], dtype="float32")
    for y in (np.float64(2) * x, np.multiply(np.float64(2), x), np.float64(2) - x, np.exp(x)):
        assert y.dtype == np.float32


def test_gradients_pass_through_numpys_functions():
    x = Tensor(ARRAY)
    (np.mean(np.transpose(x), axis=0) ** 2).sum().backward()
    expected = np.broadcast_to(ARRAY.mean(-1, keepdims=True), ARRAY.shape) / 2
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_arrays_of_other_libraries_stay_their_own(strict_array):
    x = Tensor.make_const(strict_array(ARRAY))
    assert type(np.sum(x, axis=0).realize_cached_data()) is strict_array
    assert type(np.zeros_like(x)) is strict_array


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.sum(x, dtype="float32"), "dtype"),
        (lambda x: np.sum(x, 0, "float32"), "positional"),
        (lambda x: np.mean(x, out=np.zeros(())), "out"),
        (lambda x: np.max(x, initial=0), "initial"),
        (lambda x: np.reshape(x, (4, 6), order="F"), "order"),
    ],
)
def test_arguments_that_needle_does_not_have_are_refused(call, name):
    with pytest.raises(TypeError, match=rf"np\.\w+ of a Tensor: .*{name}.*it takes \(a, "):
        call(Tensor(ARRAY))


def test_reshape_takes_its_shape_in_every_form():
    x = Tensor(ARRAY)
    for y in (x.reshape(6, 4), x.reshape((6, 4)), x.reshape([6, -1]), x.reshape(shape=(6, 4))):
        assert y.shape == (6, 4)
    for y in (x.reshape(24), x.reshape(-1), x.reshape((24,)), x.reshape(shape=24)):
        assert y.shape == (24,)
    one = Tensor([1.0])
    for y in (one.reshape(()), one.reshape(shape=()), ndl.reshape(one, ())):
        assert y.shape == ()


def test_permute_takes_one_axis_as_it_is():
    assert Tensor([1.0, 2.0]).permute(0).shape == (2,)
    with pytest.raises(TypeError, match=r"axes: expected an integer or several, got 0\.5"):
        Tensor([1.0, 2.0]).permute(0.5)


def test_functions_of_scipy():
    special = pytest.importorskip("scipy.special")
    x = Tensor(ARRAY)
    for function in (special.erf, special.expit):
        assert function(x).requires_grad
        np.testing.assert_allclose(function(x).numpy(), function(ARRAY), rtol=1e-12)
    with pytest.raises(RuntimeError, match=r"^gammaln of a tensor that requires a gradient"):
        special.gammaln(x)
    np.testing.assert_array_equal(special.gammaln(x.detach()), special.gammaln(ARRAY))
