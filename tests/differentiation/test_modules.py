"""Modules as arguments: derivatives come back under the names of their parameters."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn


@pytest.fixture
def model():
    np.random.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return Tensor(rng.normal(size=(5, 3)), requires_grad=False), Tensor(rng.integers(0, 2, 5))


@pytest.fixture
def loss(batch):
    x, y = batch
    return lambda model: nn.SoftmaxLoss()(model(x), y)


def flat(parts):
    return np.concatenate([part.numpy().ravel() for part in parts])


@pytest.fixture
def by_parameters(differences):
    """by_parameters(function, parameters): the derivatives by all elements of the parameters."""

    def derivatives(function, parameters):
        return differences(function, [parameter.realize_cached_data() for parameter in parameters])

    return derivatives


NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_gradient_has_the_names_of_the_parameters(model, loss, mode, close):
    value, gradient = ndl.value_and_grad(loss)(model)
    assert list(gradient) == NAMES
    loss(model).backward()
    for name, parameter in model.named_parameters():
        assert gradient[name].shape == parameter.shape
        close(gradient[name], parameter.grad)
    close(value, loss(model))


def test_gradient_is_that_of_differences(model, loss, close, by_parameters):
    expected = by_parameters(lambda: loss(model).item(), model.parameters())
    close(flat(ndl.grad(loss)(model).values()), expected, 1e-8)


def test_hessian_of_a_loss(model, loss, mode, close, by_parameters):
    hessian = ndl.hessian(loss)(model)
    parameters = dict(model.named_parameters())
    assert list(hessian) == NAMES
    for name, row in hessian.items():
        assert list(row) == NAMES
        for other, block in row.items():
            assert block.shape == parameters[name].shape + parameters[other].shape
    matrix = np.block(
        [
            [block.numpy().reshape(parameters[name].size, -1) for block in hessian[name].values()]
            for name in NAMES
        ]
    )
    close(matrix, matrix.T, 1e-10)
    expected = by_parameters(lambda: flat(ndl.grad(loss)(model).values()), model.parameters())
    close(matrix, expected, 1e-7)


def test_hessian_vector_product_and_tangent(model, loss, mode, close, by_parameters):
    rng = np.random.default_rng(1)
    directions = {name: Tensor(rng.normal(size=p.shape)) for name, p in model.named_parameters()}
    way = flat(directions.values())
    gradient = flat(ndl.grad(loss)(model).values())
    close(ndl.jvp(loss, (model,), (directions,))[1], gradient @ way, 1e-10)
    product = ndl.hvp(loss, model, directions)
    assert list(product) == NAMES
    expected = by_parameters(lambda: flat(ndl.grad(loss)(model).values()), model.parameters()) @ way
    close(flat(product.values()), expected, 1e-7)


@pytest.mark.parametrize("way", ["reverse", "forward"])
def test_jacobian_by_model_and_input(model, batch, way, close, by_parameters):
    by_model, by_input = ndl.jacobian(lambda model, x: model(x), way, argnums=(0, 1))(
        model, batch[0]
    )
    assert [by_model[name].shape for name in NAMES] == [
        (5, 2, 3, 4), (5, 2, 1, 4), (5, 2, 4, 2), (5, 2, 1, 2),
    ]  # fmt: skip
    assert by_input.shape == (5, 2, 5, 3)
    close(by_model["2.bias"][:, :, 0], np.tile(np.eye(2), (5, 1, 1)))
    slope = by_parameters(lambda: model(batch[0]).numpy().ravel(), [model[0].weight])
    close(by_model["0.weight"].numpy().reshape(10, -1), slope, 1e-7)


def test_modules_inside_containers(mode, close):
    np.random.seed(0)
    models = {"encoder": nn.Linear(3, 2).double(), "decoders": [nn.Linear(2, 3).double()]}
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=False)

    def reconstruction(models):
        assert isinstance(models["encoder"], nn.Module)
        return ((models["decoders"][0](models["encoder"](x)) - x) ** 2).mean()

    gradient = ndl.grad(reconstruction)(models)
    reconstruction(models).backward()
    close(gradient["encoder"]["weight"], models["encoder"].weight.grad)
    close(gradient["decoders"][0]["bias"], models["decoders"][0].bias.grad)
    _, tangent = ndl.jvp(reconstruction, (models,), (gradient,))
    parts = [*gradient["encoder"].values(), *gradient["decoders"][0].values()]
    close(tangent, (flat(parts) ** 2).sum(), 1e-10)


def test_model_and_input_at_once(model, loss, batch):
    x, _ = batch
    by_model, by_x = ndl.grad(lambda model, x: (model(x) ** 2).sum(), (0, 1))(model, x)
    assert list(by_model) == NAMES
    assert by_x.shape == x.shape
    (model(x) ** 2).sum().backward()
    np.testing.assert_allclose(by_model["0.bias"].numpy(), model[0].bias.grad.numpy())


def test_shared_layer_counts_every_use(mode, close, by_parameters):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.Linear(2, 2).double()

        def forward(self, x):
            return self.second(self.first(x))

    np.random.seed(0)
    model, x = Twice(), Tensor([[1.0, 2.0]], requires_grad=False)
    gradient = ndl.grad(lambda model: (model(x) ** 2).sum())(model)
    assert list(gradient) == ["first.weight", "first.bias"]
    expected = by_parameters(lambda: (model(x) ** 2).sum().item(), model.parameters())
    close(flat(gradient.values()), expected, 1e-7)


@pytest.mark.parametrize("frozen", [(0,), (0, 2)])
def test_frozen_parameters_are_constants_in_both_modes(model, loss, frozen):
    directions = {name: ndl.init.ones_like(p) for name, p in model.named_parameters()}
    whole = ndl.grad(loss)(model)
    for index in frozen:
        model[index].requires_grad_(False)
    gradient = ndl.grad(loss)(model)
    expected = {name: whole[name].numpy() * (int(name[0]) not in frozen) for name in NAMES}
    for name in NAMES:
        np.testing.assert_allclose(gradient[name].numpy(), expected[name], atol=1e-15)
    _, tangent = ndl.jvp(loss, (model,), (directions,))
    slope = sum(part.sum() for part in expected.values())
    np.testing.assert_allclose(tangent.item(), slope, rtol=1e-12, atol=1e-15)
    assert [p.requires_grad for p in model[0].parameters()] == [False, False]


def test_training_by_gradients_of_a_model(model, batch, loss):
    losses = []
    for _ in range(40):
        value, gradient = ndl.value_and_grad(loss)(model)
        losses.append(value.item())
        for name, parameter in model.named_parameters():
            parameter.data = parameter.data - gradient[name].data
    assert losses[-1] < losses[0] / 4
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("requires_grad", [True, False])
def test_module_that_comes_out_as_aux_stays_a_module(requires_grad):
    layer = nn.Linear(2, 2).requires_grad_(requires_grad)
    x = Tensor(2.0, requires_grad=requires_grad)
    _, aux = ndl.grad(lambda x: (x * x, (layer, x)), has_aux=True)(x)
    assert aux[0] is layer
