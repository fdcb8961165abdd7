"""An error inside a model names the layer by its path, once."""

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


def message(call) -> str:
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        call()
    return str(caught.value)


def test_the_path_goes_from_the_model_to_the_layer() -> None:
    model = nn.Sequential(nn.Identity(), nn.Residual(nn.Sequential(nn.ReLU(), nn.Linear(3, 3))))
    assert message(lambda: model(ndl.init.rand(2, 4))) == (
        "1.fn.1: Linear expected (..., 3), got (2, 4)"
    )


def test_paths_through_lists_and_dicts() -> None:
    model = Model()
    assert message(lambda: model(ndl.init.rand(2, 7))).startswith("blocks.0.0: Linear expected")
    assert message(lambda: model(ndl.init.rand(2, 3))) == (
        "heads.big: Linear expected (..., 5), got (2, 4)"
    )


def test_a_layer_on_its_own_has_no_path() -> None:
    assert message(lambda: nn.Linear(3, 4)(ndl.init.rand(2, 7))) == (
        "Linear expected (..., 3), got (2, 7)"
    )


def test_errors_of_ops_are_located_too() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return x + ndl.init.ones(7)

    text = message(lambda: nn.Sequential(nn.ReLU(), Wrong())(ndl.init.rand(2, 3)))
    assert text.startswith("1: EWiseAdd of shape (2, 3) and (7,)")


def test_the_type_of_the_error_stays() -> None:
    model = nn.Sequential(nn.Embedding(3, 2))
    with pytest.raises(TypeError, match=r"^0: Embedding expected whole numbers"):
        model(ndl.Tensor([0.5]))
    with pytest.raises(ValueError, match=r"^0: Embedding expected indices from 0 to 2, got 5 to 5"):
        model(ndl.Tensor([5]))


LAYERS = [
    nn.Linear(3, 2), nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3),
    nn.Dropout(), nn.Embedding(3, 2), nn.Flatten(), nn.Unflatten(1, (3, 1)), nn.ReLU(), nn.GELU(),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("thing", [[[1.0, 2.0, 3.0]], None])
def test_what_is_no_tensor(layer, thing) -> None:
    with pytest.raises(TypeError, match=rf"^1: .* expected a Tensor.* got {type(thing).__name__}"):
        nn.Sequential(nn.Identity(), layer)(thing)


def test_arrays_of_indices_are_wrapped_first() -> None:
    text = message(lambda: nn.Sequential(nn.Embedding(3, 2))(np.array([1, 2])))
    assert text == "0: Embedding expected a Tensor, got ndarray: wrap it with needle.Tensor(...)"


def test_mistakes_in_a_users_forward_stay_as_they_are() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return self.layer(x)

    with pytest.raises(AttributeError, match="'Wrong' object has no attribute 'layer'"):
        nn.Sequential(Wrong())([1.0])


def test_arithmetic_errors_are_located() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return x / (1 // 0)

    with pytest.raises(ZeroDivisionError, match=r"^1: "):
        nn.Sequential(nn.ReLU(), Wrong())(ndl.init.rand(2))


def test_the_path_is_that_of_the_outermost_model() -> None:
    inner = nn.Sequential(nn.Linear(3, 4))
    outer = nn.Sequential(nn.Identity(), inner)
    assert message(lambda: inner(ndl.init.rand(2, 4))).startswith("0: Linear")
    assert message(lambda: outer(ndl.init.rand(2, 4))).startswith("1.0: Linear")


def test_a_layer_that_the_model_does_not_hold() -> None:
    stray = nn.Linear(3, 4)

    class Caller(nn.Module):
        def forward(self, x):
            return stray(x)

    assert message(lambda: nn.Sequential(Caller())(ndl.init.rand(2, 7))).startswith(
        "Linear expected"
    )


def test_errors_in_hooks_are_located() -> None:
    def refuse(*_):
        raise ValueError("not today")

    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    model[1].register_forward_hook(refuse)
    assert message(lambda: model(ndl.init.rand(2))) == "1: not today"


def test_batch_norm_in_training_says_where() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    assert message(lambda: model(ndl.init.rand(1, 3))).startswith(
        "1: batch normalisation in training"
    )
    assert model.eval()(ndl.init.rand(1, 3)).shape == (1, 4)
