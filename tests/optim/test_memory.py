"""How a step walks over memory: layouts, peak, aliasing, lifetimes."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import needle as ndl
from needle import autograd
from needle.optim import SGD, Adam, AdamW


def test_no_bit_depends_on_the_layout(any_optimizer, make_params, train, lay_out):
    results = []
    for layout in ("together", "alone", "pieces"):
        lay_out(layout)
        params = make_params()
        train(any_optimizer(params), range(5))
        results.append([param.numpy() for param in params])
    for alone, in_pieces, together in zip(*results[1:], results[0], strict=True):
        np.testing.assert_array_equal(alone, together)
        np.testing.assert_array_equal(in_pieces, together)


@pytest.mark.parametrize("layout", ["together", "alone", "pieces"])
@pytest.mark.parametrize("view", ["transposed", "strided", "one long row"])
def test_arrays_that_are_not_contiguous(any_optimizer, lay_out, train, layout, view):
    lay_out(layout)
    rng = np.random.default_rng(0)
    memory = np.asarray(rng.normal(size=(60, 40)), "float32")
    cut = {"transposed": memory.T, "strided": memory[::3, 1::2], "one long row": memory[:1, ::2]}
    ours = ndl.Tensor.make_const(cut[view], requires_grad=True)
    plain = ndl.Tensor(cut[view])
    optimizer, plain_optimizer = any_optimizer([ours]), any_optimizer([plain])
    for step in range(3):
        train(plain_optimizer, [step])
        ours.grad = ndl.Tensor.make_const(np.asfortranarray(plain.grad.numpy()))
        optimizer.step()
    np.testing.assert_array_equal(ours.numpy(), plain.numpy())
    assert ours.realize_cached_data().base is not None  # still the view it was


@pytest.mark.parametrize("layout", ["together", "alone", "pieces"])
def test_arrays_of_another_library(
    any_optimizer, make_params, train, lay_out, strict_array, layout
):
    lay_out(layout)
    params = make_params()
    twins = [ndl.Tensor.make_const(strict_array(p.numpy()), requires_grad=True) for p in params]
    optimizer, twin_optimizer = any_optimizer(params), any_optimizer(twins)
    for step in range(3):
        train(optimizer, [step])
        for param, twin in zip(params, twins, strict=True):
            twin.grad = ndl.Tensor.make_const(strict_array(param.grad.numpy()))
        twin_optimizer.step()
    for param, twin in zip(params, twins, strict=True):
        assert isinstance(twin.cached_data, strict_array)
        np.testing.assert_array_equal(twin.cached_data._data, param.numpy())


@pytest.mark.parametrize(
    "shapes",
    [
        [(784, 300), (300, 100), (100,), (100, 10), (10,)],
        [(250, 400)] * 4,
        [(700, 700)],
        [(1000, 784), *[(100, 50)] * 8],
    ],
)
@pytest.mark.parametrize("dtypes", [["float32"], ["float32", "float64"]], ids=" and ".join)
def test_peak_memory_of_a_step(any_optimizer, make_params, give_gradients, shapes, dtypes):
    params = [param for dtype in dtypes for param in make_params(shapes, dtype)]
    give_gradients(params)
    tracemalloc.start()
    try:
        optimizer = any_optimizer(params)
        for _ in range(2):
            optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step()
        rise = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    states = [state for entry in optimizer.state.values() for state in entry.values()]
    state_bytes = sum(state.nbytes for state in states if not isinstance(state, int))
    largest = max(param.size * param.dtype.itemsize for param in params)
    python_objects = 40_000
    assert peak <= state_bytes + largest + python_objects
    assert rise <= python_objects


def test_scratch_of_a_small_model_is_small(make_params, train):
    params = make_params()
    optimizer = Adam(params)
    tracemalloc.start()
    try:
        train(optimizer, range(2))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_parameters_frozen_one_by_one_let_go_of_their_joint_state(make_params, train):
    params = make_params([(16,)] * 200)
    optimizer = Adam(params)
    train(optimizer, [0])
    tracemalloc.start()
    try:
        for frozen in params[:100]:
            frozen.grad = None
            optimizer.step()
        gc.collect()
        state_bytes = 2 * 4 * 16 * len(params)
        python_objects = 1_000 * len(params)
        assert tracemalloc.get_traced_memory()[0] < state_bytes + python_objects
    finally:
        tracemalloc.stop()


def test_gradients_die_when_they_are_reset(any_optimizer, make_params, give_gradients):
    params = make_params()
    optimizer = any_optimizer(params)
    references = [weakref.ref(gradient) for gradient in give_gradients(params)]
    optimizer.step()
    optimizer.reset_grad()
    assert [reference() for reference in references] == [None] * len(references)


def test_gradients_and_parameters_keep_what_they_are(any_optimizer, make_params, give_gradients):
    params = make_params()
    arrays = [param.realize_cached_data() for param in params]
    optimizer = any_optimizer(params)
    for step in range(3):
        gradients = give_gradients(params, seed=step)
        copies = [gradient.copy() for gradient in gradients]
        optimizer.step()
        for param, array, gradient, copy in zip(params, arrays, gradients, copies, strict=True):
            assert param.realize_cached_data() is array
            assert array.dtype == "float32"
            assert param.requires_grad
            assert param.is_leaf()
            assert param.grad.realize_cached_data() is gradient
            np.testing.assert_array_equal(gradient, copy)


def test_state_stays_float32(any_optimizer, make_params, train):
    optimizer = any_optimizer(make_params())
    optimizer.lr = np.float64(0.05)
    assert type(optimizer.lr) is float
    train(optimizer, range(2))
    for entry in optimizer.state.values():
        assert {array.dtype for name, array in entry.items() if name != "step"} == {
            np.dtype("float32")
        }


@pytest.fixture
def count_new_tensors():
    """Counts the live tensors made since the test began: the rest need not be walked over."""
    gc.collect()
    gc.freeze()
    yield lambda: (gc.collect(), autograd.TENSOR_COUNTER)[1]
    gc.unfreeze()


def test_live_tensors_do_not_grow_over_200_steps(any_optimizer, count_new_tensors):
    weight = ndl.Tensor(np.ones((3, 2), "float32"))
    x = ndl.Tensor(np.ones((4, 3), "float32"))
    optimizer = any_optimizer([weight])
    optimizer.lr = 1e-3
    counts = set()
    for step in range(200):
        optimizer.reset_grad()
        ((x @ weight) ** 2).sum().backward()
        optimizer.step()
        if step in (1, 100, 199):
            counts.add(count_new_tensors())
    assert len(counts) == 1
    assert counts.pop() >= 3


def test_lazy_gradients_are_computed_before_any_parameter_changes():
    a, b = ndl.Tensor(np.full(9000, 2.0)), ndl.Tensor(np.full(9000, 3.0))
    with ndl.lazy_mode():
        a.grad, b.grad = b.detach() * 1, a.detach() * 1
        SGD([a, b], lr=1.0).step()
    assert (a.numpy()[0], b.numpy()[0]) == (-1.0, 1.0)


def test_a_lazy_training_ends_like_an_eager_one(any_optimizer, make_params):
    def train_once():
        a, b = make_params([(9, 10), (10, 8)])
        optimizer = any_optimizer([a, b])
        for _ in range(3):
            ((a @ b) ** 2).mean().backward()
            optimizer.step()
        return a.numpy(), b.numpy()

    eager = train_once()
    with ndl.lazy_mode():
        lazy = train_once()
    for value, expected in zip(lazy, eager, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_parameters_without_elements_or_axes(any_optimizer, train):
    params = [ndl.Tensor(np.zeros((0, 3))), ndl.Tensor(np.array(1.0))]
    train(any_optimizer(params), range(2))
    assert params[0].shape == (0, 3)
    assert params[1].shape == ()
    assert params[1].item() != 1.0


def test_float32_and_float64_parameters_in_one_optimizer(any_optimizer, make_params, train):
    single, double = make_params(dtype="float32"), make_params(dtype="float64", seed=1)
    mixed = any_optimizer([tensor for pair in zip(single, double, strict=True) for tensor in pair])
    train(mixed, range(3))
    assert {param.dtype for param in single} == {np.dtype("float32")}
    assert {param.dtype for param in double} == {np.dtype("float64")}


def test_a_gradient_of_another_dtype_is_taken(make_params):
    (weight,) = make_params([(3, 2)])
    expected = weight.numpy() - 1
    weight.grad = ndl.Tensor(np.full((3, 2), 2))
    AdamW([weight], lr=1.0, weight_decay=0).step()
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
    assert weight.dtype == "float32"


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (3,)]])
def test_a_gradient_of_another_shape_is_refused(make_params, shapes):
    params = make_params(shapes)
    for param in params:
        param.grad = ndl.Tensor(np.ones(param.shape[::-1]))
    with pytest.raises(ValueError, match=r"gradient of shape \(3, 2\).*\(2, 3\)"):
        SGD(params).step()


def test_a_gradient_that_is_no_tensor_is_refused(make_params):
    (weight,) = make_params([(2, 3)])
    weight.grad = np.ones((2, 3))
    with pytest.raises(TypeError, match="Tensor, got ndarray"):
        SGD([weight]).step()


def test_a_parameter_that_changed_its_dtype_is_refused(make_params, train):
    (weight,) = make_params([(2, 3)])
    optimizer = Adam([weight])
    train(optimizer, [0])
    weight.cached_data = weight.numpy().astype("float64")
    with pytest.raises(ValueError, match=r"float32 became one of .*float64.*new optimizer"):
        train(optimizer, [1])
