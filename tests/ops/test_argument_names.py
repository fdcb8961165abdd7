"""NumPy's and PyTorch's names of arguments are understood by every function and method."""

import inspect

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, linalg, ops
from needle.nn import functional
from needle.ops.names import SYNONYMS, by_any_name, speller

AXES, KEEPDIMS = SYNONYMS[0], SYNONYMS[1]
FUNCTIONS = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (ops, linalg, functional)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
} | {
    f"Tensor.{name}": method
    for name, method in inspect.getmembers(Tensor, inspect.isfunction)
    if not name.startswith("_")
}


def parameters(function):
    return set(inspect.signature(function).parameters)


WITH_AXES = [name for name, function in FUNCTIONS.items() if parameters(function) & set(AXES)]


def test_there_are_many():
    assert len(WITH_AXES) > 60
    for name in ("sum", "max", "softmax", "gather", "sort", "norm", "unsqueeze", "squeeze"):
        assert any(each.endswith(f".{name}") for each in WITH_AXES), name


def complaint(function, name):
    """What a call with an argument of this name and nothing else complains about."""
    with pytest.raises(Exception) as caught:
        function(**{name: 0})
    return str(caught.value)


@pytest.mark.parametrize("name", WITH_AXES)
def test_every_function_of_axes_knows_all_their_names(name):
    function = FUNCTIONS[name]
    group = (AXES, KEEPDIMS) if parameters(function) & set(KEEPDIMS) else (AXES,)
    for synonym in [each for names in group for each in names]:
        text = complaint(function, synonym)
        assert f"argument '{synonym}'" not in text, text


REDUCTIONS = [
    "all", "any", "logsumexp", "max", "mean", "min", "prod", "std", "sum", "var", "argmax",
    "argmin", "norm",
]  # fmt: skip


@pytest.mark.parametrize("method", REDUCTIONS)
def test_reductions_by_every_name(method):
    x = Tensor([[0.5, 2.0, 1.0], [3.0, 1.5, 0.1]])
    function = getattr(x, method)
    expected = function(axis=1, keepdims=True).numpy()
    assert expected.shape == (2, 1)
    for axes in ("axis", "axes", "dim"):
        for keep in ("keepdims", "keepdim"):
            options = {axes: 1, keep: True}
            if axes == "dim" and method in ("std", "var"):
                with pytest.warns(UserWarning, match=r"dim=.*by n, as in NumPy; PyTorch .* n - 1"):
                    function(**options)
                options["correction"] = 0
            np.testing.assert_array_equal(function(**options).numpy(), expected)


@pytest.mark.parametrize(
    "method", ["softmax", "flip", "cumsum", "cumprod", "argsort", "sort", "diff", "logcumsumexp"]
)
def test_functions_along_an_axis_by_every_name(method):
    x = Tensor([[0.5, 2.0, 1.0], [3.0, 1.5, 0.1]])
    expected = getattr(x, method)(axis=0).numpy()
    for name in ("axes", "dim"):
        np.testing.assert_array_equal(getattr(x, method)(**{name: 0}).numpy(), expected)


def test_other_names_of_pytorch_and_numpy():
    x = Tensor([[-2.0, 0.5], [3.0, 1.0]])
    expected = np.clip(x.numpy(), -1, 1)
    for y in (x.clip(-1, 1), x.clamp(min=-1, max=1), ndl.clip(x, a_min=-1, a_max=1)):
        np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(ndl.flip(x, dims=(0,)).numpy(), np.flip(x.numpy(), 0))
    for y in (x.var(correction=1), x.var(unbiased=True), x.var(ddof=1)):
        np.testing.assert_allclose(y.item(), np.var(x.numpy(), ddof=1))
    assert ndl.cat([x, x], dim=1).shape == ndl.stack([x, x], dim=1).reshape(2, 4).shape
    assert x.unsqueeze(dim=1).shape == x.expand_dims(axis=1).shape == (2, 1, 2)
    np.testing.assert_array_equal(
        ndl.roll(x, shifts=1, dims=0).numpy(), np.roll(x.numpy(), 1, axis=0)
    )
    for y in (ndl.triu(x, 1), ndl.triu(x, k=1), ndl.triu(x, diagonal=1)):
        np.testing.assert_array_equal(y.numpy(), np.triu(x.numpy(), 1))
    assert ndl.norm(x, p="fro", dim=(0, 1)).item() == pytest.approx(np.linalg.norm(x.numpy()))


def test_unknown_arguments_are_named():
    x = Tensor([1.0])
    for method in ("sum", "mean", "max"):
        with pytest.raises(TypeError, match=rf"{method}\(\) has no argument 'where'$"):
            getattr(x, method)(where=True)


def test_an_argument_given_twice_is_an_error():
    x = Tensor([[1.0]])
    for function in (ndl.sum, ndl.mean, ndl.max):
        with pytest.raises(TypeError, match=r"\(\) got 'axes' twice: as axis and dim"):
            function(x, axis=0, dim=0)
        with pytest.raises(TypeError, match="multiple values for argument 'axes'"):
            function(x, 0, dim=0)


def test_several_axes_are_a_tuple():
    x = Tensor(np.ones((2, 3)))
    assert x.sum((0, 1)).item() == 6
    for method in ("sum", "max", "logsumexp", "prod", "mean"):
        with pytest.raises(TypeError, match="keepdims is True or False, got 1: give axes as a"):
            getattr(x, method)(0, 1)


def test_moments_take_keepdims_by_name_only():
    x = Tensor([[1.0, 2.0]])  # PyTorch's second argument is `unbiased`
    for method in ("var", "std"):
        with pytest.raises(TypeError, match="positional argument"):
            getattr(x, method)(1, True)


def test_users_functions_can_have_synonyms_too():
    @by_any_name
    def total(x: Tensor, axis: int = 0) -> Tensor:
        """The sum."""
        return x.sum(axis)

    assert total(Tensor([[1.0, 2.0]]), dim=1).item() == 3
    assert (total.__name__, total.__doc__) == ("total", "The sum.")
    assert speller("f", ["axis", "dim"])({"dim": 1}) == {"dim": 1}
