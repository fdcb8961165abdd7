"""An error inside a model is noted with the path of the layer, once."""

import traceback

import numpy as np
import pytest

import needle as ndl
from needle import nn


class Model(nn.Module):
    """Layers in a list, in a dict, and one that is called in passing."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [nn.Sequential(nn.Linear(3, 4), nn.Residual(nn.Linear(4, 4)))]
        self.heads = {"big": nn.Linear(5, 2)}

    def forward(self, x):
        return self.heads["big"](self.blocks[0](x))


def failure(call) -> tuple[str, list[str]]:
    """The text of the error that a call raises, and its notes."""
    with pytest.raises(Exception) as caught:
        call()
    return str(caught.value), getattr(caught.value, "__notes__", [])


def test_the_path_goes_from_the_model_to_the_layer() -> None:
    model = nn.Sequential(nn.Identity(), nn.Residual(nn.Sequential(nn.ReLU(), nn.Linear(3, 3))))
    assert failure(lambda: model(ndl.init.rand(2, 4))) == (
        "Linear expected (..., 3), got (2, 4)",
        ["in layer 1.fn.1 (Linear) of Sequential"],
    )


def test_a_traceback_shows_the_note() -> None:
    try:
        nn.Sequential(nn.Linear(3, 4))(ndl.init.rand(2, 7))
    except ValueError as error:
        shown = "".join(traceback.format_exception(error))
    assert shown.endswith("got (2, 7)\nin layer 0 (Linear) of Sequential\n")


def test_paths_through_lists_and_dicts() -> None:
    model = Model()
    assert failure(lambda: model(ndl.init.rand(2, 7))) == (
        "Linear expected (..., 3), got (2, 7)",
        ["in layer blocks.0.0 (Linear) of Model"],
    )
    assert failure(lambda: model(ndl.init.rand(2, 3))) == (
        "Linear expected (..., 5), got (2, 4)",
        ["in layer heads.big (Linear) of Model"],
    )


def test_a_layer_on_its_own_has_no_path() -> None:
    text = "Linear expected (..., 3), got (2, 7)"
    assert failure(lambda: nn.Linear(3, 4)(ndl.init.rand(2, 7))) == (text, [])


def test_errors_of_ops_are_located_too() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return x + ndl.init.ones(7)

    text, notes = failure(lambda: nn.Sequential(nn.ReLU(), Wrong())(ndl.init.rand(2, 3)))
    assert text.startswith("EWiseAdd of shape (2, 3) and (7,)")
    assert notes == ["in layer 1 (Wrong) of Sequential"]


class Missing(Exception):
    """An error of a user's own, with more than a text."""


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("1 // 0"), KeyError("key"), Missing("a", 3), AttributeError("x")]
)
def test_errors_of_users_keep_their_type_and_arguments(error) -> None:
    args = error.args
    error.add_note("a note of the user's")

    class Wrong(nn.Module):
        def forward(self, x):
            raise error

    model = nn.Sequential(nn.ReLU(), nn.Residual(Wrong()))
    with pytest.raises(type(error)) as caught:
        model(ndl.init.rand(2))
    assert caught.value is error
    assert error.args == args
    assert error.__notes__ == ["a note of the user's", "in layer 1.fn (Wrong) of Sequential"]


def test_errors_of_values_are_located() -> None:
    model = nn.Sequential(nn.Embedding(3, 2))
    with pytest.raises(TypeError, match=r"in layer 0 \(Embedding\)"):
        model(ndl.Tensor([0.5]))
    with pytest.raises((ValueError, IndexError), match=r"in layer 0 \(Embedding\)"):
        model(ndl.Tensor([5]))


LAYERS = [
    nn.Linear(3, 2), nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3),
    nn.Dropout(), nn.Embedding(3, 2), nn.Flatten(),
]  # fmt: skip
OPS = [  # layers that are an op each, which takes nested lists of numbers like every op
    nn.Unflatten(1, (3, 1)), nn.ReLU(), nn.GELU(), nn.Softmax(), nn.LogSoftmax(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "thing"),
    [(layer, [[1.0, 2.0, 3.0]]) for layer in LAYERS] + [(layer, None) for layer in LAYERS + OPS],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_tensor(layer, thing) -> None:
    kind = type(thing).__name__
    with pytest.raises(TypeError, match=rf"expected a Tensor.* got {kind}.*\nin layer 1 \("):
        nn.Sequential(nn.Identity(), layer)(thing)


@pytest.mark.parametrize("layer", OPS, ids=lambda layer: type(layer).__name__)
def test_ops_as_layers_take_lists(layer) -> None:
    numbers = [[1.0, -2.0, 3.0]]
    expected = layer(ndl.Tensor(numbers)).numpy()
    np.testing.assert_allclose(layer(numbers).numpy(), expected, 1e-6)


PAIRS = [
    nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCELoss(),
    nn.BCEWithLogitsLoss(), nn.KLDivLoss(), nn.CrossEntropyLoss(), nn.NLLLoss(), nn.SoftmaxLoss(),
    nn.Bilinear(3, 3, 2),
]  # fmt: skip


@pytest.mark.parametrize("layer", PAIRS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("thing", [[[1.0, 2.0, 3.0]], None])
def test_first_operands_that_are_no_tensors(layer, thing) -> None:
    with pytest.raises(TypeError, match=rf"expected a Tensor.* got {type(thing).__name__}"):
        layer(thing, ndl.Tensor([[1.0, 2.0, 3.0]]))


def test_mistakes_in_a_users_forward_stay_as_they_are() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return self.layer(x)

    with pytest.raises(AttributeError, match="'Wrong' object has no attribute 'layer'"):
        nn.Sequential(Wrong())([1.0])


def test_the_path_is_that_of_the_outermost_model() -> None:
    inner = nn.Sequential(nn.Linear(3, 4))
    outer = nn.Sequential(nn.Identity(), inner)
    _, notes = failure(lambda: inner(ndl.init.rand(2, 4)))
    assert notes == ["in layer 0 (Linear) of Sequential"]
    _, notes = failure(lambda: outer(ndl.init.rand(2, 4)))
    assert notes == ["in layer 1.0 (Linear) of Sequential"]


def test_a_layer_that_the_model_does_not_hold() -> None:
    stray = nn.Linear(3, 4)

    class Caller(nn.Module):
        def forward(self, x):
            return stray(x)

    text, notes = failure(lambda: nn.Sequential(Caller())(ndl.init.rand(2, 7)))
    assert text.startswith("Linear expected")
    assert notes == []


def test_errors_in_hooks_are_located() -> None:
    def refuse(*_):
        raise ValueError("not today")

    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    model[1].register_forward_hook(refuse)
    expected = "not today", ["in layer 1 (Tanh) of Sequential"]
    assert failure(lambda: model(ndl.init.rand(2))) == expected


def test_a_model_that_calls_itself() -> None:
    class Endless(nn.Module):
        def forward(self, x):
            return self(x)

    with pytest.raises(RecursionError):
        nn.Sequential(Endless())(ndl.init.rand(2))


def test_batch_norm_in_training_says_where() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    text, notes = failure(lambda: model(ndl.init.rand(1, 3)))
    assert text.startswith("batch normalisation in training")
    assert notes == ["in layer 1 (BatchNorm1d) of Sequential"]
    assert model.eval()(ndl.init.rand(1, 3)).shape == (1, 4)


def test_the_pair_that_a_recurrent_layer_returns() -> None:
    model = nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 2))
    with pytest.raises(TypeError, match="Linear expected a Tensor, got tuple: pass one of its"):
        model(ndl.init.randn(5, 2, 3))
