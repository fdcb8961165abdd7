"""Module: what it finds in its attributes, modes, and its printed tree."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


class Everywhere(nn.Module):
    """Parameters and modules in attributes, lists, tuples and dicts, and tensors that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter([1.0])
        self.layers = [nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))]
        self.table = {"a": nn.Parameter([2.0]), "b": (nn.Linear(1, 1), nn.Parameter([3.0]))}
        self.constant = ndl.Tensor([4.0])
        self.last = nn.Parameter([5.0])

    def forward(self, x):
        return self.layers[1](self.layers[0](x)) * self.first


def test_parameters_are_found_everywhere_in_order() -> None:
    model = Everywhere()
    assert [name for name, _ in model.named_parameters()] == [
        "first",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.1.weight",
        "table.a",
        "table.b.0.weight",
        "table.b.0.bias",
        "table.b.1",
        "last",
    ]
    assert model.parameters() == [parameter for _, parameter in model.named_parameters()]
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())


def test_named_parameters_take_a_prefix() -> None:
    names = [name for name, _ in nn.Linear(2, 3).named_parameters("head")]
    assert names == ["head.weight", "head.bias"]


def test_children_and_modules() -> None:
    model = Everywhere()
    children = dict(model.named_children())
    assert list(children) == ["layers.0", "layers.1", "table.b.0"]
    assert children["layers.1"] is model.layers[1]
    modules = dict(model.named_modules())
    assert list(modules) == ["", "layers.0", "layers.1", "layers.1.0", "layers.1.1", "table.b.0"]
    assert model._children() == list(modules.values())[1:]


def test_a_shared_parameter_is_listed_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.Sequential(first, nn.ReLU(), second, first)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "2"]
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"]
    assert repr(model).count("Linear") == 3
    met = []
    model.apply(met.append)
    assert met == [first, model[1], second, model]


def test_a_module_that_holds_itself_ends() -> None:
    model = nn.Linear(2, 2)
    model.me = [model]
    assert len(model.parameters()) == 2
    assert model.eval().training is False


def test_training_mode_reaches_every_module() -> None:
    model = Everywhere()
    assert model.training
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    assert model.train() is model
    assert all(module.training for _, module in model.named_modules())
    assert not model.train(False).training


def test_a_module_inside_may_keep_a_part_in_evaluation_mode() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.drop = nn.BatchNorm1d(2), nn.Dropout()

        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    model = nn.Sequential(nn.Sequential(Frozen()), nn.ReLU())
    for mode in (True, False):
        assert model.train(mode) is model
        modes = {path: module.training for path, module in model.named_modules()}
        assert modes.pop("0.0.norm") is False
        assert set(modes.values()) == {mode}


def test_zero_grad() -> None:
    model = Everywhere()
    model(ndl.init.rand(5, 2)).sum().backward()
    assert model.first.grad is not None
    model.zero_grad(set_to_none=False)
    assert model.first.grad.numpy() == 0
    assert model.table["a"].grad is None  # which had none
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_repr_is_a_tree_with_sizes() -> None:
    model = nn.Sequential(nn.Linear(784, 100), nn.Residual(nn.Sequential(nn.ReLU())))
    assert repr(model) == "\n".join(
        [
            "Sequential(  # 78,500 parameters",
            "  (0): Linear(784, 100)  # 78,500 parameters",
            "  (1): Residual(",
            "    (fn): Sequential(",
            "      (0): ReLU()",
            "    )",
            "  )",
            ")",
        ]
    )
    assert repr(nn.Linear(3, 1, bias=False)) == "Linear(3, 1, bias=False)  # 3 parameters"


def test_a_parameter_is_a_tensor_that_requires_a_gradient() -> None:
    parameter = nn.Parameter(np.ones(3, np.float32))
    assert isinstance(parameter, ndl.Tensor)
    assert parameter.requires_grad
    assert parameter.is_leaf()
    assert parameter.dtype == np.float32


def test_a_module_without_forward() -> None:
    with pytest.raises(NotImplementedError, match=r"Module defines no forward\(\)"):
        nn.Module()()
