"""Sequential, Residual, ModuleList, ModuleDict, ParameterList."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn, ops


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]


# --- Sequential


def test_sequential_holds_its_modules() -> None:
    layers = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)
    model = nn.Sequential(*layers)
    assert tuple(model.modules) == layers
    x = ndl.init.rand(5, 3)
    np.testing.assert_array_equal(model(x).numpy(), layers[2](layers[1](layers[0](x))).numpy())


def test_sequential_of_nothing_is_the_identity() -> None:
    x = ndl.init.rand(2)
    assert nn.Sequential()(x) is x


def test_sequential_is_a_sequence() -> None:
    layers = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert tuple(model) == layers
    assert (model[0], model[-1]) == (layers[0], layers[2])
    head = model[:2]
    assert type(head) is nn.Sequential
    assert tuple(head) == layers[:2]
    assert tuple(model[::-1]) == layers[::-1]
    with pytest.raises(IndexError):
        model[3]


def test_sequential_grows_and_changes() -> None:
    model = nn.Sequential(nn.Linear(3, 4)).append(nn.ReLU()).append(nn.Linear(4, 2))
    assert names(model) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    model[1] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    model[-1] = nn.Linear(4, 7, bias=False)
    assert model(ndl.init.rand(5, 3)).shape == (5, 7)
    assert names(model) == ["0.weight", "0.bias", "2.weight"]


def test_sequential_has_the_methods_of_a_list() -> None:
    first, second, third = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)
    model = nn.Sequential(first)
    model.extend([third])
    model.insert(1, second)
    assert model.modules == (first, second, third)
    assert model.pop() is third
    model += [third, nn.Tanh()]
    del model[-1]
    model[1:2] = [nn.Tanh(), second]
    assert [type(module).__name__ for module in model] == ["Linear", "Tanh", "ReLU", "Linear"]
    del model[1:3]
    assert names(model) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert (third in model, model.index(third)) == (True, 1)
    with pytest.raises(TypeError, match=r"write ReLU\(\)"):
        model[:1] = [nn.ReLU]
    assert len(model) == 2


def test_a_subclass_of_sequential_keeps_its_own_attributes() -> None:
    class Classifier(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(3, 4))
            self.scale = nn.Parameter([2.0])

    assert names(Classifier()) == ["0.weight", "0.bias", "scale"]
    assert names(Classifier()[:1]) == ["0.weight", "0.bias"]


def test_functions_can_stand_in_a_sequential() -> None:
    model = nn.Sequential(nn.Linear(3, 4), ops.relu)
    assert model(ndl.init.rand(2, 3)).numpy().min() >= 0
    assert names(model) == ["0.weight", "0.bias"]


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (nn.ReLU, r"write ReLU\(\)"),
        ([nn.Linear(1, 1)], r"write Sequential\(\*list\)"),
        ({"a": nn.Linear(1, 1)}, r"write Sequential\(\*dict\.values\(\)\)"),
        (None, "got None"),
    ],
)
def test_what_is_no_module(thing, text) -> None:
    model = nn.Sequential(nn.Identity())
    puts = [nn.Sequential, model.append, lambda value: model.__setitem__(0, value)]
    for put in puts[isinstance(thing, dict) :]:  # a dict names the modules of a new Sequential
        with pytest.raises(TypeError, match=text):
            put(thing)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_is_torchs(same_module, dtype) -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)

    def network(library, where):
        return library.Sequential(
            library.Linear(6, 5, dtype=where),
            library.Tanh(),
            library.Linear(5, 4, dtype=where),
            library.ReLU(),
            library.Linear(4, 3, bias=False, dtype=where),
            library.Sigmoid(),
        )

    same_module(
        network(nn, dtype),
        network(torch.nn, getattr(torch, dtype)),
        np.random.randn(8, 6).astype(dtype),
    )


LAYERS = ["Linear", "ReLU", "Tanh", "LayerNorm", "BatchNorm1d", "GELU", "Softplus", "Flatten"]


@given(
    kinds=st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5),
    rows=st.integers(2, 5),
    features=st.integers(2, 5),
    training=st.booleans(),
)
@settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_stack_of_layers_is_torchs(same_module, kinds, rows, features, training) -> None:
    torch = pytest.importorskip("torch")

    def stack(library, where):
        arguments = {
            "Linear": ((features, features), {"dtype": where}),
            "LayerNorm": ((features,), {"dtype": where}),
            # a large eps, for a batch of few rows may have columns that are almost constant
            "BatchNorm1d": ((features,), {"dtype": where, "eps": 0.1}),
        }
        layers = [(kind, *arguments.get(kind, ((), {}))) for kind in kinds]
        built = [getattr(library, kind)(*args, **options) for kind, args, options in layers]
        return library.Sequential(*built).train(training)

    x = np.random.RandomState(rows).randn(rows, features)
    same_module(stack(nn, "float64"), stack(torch.nn, torch.float64), x)


# --- Residual


def test_residual_adds_its_input() -> None:
    x = ndl.Tensor([[-1.0, 2.0]])
    y = nn.Residual(nn.ReLU())(x)
    np.testing.assert_array_equal(y.numpy(), [[-1.0, 4.0]])
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 2.0]])
    assert names(nn.Residual(nn.Linear(2, 2))) == ["fn.weight", "fn.bias"]


# --- ModuleList


def test_module_list_is_a_list() -> None:
    first, second, third = nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)
    modules = nn.ModuleList([first])
    modules.append(third)
    modules.insert(1, second)
    assert list(modules) == [first, second, third]
    assert (len(modules), modules[-1], modules.index(second)) == (3, third, 1)
    tail = modules[1:]
    assert type(tail) is nn.ModuleList
    assert list(tail) == [second, third]
    modules += [nn.Tanh()]
    del modules[0]
    modules[0:1] = [first]
    assert [type(module).__name__ for module in modules] == ["Linear", "Linear", "Tanh"]
    assert modules.pop() is not None
    modules.extend(nn.ReLU() for _ in range(2))
    assert len(modules) == 4
    assert second not in modules


def test_module_list_inside_a_module() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    model = Stack()
    assert names(model) == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
    ]  # fmt: skip
    assert model.eval().layers[0].training is False
    assert list(dict(model.named_children())) == ["layers"]
    assert model(ndl.init.rand(3, 2)).shape == (3, 2)


@pytest.mark.parametrize("thing", [nn.ReLU, None, 3, ops.relu])
def test_module_list_takes_modules(thing) -> None:
    modules = nn.ModuleList([nn.ReLU()])
    for put in (lambda m: nn.ModuleList([m]), modules.append, lambda m: modules.insert(0, m)):
        with pytest.raises(TypeError, match="ModuleList takes modules, got"):
            put(thing)
    assert len(modules) == 1


# --- ModuleDict


def test_module_dict_is_a_dict() -> None:
    linear, relu = nn.Linear(1, 2), nn.ReLU()
    modules = nn.ModuleDict({"one": linear})
    modules["two"] = relu
    modules.update(three=nn.Tanh())
    assert list(modules) == list(modules.keys()) == ["one", "two", "three"]
    assert "two" in modules
    assert modules["two"] is relu
    assert len(modules) == 3
    assert modules.pop("two") is relu
    assert dict(modules.items())["one"] is linear
    assert names(modules) == ["one.weight", "one.bias"]
    with pytest.raises(KeyError):
        modules["two"]
    del modules["three"]
    assert list(modules.values()) == [linear]
    assert nn.ModuleDict([("a", relu)])["a"] is relu


def test_module_dicts_compare_by_identity() -> None:
    first, second = nn.ModuleDict(), nn.ModuleDict()
    assert first == first
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize("key", ["", "a.b", 3])
def test_keys_are_names(key) -> None:
    with pytest.raises(ValueError, match="a key is a name without dots"):
        nn.ModuleDict()[key] = nn.ReLU()


def test_module_dict_takes_modules() -> None:
    with pytest.raises(TypeError, match=r"ModuleDict, at 'a', takes modules, .* write ReLU\(\)"):
        nn.ModuleDict({"a": nn.ReLU})


# --- ParameterList


def test_parameter_list_makes_parameters() -> None:
    kept = nn.Parameter([1.0])
    values = nn.ParameterList([kept, ndl.init.ones(2, 3)])
    values.append(ndl.Tensor([3.0]))
    assert values[0] is kept
    assert all(isinstance(value, nn.Parameter) and value.requires_grad for value in values)
    assert names(values) == ["0", "1", "2"]
    assert len(values[1:]) == 2
    assert repr(values) == "ParameterList((1,), (2, 3), (1,))  # 8 parameters"
    with pytest.raises(TypeError, match="ParameterList takes Tensors, got float"):
        values.append(3.0)


@pytest.mark.parametrize(
    "container", [nn.ModuleList([nn.ReLU()]), nn.ModuleDict({"a": nn.ReLU()}), nn.ParameterList()]
)
def test_containers_compute_nothing(container) -> None:
    with pytest.raises(NotImplementedError, match=r"^\w+ defines no forward\(\)\nin layer 1 \("):
        nn.Sequential(nn.ReLU(), container)(ndl.init.rand(2))


# --- names, and modules() as in PyTorch


def test_modules_as_an_attribute_and_as_a_method() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model = nn.Sequential(inner, nn.Residual(inner[0]), nn.Linear(4, 2))
    assert model.modules == (inner, model[1], model[2])
    first, *_ = model.modules
    assert (first, len(model.modules), model.modules[-1]) == (inner, 3, model[2])
    expected = [module for _, module in model.named_modules()]
    assert list(model.modules()) == expected
    assert expected == [model, inner, inner[0], inner[1], model[1], model[2]]
    assert isinstance(next(nn.ReLU().modules()), nn.ReLU)
    model.modules = [nn.Linear(3, 2)]
    assert names(model) == ["0.weight", "0.bias"]


def test_modules_as_an_attribute_of_ones_own() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.modules = [nn.Linear(2, 3), nn.ReLU()]

    assert names(Network()) == ["modules.0.weight", "modules.0.bias"]
    assert len(Network().eval()._children()) == 2


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_named_modules_of_a_sequential(kind) -> None:
    torch = pytest.importorskip("torch")

    def network(library):
        layers = [
            ("hidden", library.Linear(3, 4)), ("act", library.ReLU()), ("out", library.Linear(4, 2))
        ]  # fmt: skip
        return library.Sequential(kind(layers) if library is nn else OrderedDict(layers))

    model, theirs = network(nn), network(torch.nn)
    assert [*model.state_dict()] == [*theirs.state_dict()]
    assert [name for name, _ in model.named_modules()] == [
        name for name, _ in theirs.named_modules()
    ]
    assert model.hidden is model[0]
    x = ndl.init.rand(5, 3)
    expected = model.out(model.act(model.hidden(x)))
    np.testing.assert_array_equal(model(x).numpy(), expected.numpy())
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [*again.state_dict()] == [*theirs.state_dict()]


def test_names_of_a_sequential_that_changes() -> None:
    model = nn.Sequential({"hidden": nn.Linear(3, 4), "out": nn.Linear(4, 2)})
    model.insert(1, nn.Linear(4, 4, bias=False))
    model.append(nn.Linear(2, 2, bias=False))
    expected = ["hidden.weight", "hidden.bias", "1.weight", "out.weight", "out.bias", "3.weight"]
    assert names(model) == expected
    model[0] = nn.Linear(3, 4, bias=False)
    model.out = last = nn.Linear(4, 2, bias=False)
    assert model[2] is last
    assert names(model) == ["hidden.weight", "1.weight", "out.weight", "3.weight"]
    assert names(model[1:]) == ["0.weight", "out.weight", "2.weight"]
    del model[1]
    assert names(model) == ["hidden.weight", "out.weight", "2.weight"]
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'hiden'"):
        _ = model.hiden


@pytest.mark.parametrize("name", ["", "a.b", 3, "forward", "modules", "training"])
def test_names_that_cannot_be(name) -> None:
    with pytest.raises(ValueError, match="Sequential"):
        nn.Sequential({name: nn.ReLU()})
