"""Values that change between the forward pass and backward, and lazy values that wait."""

import copy
import gc
import threading

import numpy as np
import pytest

import needle as ndl
from needle import nn, optim
from needle.autograd import Tensor, assign

OPTIMIZERS = [
    optim.SGD, lambda p, lr: optim.SGD(p, lr, momentum=0.9), optim.Adam, optim.AdamW,
    optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Lion,
]  # fmt: skip


def steps(make):
    def change(w):
        w.grad = Tensor(np.ones(w.shape), requires_grad=False)
        make([w], lr=0.1).step()

    return change


def by_data(w):
    w.data = Tensor(np.ones(w.shape))


def through_data(w):
    with ndl.no_grad():
        w.data.fill_(3.0)


def by_state(w):
    layer = nn.Module()
    layer.w = w
    layer.load_state_dict({"w": np.ones(w.shape)})


def by_operator(w):
    with ndl.no_grad():
        w -= 0.1


def by_method(name, *args):
    def change(w):
        with ndl.no_grad():
            getattr(w, name)(*args)

    return change


CHANGES = {
    **{f"optimizer {number}": steps(make) for number, make in enumerate(OPTIMIZERS)},
    "data": by_data,
    "through data": through_data,
    "load_state_dict": by_state,
    "init": lambda w: nn.init.ones_(w),
    "assign": lambda w: assign(w, Tensor(np.ones(w.shape))),
    "operator": by_operator,
    "add_": by_method("add_", 1.0),
    "sub_": by_method("sub_", 1.0),
    "mul_": by_method("mul_", 2.0),
    "div_": by_method("div_", 2.0),
    "copy_": by_method("copy_", np.zeros((2, 2))),
    "fill_": by_method("fill_", 1.0),
    "zero_": by_method("zero_"),
    "clamp_": by_method("clamp_", 0.0, 1.0),
}


def problem():
    return Tensor([[1.0, -1.0]]), nn.Parameter(Tensor([[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_backward_refuses_a_changed_value(change):
    x, w = problem()
    y = ((x @ w) ** 2).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"MatMul needs .* Parameter.* of shape \(2, 2\)"):
        y.backward()


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_refuses_views_and_results_that_changed(create_graph):
    x, w = problem()
    by_view, by_frozen_view = (x @ w.transpose()).sum(), (x @ w.detach().transpose()).sum()
    result = ndl.exp(x)
    of_result = result.sum()
    with ndl.no_grad():
        w += 1
        result += 1
    for y, op in ((by_view, "MatMul"), (by_frozen_view, "MatMul"), (of_result, "Exp")):
        with pytest.raises(RuntimeError, match=f"through {op} needs"):
            y.backward(create_graph=create_graph)


def test_values_that_no_gradient_reads_may_change():
    x, w = problem()
    w.grad = Tensor(np.ones((2, 2)), requires_grad=False)
    y, copied = (x.sum() + w * 2).sum(), (w[[0, 1]] * x).sum()
    optim.SGD([w], lr=0.1).step()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, 4]])
    copied.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, 6]])


@pytest.mark.parametrize(
    "entry",
    [
        lambda w: ndl.split(w, 0).tuple()[1],
        lambda w: ndl.split(w, 0).detach()[1],
        lambda w: copy.copy(w)[1],
    ],
)
def test_backward_refuses_changed_memory_of_tuples_and_copies(entry):
    x, w = problem()
    with ndl.no_grad():
        part = entry(w)
    y = (x * part).sum()
    with ndl.no_grad():
        w += 1
    with pytest.raises(RuntimeError, match="changed after the forward pass"):
        y.backward()


def test_backward_refuses_what_a_hook_changed():
    x, w = problem()
    y = ndl.exp(x @ w)

    def change(adjoint):
        with ndl.no_grad():
            w.mul_(2)

    y.register_hook(change)
    with pytest.raises(RuntimeError, match="MatMul needs"):
        y.sum().backward()


