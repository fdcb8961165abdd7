"""vmap over layers, losses and random draws: gradients of each sample, constants, memory."""

import numpy as np
import pytest

import needle as ndl
import needle.nn.functional as F
from needle import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))


def x():
    return Tensor(X)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(actual.numpy()), expected, tolerance, tolerance)


# --- models


def model():
    np.random.seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))


def sample_loss(model, x, y):
    return nn.SoftmaxLoss()(model(x.reshape((1, 3))), y.reshape((1,)))


def test_gradients_of_each_sample_are_torchs():
    torch, func = pytest.importorskip("torch"), pytest.importorskip("torch.func")
    network = model()
    images, labels = Tensor(X, dtype="float32"), Tensor(np.array([0, 3, 1, 1]), requires_grad=False)
    gradients = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))(network, images, labels)
    twin = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.LayerNorm(8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
    )
    state = {}
    for name, p in network.named_parameters():
        array = p.numpy()
        is_linear = name[0] in "03"
        state[name] = torch.tensor(array.T if is_linear and "weight" in name else array.reshape(-1))

    def loss(parameters, x, y):
        scores = func.functional_call(twin, parameters, (x[None],))
        return torch.nn.functional.cross_entropy(scores, y[None])

    expected = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(
        state, torch.tensor(images.numpy()), torch.tensor(labels.numpy())
    )
    for name, gradient in gradients.items():
        theirs = expected[name].numpy()
        if theirs.ndim == 3:
            theirs = theirs.swapaxes(1, 2)
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient.numpy(), theirs.reshape(gradient.shape), atol=1e-5)


def test_gradients_of_each_sample_run_no_loop(ops_run):
    counts = []
    for size in (2, 50):
        images = ndl.init.randn(size, 3)
        labels = Tensor(np.zeros(size, int), requires_grad=False)
        mapped = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))
        counts.append(ops_run(mapped, model(), images, labels))
    assert counts[0] == counts[1]


def test_the_sum_of_the_gradients_of_the_samples_is_that_of_the_batch():
    network = model()
    images, labels = ndl.init.randn(6, 3), Tensor(np.arange(6) % 4, requires_grad=False)
    each = ndl.vmap(ndl.grad(sample_loss), in_axes=(None, 0, 0))(network, images, labels)
    whole = ndl.grad(lambda m: nn.SoftmaxLoss()(m(images), labels))(network)
    for name, gradient in whole.items():
        close(each[name].mean(0), gradient.numpy(), 1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.cross_entropy(z, y),
        lambda z, y: F.cross_entropy(z, y, ignore_index=2),
        lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1, reduction="sum"),
        lambda z, y: F.cross_entropy(z, y, weight=Tensor([1.0, 2.0, 3.0]), reduction="mean"),
        lambda z, y: F.cross_entropy(z, F.softmax(z * 0.5)),
        lambda z, y: F.nll_loss(F.log_softmax(z), y),
        lambda z, y: F.mse_loss(z, z * 0.5),
        lambda z, y: F.smooth_l1_loss(z, z * 0.5),
        lambda z, y: F.binary_cross_entropy(F.sigmoid(z), F.sigmoid(z * 2).detach()),
        lambda z, y: F.binary_cross_entropy_with_logits(z, F.sigmoid(z * 2).detach()),
        lambda z, y: F.kl_div(F.log_softmax(z), F.softmax(z * 2).detach()),
        lambda z, y: F.embedding(y, z).sum() ** 2,
        lambda z, y: F.batch_norm(z, None, None, training=True)[0, 1] ** 2,
        lambda z, y: F.layer_norm(z, 3)[0, 1] ** 2,
        lambda z, y: (z[y.astype("int64")] ** 2).sum(),
    ],
)
def test_losses_and_layers(loss):
    z = Tensor(RNG.normal(size=(3, 4, 3)))
    y = Tensor(np.array([[0, 1, 2, 1], [1, 1, 0, 0], [2, 0, 0, 0]]), requires_grad=False)
    function = ndl.value_and_grad(loss)
    value, gradient = ndl.vmap(function)(z, y)
    for index in range(3):
        expected, slope = function(z[index], y[index])
        close(value[index], expected.numpy())
        close(gradient[index], slope.numpy())


