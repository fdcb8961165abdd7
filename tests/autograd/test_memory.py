"""What stays alive: deep graphs, loops that train, and the arrays that tensors share."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd

DEPTH = 100_000


@pytest.fixture(scope="module", autouse=True)
def small_heap():
    """The collector looks only at what these tests make, not at all that came before them."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def count_live():
    """count_live(): the Values alive, after a collection."""

    def count():
        gc.collect()
        return autograd.TENSOR_COUNTER

    return count


@pytest.mark.parametrize("create_graph", [True, False])
def test_trap_deep_chains_need_no_recursion(mode, create_graph, count_live):
    before = count_live()
    x = Tensor([1.0])
    y = x
    for _ in range(DEPTH):
        y = y + 1
    assert y.item() == DEPTH + 1
    y.backward(create_graph=create_graph)
    assert x.grad.item() == 1
    del y
    assert count_live() == before + 2  # x and its gradient
    del x
    assert count_live() == before


def test_deep_chain_is_differentiated_twice(mode):
    x = Tensor([1.0])
    y = x * x
    for _ in range(20_000):
        y = y * 1.0
    y.backward()
    x.grad.backward()
    assert x.grad.item() == 2


def test_counter_counts_values(count_live):
    before = count_live()
    kept = [Tensor([1.0]) for _ in range(5)]
    pair = ndl.make_tuple(*kept[:2])
    assert count_live() == before + 6
    del kept, pair
    assert count_live() == before
    assert autograd.count_live_tensors() == autograd.TENSOR_COUNTER


def test_module_has_no_other_attributes_on_demand():
    with pytest.raises(AttributeError, match="no attribute 'TENSOR_COUNTERS'"):
        _ = autograd.TENSOR_COUNTERS


def test_values_are_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x = Tensor([1.0])
        middle = x * x
        watch = weakref.ref(middle)
        y = middle + 1
        y.backward(create_graph=False)
        del middle, y
        assert watch() is None
    finally:
        gc.enable()


def test_gradient_without_a_graph_keeps_nothing_alive(count_live):
    x = Tensor(np.ones(3))
    y = (x * x).exp().sum()
    before = count_live()
    y.backward(create_graph=False)
    assert count_live() == before + 1  # the gradient itself
    assert x.grad.is_leaf()
    assert x.grad.inputs == ()


@pytest.mark.parametrize("depth", [4, 16])
def test_backward_needs_the_memory_of_one_op_whatever_the_depth(depth):
    activation = 256 * 1024  # bytes: 1024 x 64 float32
    weights = [Tensor(np.full((64, 64), 0.01), dtype="float32") for _ in range(depth)]
    y = Tensor(np.ones((1024, 64)), dtype="float32", requires_grad=False)
    for weight in weights:
        y = (y @ weight).relu()
    loss = y.sum()
    del y
    tracemalloc.start()
    try:
        loss.backward(create_graph=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    gradients = sum(weight.grad.numpy().nbytes for weight in weights)
    # what comes into an op, what goes out of it, and ReLU's mask of a quarter
    assert peak < gradients + 2.5 * activation


def test_gradient_with_a_graph_keeps_it(count_live):
    x = Tensor(np.ones(3))
    y = (x * x).exp().sum()
    before = count_live()
    y.backward()
    assert count_live() > before + 1
    assert not x.grad.is_leaf()


def run(steps, update, create_graph):
    """The live Values early in a loop that trains, and at its end."""
    rng = np.random.default_rng(0)
    inputs, targets = Tensor(rng.normal(size=(8, 3))), Tensor(rng.normal(size=(8, 1)))
    w = Tensor(np.zeros((3, 1)))
    live, losses = [], []
    for step in range(steps):
        loss = ((inputs @ w - targets) ** 2).mean()
        loss.backward(create_graph=create_graph)
        w = update(w)
        losses.append(loss.item())
        if step in (5, steps - 1):
            live.append(autograd.TENSOR_COUNTER)
    assert losses[-1] < losses[0]
    return live


def by_data(w):
    w.data = w.data - 0.01 * w.grad.data
    return w


def by_detach(w):
    return Tensor(w.detach() - 0.01 * w.grad.detach())


def in_place(w):
    array = w.realize_cached_data()
    array -= 0.01 * w.grad.numpy()
    return w


@pytest.mark.parametrize(
    ("update", "create_graph"),
    [(by_data, False), (by_detach, False), (in_place, False), (by_data, True), (in_place, True)],
)
def test_trap_live_values_do_not_grow_over_200_steps(update, create_graph):
    gc.collect()
    gc.disable()  # so that cycles would show, too
    try:
        live = run(200, update, create_graph)
    finally:
        gc.enable()
    assert live[0] == live[1]


@pytest.mark.filterwarnings("ignore::needle.GradientReplacedWarning")
def test_trap_update_through_the_graph_keeps_every_step():
    """Why updates go through data or detach."""

    def without_detach(w):
        w = w - 0.01 * w.grad.detach()
        w.retain_grad()
        return w

    live = run(20, without_detach, create_graph=False)
    assert live[1] > live[0] + 10


def test_trap_detach_drops_requires_grad_and_data_keeps_it():
    w = Tensor([1.0])
    assert not (w.detach() - 0.1).requires_grad
    w.data = w.data - 0.1
    assert w.requires_grad
    assert w.is_leaf()
    (w * 2).backward()
    assert w.grad.item() == 2


# --- shared memory


def test_trap_data_shares_its_array():
    x = Tensor([1.0, 2.0])
    alias, detached = x.data, x.detach()
    x.realize_cached_data()[0] = 10
    assert (alias[0].item(), detached[0].item()) == (10, 10)
    alias.realize_cached_data()[1] = 20
    np.testing.assert_array_equal(x.numpy(), [10, 20])


def test_constructor_and_numpy_copy():
    array = np.array([1.0, 2.0])
    x = Tensor(array)
    array[0] = 10
    x.numpy()[1] = 20
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    y = Tensor(x)
    y.realize_cached_data()[0] = 30
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x.broadcast_to((2, 3)),
        lambda x: x.sum().broadcast_to((3,)),
        lambda x: x + 1,
    ],
)
def test_realized_data_can_be_written(mode, make):
    tensor = make(Tensor([1.0, 2.0, 3.0]))
    data = tensor.realize_cached_data()
    data[...] = 0
    data[..., 0] = 5
    expected = np.zeros(tensor.shape)
    expected[..., 0] = 5
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert tensor.realize_cached_data() is data


def test_writing_into_a_broadcast_leaves_its_source_alone():
    x = Tensor([1.0, 2.0])
    x.broadcast_to((3, 2)).realize_cached_data()[...] = 0
    np.testing.assert_array_equal(x.numpy(), [1, 2])


def test_gradient_of_a_sum_can_be_written():
    x = Tensor([1.0, 2.0, 3.0])
    x.sum().backward(create_graph=False)
    x.grad.realize_cached_data()[0] = 7
    np.testing.assert_array_equal(x.grad.numpy(), [7, 1, 1])
