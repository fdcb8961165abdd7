"""functional_call: a module with other parameters and buffers than its own, as in torch.func."""

import threading

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def other_parameters(module, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: Tensor(rng.normal(size=p.shape), dtype=p.dtype)
        for name, p in module.named_parameters()
    }


X = Tensor(np.random.default_rng(1).normal(size=(5, 3)), dtype="float32", requires_grad=False)


def snapshot(module):
    return [(path, id(value)) for path, value in module._walk("")]


def test_it_is_a_model_with_these_parameters():
    module, before = model(), None
    before = snapshot(module)
    given = other_parameters(module)
    result = ndl.functional_call(module, given, X)
    assert snapshot(module) == before
    module.load_state_dict(given)
    np.testing.assert_array_equal(result.numpy(), module(X).numpy())
    assert nn.functional_call is ndl.functional_call


def test_what_is_not_named_stays():
    module = model()
    result = ndl.functional_call(module, {"2.weight": ndl.init.zeros(4, 2)}, (X,))
    np.testing.assert_array_equal(result.numpy(), np.tile(module[2].bias.numpy(), (5, 1)))
    np.testing.assert_array_equal(ndl.functional_call(module, {}, X).numpy(), module(X).numpy())


def test_several_dicts_and_keywords():
    module = model()
    given = other_parameters(module)
    first = {name: given[name] for name in list(given)[:2]}
    second = {name: given[name] for name in list(given)[2:]}
    expected = ndl.functional_call(module, given, X).numpy()
    actual = ndl.functional_call(module, (first, second), (), {"x": X}).numpy()
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own
def test_outputs_and_gradients_are_pytorchs():
    torch = pytest.importorskip("torch")
    module = model()
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    given = other_parameters(module)
    theirs = {
        name: torch.tensor(p.numpy().T if p.ndim == 2 and p.shape[0] > 1 else p.numpy().ravel())
        for name, p in given.items()
    }
    for tensor in theirs.values():
        tensor.requires_grad_()
    output = torch.func.functional_call(twin, theirs, torch.tensor(X.numpy()))
    expected = torch.autograd.grad((output**2).sum(), list(theirs.values()))
    actual = ndl.grad(lambda p: (ndl.functional_call(module, p, X) ** 2).sum())(given)
    for found, other in zip(actual.values(), expected, strict=True):
        np.testing.assert_allclose(found.numpy().reshape(-1), other.t().reshape(-1), rtol=1e-4)


def test_under_jvp_and_hvp():
    module = model()
    given, along = other_parameters(module), other_parameters(module, 1)

    def loss(p):
        return (ndl.functional_call(module, p, X) ** 2).sum()

    gradient = ndl.grad(loss)(given)
    _, tangent = ndl.jvp(loss, (given,), (along,))
    expected = sum((gradient[name] * along[name]).sum().item() for name in given)
    np.testing.assert_allclose(tangent.item(), expected, rtol=1e-5)
    product = ndl.hvp(loss, given, along)
    assert {name: p.shape for name, p in product.items()} == {n: p.shape for n, p in given.items()}


def test_an_ensemble_by_vmap():
    module = model()
    members = [other_parameters(module, seed) for seed in range(3)]
    stacked = {name: ndl.stack([p[name] for p in members]) for name in members[0]}
    outputs = ndl.vmap(lambda p: ndl.functional_call(module, p, X))(stacked)
    for member, output in zip(members, outputs, strict=True):
        expected = ndl.functional_call(module, member, X)
        np.testing.assert_allclose(output.numpy(), expected.numpy(), rtol=1e-5)


def test_tied_parameters_change_together():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    module = Tied()
    zeros = ndl.init.zeros(3, 3)
    for name in ("first.weight", "second.weight"):
        result = ndl.functional_call(module, {name: zeros}, X)
        np.testing.assert_array_equal(result.numpy(), np.tile(module.second.bias.numpy(), (5, 1)))
    with pytest.raises(ValueError, match=r"first.weight and second.weight are one tensor"):
        ndl.functional_call(
            module, {"first.weight": zeros, "second.weight": ndl.init.ones(3, 3)}, X
        )


def test_parameters_in_containers_and_what_the_module_finds():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.list = [nn.Parameter(ndl.init.ones(2)), {"a": nn.Parameter(ndl.init.ones(2))}]
            self.listed = nn.ParameterList([ndl.init.ones(2)])

        def forward(self):
            assert len(self.parameters()) == 3
            return sum((p.sum() for p in self.parameters()), start=Tensor(0.0))

    module = Several()
    before = snapshot(module)
    names = [name for name, _ in module.named_parameters()]
    given = {name: ndl.init.ones(2) * (10**index) for index, name in enumerate(names)}
    assert ndl.functional_call(module, given).item() == 222
    assert snapshot(module) == before
    gradient = ndl.grad(lambda p: ndl.functional_call(module, p))(given)
    assert [g.numpy().tolist() for g in gradient.values()] == [[1, 1]] * 3


def test_buffers():
    layer = nn.BatchNorm1d(3)
    own = layer.running_mean.numpy()
    given = {"running_mean": Tensor(np.full(3, 5.0), dtype="float32", requires_grad=False)}
    ndl.functional_call(layer, given, X)
    np.testing.assert_array_equal(layer.running_mean.numpy(), own)
    assert not np.allclose(given["running_mean"].numpy(), 5)  # it was updated
    layer.eval()
    given = {
        "running_mean": ndl.init.zeros(3),
        "running_var": ndl.init.ones(3) - layer.eps if hasattr(layer, "eps") else ndl.init.ones(3),
    }
    result = ndl.functional_call(layer, given, X)
    np.testing.assert_allclose(result.numpy(), X.numpy(), rtol=1e-4)


def test_the_module_is_restored_after_an_error():
    module = model()
    before = snapshot(module)
    with pytest.raises(ValueError, match="expected"):
        ndl.functional_call(module, other_parameters(module), ndl.init.ones(5, 4))
    assert snapshot(module) == before


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"3.weight": ndl.init.ones(4, 2)}, KeyError, "has no parameter or buffer '3.weight'"),
        ({"2.weight": ndl.init.ones(2, 4)}, ValueError, r"has shape \(4, 2\), got \(2, 4\)"),
        ({"2.weight": np.ones((4, 2))}, TypeError, "expected a Tensor, got ndarray"),
    ],
)
def test_bad_input(given, error, text):
    module = model()
    before = snapshot(module)
    with pytest.raises(error, match=text):
        ndl.functional_call(module, given, X)
    assert snapshot(module) == before
    with pytest.raises(TypeError, match="takes a Module"):
        ndl.functional_call(lambda x: x, {}, X)


def test_threads_do_not_see_each_others_parameters():
    module = model()
    members = [other_parameters(module, seed) for seed in range(4)]
    expected = [ndl.functional_call(module, member, X).numpy() for member in members]
    wrong = []

    def work(index):
        for _ in range(30):
            found = ndl.functional_call(module, members[index], X).numpy()
            if not np.array_equal(found, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
