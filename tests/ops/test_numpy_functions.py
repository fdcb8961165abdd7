"""NumPy's functions on Tensors, and methods called by the argument names of other libraries."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

ARRAY = np.random.default_rng(0).normal(size=(2, 3, 4))

OURS = {
    "sum": lambda a: np.sum(a),
    "sum over an axis": lambda a: np.sum(a, axis=1),
    "sum over axes": lambda a: np.sum(a, (0, -1), keepdims=True),
    "mean": lambda a: np.mean(a, axis=-1),
    "var": lambda a: np.var(a, axis=0, ddof=1),
    "max": lambda a: np.max(a, 2),
    "amax": lambda a: np.amax(a),
    "min": lambda a: np.min(a, axis=(0, 1), keepdims=True),
    "amin": lambda a: np.amin(a),
    "argmax": lambda a: np.argmax(a, axis=1),
    "clip": lambda a: np.clip(a, -0.5, 0.5),
    "clip below": lambda a: np.clip(a, -0.5, None),
    "reshape": lambda a: np.reshape(a, (4, -1)),
    "transpose": lambda a: np.transpose(a),
    "transpose by axes": lambda a: np.transpose(a, (1, 2, 0)),
    "squeeze": lambda a: np.squeeze(a),
    "squeeze an axis": lambda a: np.squeeze(a[:, :1], axis=1),
    "expand_dims": lambda a: np.expand_dims(a, (0, -1)),
    "flip": lambda a: np.flip(a, axis=1),
    "std": lambda a: np.std(a, axis=0, ddof=1),
    "prod": lambda a: np.prod(a, axis=1),
    "cumsum": lambda a: np.cumsum(a),
    "cumsum along an axis": lambda a: np.cumsum(a, axis=1),
    "concatenate": lambda a: np.concatenate([a, a], axis=1),
    "concatenate with an array": lambda a: np.concatenate((np.ones((2, 3, 4)), a)),
    "stack": lambda a: np.stack((a, a), axis=-1),
    "broadcast_to": lambda a: np.broadcast_to(a, (5, 2, 3, 4)),
}

THEIRS = {
    "linalg.norm": lambda a: np.linalg.norm(a),
    "where": lambda a: np.where(a[0, 0] > 0),
    "allclose": lambda a: np.allclose(a, b=a),
    "moveaxis": lambda a: np.moveaxis(a, 0, -1),
    "shape": lambda a: np.shape(a),
    "tile": lambda a: np.tile(a, 2),
}


@pytest.mark.parametrize("name", OURS)
def test_numpys_functions_stay_in_the_graph(mode, name):
    function, x = OURS[name], Tensor(ARRAY)
    y, expected = function(x), function(ARRAY)
    assert isinstance(y, Tensor)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    assert y.requires_grad == (name != "argmax")


@pytest.mark.parametrize("name", THEIRS)
def test_to_other_functions_a_tensor_is_its_array(mode, name):
    function = THEIRS[name]
    np.testing.assert_array_equal(function(Tensor(ARRAY)), function(ARRAY))


def test_gradients_pass_through_numpys_functions():
    x = Tensor(ARRAY)
    (np.mean(np.transpose(x), axis=0) ** 2).sum().backward()
    expected = np.broadcast_to(ARRAY.mean(-1, keepdims=True), ARRAY.shape) / 2
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_arrays_of_other_libraries_stay_their_own(strict_array):
    x = Tensor.make_const(strict_array(ARRAY))
    assert type(np.sum(x, axis=0).realize_cached_data()) is strict_array
    assert type(np.tile(x, 2)) is strict_array


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


def test_elementwise_functions_of_numpy_are_refused():
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.exp(Tensor([1.0]))


@pytest.mark.parametrize(
    "method",
    ["sum", "mean", "var", "max", "min", "logsumexp", "softmax", "squeeze", "flip", "expand_dims"],
)
@pytest.mark.parametrize("name", ["axis", "dim"])
def test_methods_tell_needles_name_of_an_argument(method, name):
    with pytest.raises(TypeError, match=rf"{method}\(\) has no argument '{name}': .* it 'axes'"):
        getattr(Tensor([[1.0]]), method)(**{name: 0})


def test_unknown_arguments_of_methods_are_named():
    for method in ("sum", "mean"):
        with pytest.raises(TypeError, match=rf"{method}\(\) has no argument 'where'$"):
            getattr(Tensor([1.0]), method)(where=True)
        with pytest.raises(TypeError, match="'keepdim': needle calls it 'keepdims'"):
            getattr(Tensor([1.0]), method)(0, keepdim=True)


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
