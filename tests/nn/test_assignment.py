"""Assignment to attributes of a module that hold parameters."""

import copy

import numpy as np
import pytest

import needle as ndl
from needle import nn


def train(layer: nn.Module, optimizer: ndl.optim.Optimizer) -> None:
    optimizer.reset_grad()
    (layer(ndl.Tensor([[1.0, 2.0, 3.0]], dtype="float32")) ** 2).sum().backward()
    optimizer.step()


def test_a_tensor_gives_a_parameter_its_values() -> None:
    layer = nn.Linear(3, 2)
    weight, optimizer = layer.weight, ndl.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9)
    train(layer, optimizer)
    values = np.arange(6.0, dtype="float32").reshape(3, 2)
    given = ndl.Tensor(values)
    layer.weight = given
    assert layer.weight is weight
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    np.testing.assert_array_equal(layer.state_dict()["weight"].numpy(), values)
    train(layer, optimizer)
    assert np.abs(layer.weight.numpy() - values).min() > 0  # the optimizer goes on training it
    assert layer.weight.grad is not None
    np.testing.assert_array_equal(given.numpy(), values)  # which stays as it was


@pytest.mark.parametrize("requires_grad", [True, False])
def test_requires_grad_is_that_of_the_parameter(requires_grad) -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad = False
    layer.weight = ndl.init.ones(3, 2, requires_grad=requires_grad)
    layer.bias = ndl.init.ones(1, 2, requires_grad=requires_grad)
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (False, True)


def test_a_view_of_the_parameter_itself() -> None:
    layer = nn.Linear(3, 3)
    before = layer.weight.numpy()
    layer.weight = layer.weight.data.transpose()
    np.testing.assert_array_equal(layer.weight.numpy(), before.T)


def test_a_lazy_tensor_is_computed() -> None:
    layer = nn.Linear(2, 2)
    with ndl.lazy_mode(), ndl.no_grad():
        layer.weight = ndl.init.ones(2, 2) * 3
    np.testing.assert_array_equal(layer.weight.numpy(), 3)


def test_another_parameter_takes_the_place() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    assert second.weight is first.weight
    second.weight = other = nn.Parameter(ndl.init.ones(7, 2))  # of any shape, as in PyTorch
    assert second.weight is other


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Linear(3, 2, bias=False)])
def test_none_and_back(layer) -> None:
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    with pytest.raises(TypeError, match=r"'bias' of Linear, which is None: use nn\.Parameter"):
        layer.bias = ndl.init.ones(1, 2)
    for again in (copy.deepcopy(layer), layer):
        again.bias = nn.Parameter(ndl.init.ones(1, 2))
        assert len(again.parameters()) == 2


@pytest.mark.parametrize("make", [
    lambda: nn.Bilinear(2, 2, 3, bias=False),
    lambda: nn.LayerNorm(3, bias=False),
    lambda: nn.BatchNorm1d(3, affine=False),
    lambda: nn.GroupNorm(1, 3, bias=False),
])  # fmt: skip
def test_layers_know_the_parameters_that_they_lack(make) -> None:
    with pytest.raises(TypeError, match=r"which is None"):
        make().bias = ndl.init.ones(3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.ones((3, 2), "float32"), "cannot assign ndarray as the parameter 'weight' of Linear"),
        (1.0, "cannot assign float"),
        (nn.Linear(3, 2), "cannot assign Linear"),
        ([], "cannot assign list"),
        (ndl.Tensor(np.ones((3, 2))), r"float32 .*\(3, 2\).* float64"),
        (ndl.init.ones(2, 3), r"\(3, 2\).*\(2, 3\)"),
        (ndl.init.ones(3, 2, requires_grad=True) * 2, "made by MulScalar .*not be trained"),
    ],
)
def test_what_cannot_be_assigned(value, text) -> None:
    layer = nn.Linear(3, 2)
    before, values = layer.weight, layer.weight.numpy()
    with pytest.raises(TypeError, match=text):
        layer.weight = value
    assert layer.weight is before
    np.testing.assert_array_equal(layer.weight.numpy(), values)


