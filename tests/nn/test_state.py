"""Buffers, state_dict and load_state_dict, conversion, freezing, apply."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.autograd import modes


class Counter(nn.Module):
    """Buffers of three kinds: kept, not kept, and not there yet."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.register_buffer("count", ndl.Tensor([0, 0]))
        self.register_buffer("scratch", ndl.Tensor([1.0]), persistent=False)
        self.register_buffer("later", None)

    def forward(self, x):
        return self.layer(x)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Residual(nn.Linear(4, 4)), [nn.Linear(4, 2)][0]
    )


def arrays(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return list(left) == list(right) and all((left[name] == right[name]).all() for name in left)


# --- buffers


def test_buffers() -> None:
    model = nn.Sequential(Counter(), nn.BatchNorm1d(3))
    assert [name for name, _ in model.named_buffers()] == [
        "0.count", "0.scratch", "1.running_mean", "1.running_var",
    ]  # fmt: skip
    assert len(list(model.buffers())) == 4
    assert not any(tensor.requires_grad for tensor in model.buffers())
    assert [name for name, _ in model[0].named_parameters()] == ["layer.weight", "layer.bias"]


def test_a_buffer_is_an_attribute_that_can_be_set() -> None:
    model = Counter()
    model.count = model.count + 1
    model.later = ndl.Tensor([7.0], requires_grad=False)
    state = arrays(model)
    np.testing.assert_array_equal(state["count"], [1, 1])
    np.testing.assert_array_equal(state["later"], [7.0])
    model.register_buffer("count", ndl.Tensor([5]))  # once more, under its own name
    np.testing.assert_array_equal(arrays(model)["count"], [5])


@pytest.mark.parametrize("name", ["layer", "forward", "training", "a.b", ""])
def test_names_that_no_buffer_can_have(name) -> None:
    with pytest.raises(ValueError, match=f"register_buffer: '{name}' is taken, or no name"):
        Counter().register_buffer(name, ndl.Tensor([1.0]))


def test_a_buffer_is_a_tensor() -> None:
    with pytest.raises(TypeError, match="takes a Tensor or None, got ndarray"):
        Counter().register_buffer("new", np.ones(2))


def test_what_is_trained_cannot_become_a_buffer() -> None:
    """Its gradient would be lost without a word."""
    weight = nn.Parameter(ndl.Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="'weight' is a Parameter, and a buffer is not trained"):
        nn.CrossEntropyLoss(weight=weight)
    with pytest.raises(RuntimeError, match="register_buffer of a tensor that is being diff"):
        ndl.grad(lambda w: nn.CrossEntropyLoss(weight=w)(np.eye(2), [0, 1]))(weight)
    assert not nn.CrossEntropyLoss(weight=ndl.Tensor([1.0, 2.0])).weight.requires_grad


# --- state


def test_state_holds_parameters_and_persistent_buffers() -> None:
    assert list(nn.Sequential(Counter()).state_dict()) == [
        "0.layer.weight",
        "0.layer.bias",
        "0.count",
    ]
    assert list(network().state_dict()) == [
        "0.weight", "0.bias",
        "1.weight", "1.bias", "1.running_mean", "1.running_var",
        "2.fn.weight", "2.fn.bias",
        "3.weight", "3.bias",
    ]  # fmt: skip


def test_state_shares_memory_and_requires_no_gradient() -> None:
    model = network()
    state = model.state_dict()
    assert not any(tensor.requires_grad for tensor in state.values())
    model[0].weight.realize_cached_data()[...] = 3
    assert (state["0.weight"].numpy() == 3).all()


def test_a_round_trip_makes_two_models_equal() -> None:
    first, second = network(), network()
    x = ndl.init.randn(8, 3)
    first(x)  # moves the running statistics
    before = dict(second.named_parameters())
    assert second.load_state_dict(first.state_dict()) == ([], [])
    assert same(arrays(first), arrays(second))
    np.testing.assert_array_equal(first.eval()(x).numpy(), second.eval()(x).numpy())
    for name, parameter in second.named_parameters():  # the same tensors with other values
        assert parameter is before[name]
        assert parameter.requires_grad
    first[0].weight.realize_cached_data()[...] = 0
    assert (second[0].weight.numpy() != 0).any()


def test_arrays_and_other_dtypes_are_converted() -> None:
    model = network()
    state = {name: array.astype("float64") for name, array in arrays(network()).items()}
    model.load_state_dict(state)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {np.dtype("float32")}
    np.testing.assert_allclose(model[0].weight.numpy(), state["0.weight"], rtol=1e-7)


def test_a_shared_parameter_stands_under_each_of_its_names() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(model.parameters()) == 2


def test_all_that_does_not_fit_is_listed_and_nothing_loaded() -> None:
    model = network()
    before = arrays(model)
    state = arrays(network())
    del state["0.weight"], state["1.running_var"]
    state["3.bias"] = np.zeros((1, 5))
    state["2.fn.weight"] = np.zeros(16)
    state["9.weight"] = np.zeros(1)
    with pytest.raises(ValueError, match="does not fit this Sequential, nothing was") as caught:
        model.load_state_dict(state)
    for line in [
        "2.fn.weight has shape (4, 4) in the model, (16,) in the state",
        "3.bias has shape (1, 2) in the model, (1, 5) in the state",
        "0.weight is missing from the state",
        "1.running_var is missing from the state",
        "9.weight is unknown to the model",
    ]:
        assert line in str(caught.value)
    assert same(arrays(model), before)


def test_not_strict_loads_what_is_there() -> None:
    model = network()
    keys = model.load_state_dict({"0.bias": np.ones((1, 4)), "head": np.ones(1)}, strict=False)
    assert keys.unexpected_keys == ["head"]
    assert "0.weight" in keys.missing_keys
    assert (model[0].bias.numpy() == 1).all()
    with pytest.raises(ValueError, match=r"0\.bias has shape"):  # shapes must fit all the same
        model.load_state_dict({"0.bias": np.ones(3)}, strict=False)


def test_values_that_are_no_tensors() -> None:
    state = {**network().state_dict(), "0.bias": "three"}
    with pytest.raises(
        TypeError, match=r"state of 0\.bias: expected a Tensor or an array of real numbers, got str"
    ):
        network().load_state_dict(state)
    state["0.bias"] = np.ones((1, 4), complex)
    with pytest.raises(TypeError, match="got complex128"):
        network().load_state_dict(state)


@pytest.mark.parametrize("state", [[np.ones(1)], "weights.safetensors", None])
def test_a_state_is_a_dict(state) -> None:
    with pytest.raises(TypeError, match="takes a dict of names and Tensors, got"):
        network().load_state_dict(state)


def test_a_buffer_stays_a_tensor_or_none() -> None:
    layer = Counter()
    with pytest.raises(TypeError, match="cannot assign ndarray as the buffer 'count': expected"):
        layer.count = np.ones(2)
    layer.count = None
    assert [*layer.state_dict()] == ["layer.weight", "layer.bias"]
    layer.count = ndl.Tensor([3.0], requires_grad=False)
    assert "count" in layer.state_dict()


@pytest.mark.parametrize("make", [lambda: nn.Parameter([1.0]), lambda: nn.Linear(1, 1)])
def test_two_tensors_under_one_path(make) -> None:
    model = nn.Module()
    model.table = {1: make(), "1": make()}
    state = nn.Module().state_dict()
    for use in (model.state_dict, model.parameters, lambda: model.load_state_dict(state)):
        with pytest.raises(ValueError, match=r"two tensors have the path 'table\.1"):
            use()
    model.table = {1: model.table[1], "1": model.table[1]}  # one tensor: nothing is lost
    assert len(model.state_dict()) == len(model.parameters())


def test_a_name_with_a_dot_that_is_a_path() -> None:
    model = nn.Module()
    model.part = nn.Linear(1, 1)
    setattr(model, "part.weight", nn.Parameter([1.0]))
    with pytest.raises(ValueError, match=r"two tensors have the path 'part\.weight'"):
        model.state_dict()


# --- conversion


def test_double_and_float_keep_the_tensors() -> None:
    model = nn.Sequential(Counter(), nn.BatchNorm1d(3))
    tensors = [*model.parameters(), *model.buffers()]
    model(ndl.init.rand(4, 2)).sum().backward()
    assert model.double() is model
    assert [*model.parameters(), *model.buffers()] == tensors
    dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    assert dtypes.pop("0.count") == np.int64  # integers stay
    assert set(dtypes.values()) == {np.dtype("float64")}
    assert model[0].layer.weight.grad.dtype == np.float64
    y = model(ndl.init.rand(4, 2, dtype="float64"))
    assert y.dtype == np.float64
    y.sum().backward()
    assert model.float()(ndl.init.rand(4, 2)).dtype == np.float32


@pytest.mark.parametrize(
    "convert",
    [
        lambda model: model.to("float64"),
        lambda model: model.to(dtype=np.float64),
        lambda model: model.to(ndl.cpu(), np.float64),
        lambda model: model.to(np.float64, device=ndl.cpu()),
    ],
)
def test_to(convert) -> None:
    model = convert(network())
    assert {parameter.dtype for parameter in model.parameters()} == {np.dtype("float64")}
    assert all(parameter.device is ndl.cpu() for parameter in model.parameters())


def test_to_a_device_alone_changes_no_values() -> None:
    model = network()
    before = arrays(model)
    assert same(arrays(model.to(ndl.cpu())), before)


@pytest.mark.parametrize("dtype", ["int64", bool])
def test_a_model_is_made_of_floats(dtype) -> None:
    with pytest.raises(TypeError, match="floating-point numbers, got dtype"):
        network().to(dtype)


@pytest.mark.parametrize("unknown", ["flot32", "gpu", 3.0])
def test_unknown_devices_and_dtypes_are_named(unknown) -> None:
    with pytest.raises(TypeError, match=f"got {unknown!r}.*'cpu', 'cuda'"):
        network().to(unknown)


# --- freezing, apply


def test_a_frozen_part_gets_no_gradient() -> None:
    model = network()
    assert model[0].requires_grad_(False) is model[0]
    model(ndl.init.randn(4, 3)).sum().backward()
    assert all(parameter.grad is None for parameter in model[0].parameters())
    assert all(parameter.grad is not None for parameter in model[2].parameters())
    model.requires_grad_()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_apply_meets_every_module_children_first() -> None:
    model = nn.Sequential(nn.Residual(nn.Linear(2, 2)), nn.ReLU())
    met = []
    assert model.apply(met.append) is model
    assert met == [model[0].fn, model[0], model[1], model]


def test_apply_initialises() -> None:
    def initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 2)

    model = network().apply(initialise)
    assert (model[2].fn.weight.numpy() == 2).all()


def test_assignments_to_a_model_are_observed() -> None:
    model, source = network(), network()
    state = source.state_dict()
    assigned = []
    watch = modes.override(modes.observers, (lambda value, op, inputs: assigned.append(value),))
    with watch:
        model.load_state_dict(state)
    tensors = [*model.parameters(), *model.buffers()]
    assert {id(tensor) for tensor in tensors} == {id(value) for value in assigned}
    assigned.clear()
    with watch:
        model.to("float64")
    assert {id(tensor) for tensor in tensors} <= {id(value) for value in assigned}