def test_a_broadcast_value_that_changes_gets_memory_of_its_own():
    x = Tensor([1.0, 2.0])
    y, broadcast = (x * x).sum(), x.broadcast_to((3, 2))
    with ndl.no_grad():
        broadcast += 1
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_running_statistics_do_not_get_in_the_way():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    x = ndl.init.randn(5, 3)
    first, _ = model(x), model(x)
    (first * first).sum().backward()
    assert model.parameters()[0].grad is not None


def test_a_recomputed_piece_refuses_changed_weights():
    x, w = problem()
    y = ndl.checkpoint(lambda x: ndl.tanh(x @ w), x).sum()
    with ndl.no_grad():
        w *= 2
    with pytest.raises(RuntimeError, match="changed after the forward pass"):
        y.backward()


def test_a_copy_has_changes_of_its_own():
    x, w = problem()
    w.detach()  # from here on, changes of w are noted with its memory
    other = copy.deepcopy(w)
    y = (x @ other).sum()
    with ndl.no_grad():
        w += 1
    y.backward()


def test_an_array_given_as_an_operand_is_kept_safe():
    x, array, index = Tensor([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0, 1])
    y, chosen = (x * array).sum(), (x[index] * 2).sum()
    array[:] = 0
    index[:] = 0
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])
    chosen.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2])


def test_labels_given_as_an_array_are_kept_safe():
    logits, labels = Tensor([[1.0, 2.0], [3.0, 5.0]]), np.array([0, 1])
    losses = nn.functional.cross_entropy(logits, labels), nn.SoftmaxLoss()(logits, labels)
    labels[:] = 0
    for loss in losses:
        loss.backward()
        assert logits.grad.numpy()[1, 1] < 0


def test_lazy_values_are_computed_before_a_change():
    x = Tensor([1.0, 2.0])
    with ndl.lazy_mode():
        scaled, view = x * 10, x.reshape((2, 1))
        of_view, snapshot = view * 3, (x + 0).detach()
        unused = x + 5
    del unused
    x.data = Tensor([7.0, 7.0])
    np.testing.assert_array_equal(scaled.numpy(), [10, 20])
    np.testing.assert_array_equal(of_view.numpy(), [[3], [6]])
    np.testing.assert_array_equal(snapshot.numpy(), [1, 2])


def test_lazy_values_of_tuples_are_computed_before_their_entries_change():
    a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=False)
    for change in (a, b):
        with ndl.lazy_mode():
            entries = ndl.make_tuple(a, b)
            first = ndl.stack(entries)
        expected = np.stack([a.numpy(), b.numpy()])
        with ndl.no_grad():
            change += 1
        np.testing.assert_array_equal(first.numpy(), expected)


def test_lazy_values_are_computed_before_running_statistics_change():
    layer, x = nn.BatchNorm1d(2), ndl.init.randn(5, 2)
    layer.eval()
    expected = layer(x).numpy()
    with ndl.lazy_mode():
        y = layer(x)
    layer.train()
    layer(x * 3 + 1)
    np.testing.assert_array_equal(y.numpy(), expected)


def test_lazy_values_that_nobody_needs_are_let_go():
    x = Tensor([1.0])
    with ndl.lazy_mode():
        for _ in range(3):
            y = x * 2
    del y
    assert len(x._changes.readers) == 0


def test_a_lazy_graph_may_be_read_by_several_threads():
    with ndl.lazy_mode():
        values = [Tensor(np.full(100, float(number)), requires_grad=False) for number in range(200)]
        total = values[0]
        for value in values[1:]:
            total = total + value * 2
    found, threads = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: found.append(total.numpy()[0])))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2 * sum(range(200))] * 8


def test_retain_grad_makes_no_cycle():
    gc.collect()
    gc.disable()
    try:
        before = ndl.count_live_tensors()
        for _ in range(3):
            x = Tensor([1.0])
            y = x * 2
            y.retain_grad()
            (y * 3).backward(create_graph=False)
            assert y.grad.item() == 3
        del x, y
        assert ndl.count_live_tensors() == before
    finally:
        gc.enable()