def test_augmented_assignment() -> None:
    layer = nn.Linear(3, 2)
    weight, values = layer.weight, layer.weight.numpy()
    with pytest.raises((RuntimeError, TypeError), match=r"Parameter|would not be trained"):
        layer.weight -= 0.1
    assert layer.weight is weight
    with ndl.no_grad():
        layer.weight -= 0.5
    assert layer.weight is weight
    np.testing.assert_array_equal(layer.weight.numpy(), values - np.float32(0.5))


# --- lists and dicts


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scales = [nn.Parameter([1.0]), nn.Parameter([2.0])]
        self.table = {"a": [nn.Parameter([3.0])], "constant": ndl.Tensor([4.0])}


def put_into_a_list(model: Listed) -> None:
    model.scales[0] = ndl.Tensor([5.0])


def put_into_a_list_in_a_dict(model: Listed) -> None:
    model.table["a"][0] = ndl.Tensor([5.0])


@pytest.mark.parametrize("put", [put_into_a_list, put_into_a_list_in_a_dict])
@pytest.mark.parametrize("use", [
    nn.Module.parameters, nn.Module.state_dict, nn.Module.train, nn.Module.zero_grad,
])  # fmt: skip
def test_a_tensor_in_the_place_of_a_parameter_in_a_list(put, use) -> None:
    model = Listed()
    assert len(model.parameters()) == 3
    put(model)
    with pytest.raises(TypeError, match=r"took the place of the parameter '(scales|table\.a)\.0'"):
        use(model)


def test_a_new_list_of_tensors_in_the_place_of_parameters() -> None:
    model = Listed()
    with pytest.raises(TypeError, match=r"took the place of the parameter 'scales\.0' of Listed"):
        model.scales = [ndl.Tensor([1.0]), ndl.Tensor([2.0])]
    assert len(model.parameters()) == 3


def test_lists_may_change_otherwise() -> None:
    model = Listed()
    model.scales.append(nn.Parameter([6.0]))
    model.scales[0] = nn.Parameter([7.0])
    model.table["constant"] = ndl.Tensor([5.0])
    assert len(model.parameters()) == 4
    del model.scales[1:]
    model.table["a"] = ndl.Tensor([8.0], requires_grad=False)
    assert len(model.parameters()) == 1
    model.scales = []
    assert model.parameters() == []


def test_parameter_list() -> None:
    scales = nn.ParameterList([nn.Parameter([1.0]), nn.Parameter([2.0])])
    first = scales[0]
    scales[0] = ndl.Tensor([3.0])
    assert scales[0] is first
    assert first.numpy() == [3.0]
    with pytest.raises(TypeError, match=r"cannot assign a Tensor as the parameter '1'"):
        scales[1] = ndl.Tensor([1.0, 2.0])
    scales[1] = other = nn.Parameter([1.0, 2.0])
    assert scales.parameters() == [first, other]


# --- register_parameter


def test_register_parameter() -> None:
    module = nn.Module()
    module.register_parameter("scale", scale := nn.Parameter([1.0]))
    module.register_parameter("shift", None)
    assert module.parameters() == [scale]
    with pytest.raises(TypeError, match="which is None"):
        module.shift = ndl.Tensor([1.0])
    with pytest.raises(TypeError, match="takes a Parameter or None, got Tensor"):
        module.register_parameter("other", ndl.Tensor([1.0]))
    for name in ("", "a.b", "scale", "train"):
        with pytest.raises(ValueError, match="is taken, or no name"):
            module.register_parameter(name, None)


def test_the_name_of_a_deleted_parameter_or_buffer_is_free() -> None:
    layer, norm = nn.Linear(2, 3), nn.BatchNorm1d(2)
    scale = nn.Parameter(ndl.init.ones(1, 3))
    direction = nn.Parameter(layer.weight.detach())
    del layer.weight
    layer.weight = direction * scale  # weight normalisation
    layer(ndl.init.ones(1, 2)).sum().backward()
    assert scale.grad is not None
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    del norm.running_mean
    norm.running_mean = "any"
    assert "running_mean" not in norm.state_dict()


def test_a_value_that_backward_needs_and_that_was_assigned() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(2, 1)
    loss = second(first(ndl.init.rand(4, 3))).sum()
    second.weight = ndl.init.ones(2, 1)
    with pytest.raises(RuntimeError, match=r"'Linear\.weight' of shape \(2, 1\).* was changed"):
        loss.backward()