def test_a_label_out_of_range_is_refused():
    labels = Tensor(np.array([[0], [4]]), requires_grad=False)
    with pytest.raises(ValueError, match="labels from 4 to 4 for 3 classes"):
        ndl.vmap(lambda z, y: F.cross_entropy(z, y))(Tensor(np.ones((2, 1, 3))), labels)
    with pytest.raises(ValueError, match="must be from 0 to 1, got"):
        ndl.vmap(lambda p: F.binary_cross_entropy(p, p.detach()))(x())


# --- randomness


def test_random_ops_draw_for_each_example():
    ones = Tensor(np.ones((4, 100)), dtype="float32")
    ndl.manual_seed(0)
    dropped = ndl.vmap(F.dropout)(ones).numpy()
    assert len({tuple(row) for row in dropped}) == 4
    ndl.manual_seed(0)
    looped = np.stack([F.dropout(row).numpy() for row in ones])
    np.testing.assert_array_equal(dropped, looped)


def test_random_ops_of_what_the_examples_share_draw_for_each_example():
    shared = Tensor(np.ones(100), requires_grad=False)
    dropped = ndl.vmap(lambda a: F.dropout(shared) * a.sum() * 0 + F.dropout(shared))(x()).numpy()
    assert len({tuple(row) for row in dropped}) == 4


def test_tensors_that_are_drawn_inside_are_shared():
    drawn = ndl.vmap(lambda a: a * 0 + ndl.init.rand(3, dtype="float64"))(x()).numpy()
    assert (drawn == drawn[0]).all()


# --- what carries no gradient


@pytest.mark.parametrize(
    "constant",
    [
        lambda a: a.detach(),
        lambda a: a.data,
        ndl.stop_gradient,
        ndl.no_grad()(lambda a: a * 1),
        lambda a: Tensor.make_const(a.cached_data),
    ],
)
def test_constants_stay_constant(constant):
    function = lambda a: (a * constant(a)).sum()  # noqa: E731
    close(ndl.vmap(ndl.grad(function))(x()), X)
    close(ndl.grad(lambda x: ndl.vmap(function)(x).sum())(x()), X)
    direction = Tensor(np.cos(X), requires_grad=False)
    each = lambda a, t: ndl.jvp(function, (a,), (t,))[1]  # noqa: E731
    expected = np.stack([each(a, t).numpy() for a, t in zip(x(), direction, strict=True)])
    close(ndl.jvp(lambda x: ndl.vmap(function)(x), (x(),), (direction,))[1], expected)
    close(ndl.vmap(each)(x(), direction), expected)


def test_results_have_a_graph_where_they_should():
    weight = Tensor(W)
    function = ndl.vmap(lambda a: (a @ weight).sum())
    constant = x().detach()
    assert function(constant).requires_grad
    with ndl.no_grad():
        assert not function(x()).requires_grad
        assert not ndl.vmap(ndl.grad(lambda a: (a @ weight).sum()))(x()).requires_grad
        assert not ndl.vmap(lambda a: a)(x()).requires_grad
    weight.requires_grad = False
    assert not function(constant).requires_grad
    assert not ndl.vmap(ndl.grad(lambda a: (a @ weight).sum()))(constant).requires_grad


def test_nothing_stays_alive():
    function = ndl.vmap(ndl.grad(lambda a: ndl.tanh(a @ Tensor(W)).sum()))
    argument = x().detach()
    before = ndl.count_live_tensors()
    for _ in range(3):
        function(argument)
    assert ndl.count_live_tensors() == before
