"""no_grad and lazy_mode: what they change, and that they leave nothing behind."""

import threading

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, autograd


def records() -> bool:
    return (Tensor([1.0]) * 2).requires_grad


def waits() -> bool:
    return (Tensor([1.0]) * 2).cached_data is None


def test_mode_is_on_inside_and_off_again_after(switch):
    mode, is_on = switch
    assert not is_on()
    with mode():
        assert is_on()
        with mode():
            assert is_on()
        assert is_on()
    assert not is_on()


def test_one_mode_is_entered_many_times(switch):
    mode, is_on = switch
    again = mode()
    for _ in range(2):
        with again:
            with again:
                assert is_on()
            assert is_on()
        assert not is_on()


def test_former_state_is_back_after_an_exception(switch):
    mode, is_on = switch
    with pytest.raises(KeyError), mode():
        raise KeyError
    assert not is_on()
    with mode():
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert is_on()


def test_mode_decorates_functions(switch):
    mode, is_on = switch

    @mode()
    def countdown(number: int) -> bool:
        return is_on() and (number == 0 or countdown(number - 1))

    assert countdown(3)
    assert not is_on()

    @mode()
    def inside(fail: bool = False) -> bool:
        """What it says."""
        if fail:
            raise KeyError
        return is_on()

    assert inside()
    assert inside()
    assert inside.__doc__ == "What it says."
    with pytest.raises(KeyError):
        inside(fail=True)
    assert not is_on()


def test_mode_of_one_thread_is_not_that_of_another(switch):
    mode, is_on = switch
    entered, may_leave = threading.Event(), threading.Event()
    seen = {}

    def other():
        with mode():
            seen["other"] = is_on()
            entered.set()
            may_leave.wait(10)
        seen["other, after"] = is_on()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    seen["this"] = is_on()
    may_leave.set()
    thread.join(10)
    with mode():
        threading.Thread(target=lambda: seen.update(third=is_on())).start()
    assert seen == {"other": True, "this": False, "other, after": False, "third": False}


def test_graphs_are_built_in_many_threads_at_once():
    found = []

    def work(number):
        for _ in range(50):
            x = Tensor([float(number)])
            (x * x * x).backward()
            if number % 2:
                with ndl.no_grad():
                    assert not (x * x).requires_grad
            found.append(x.grad.item() == 3 * number**2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [True] * 200


def test_no_grad_records_nothing():
    x = Tensor([1.0])
    with ndl.no_grad():
        y = x * x
    assert y.is_leaf()
    assert y.inputs == ()
    assert x.requires_grad
    with pytest.raises(RuntimeError, match="without a graph"):
        y.backward()


def test_backward_without_a_graph_of_its_own_leaves_the_mode_as_it_was():
    x = Tensor([1.0])
    (x * x).backward(create_graph=False)
    assert records()
    assert not x.grad.requires_grad
    (x * x).backward(create_graph=True)
    assert x.grad.requires_grad


def test_mode_is_left_when_backward_fails():
    class Broken(ndl.TensorOp):
        def compute(self, a):
            return a * 1

        def gradient(self, out_grad, node):
            raise KeyError

    with pytest.raises(KeyError):
        Broken()(Tensor([1.0])).backward(create_graph=False)
    assert records()


# --- lazy values


def test_lazy_values_are_computed_when_they_are_needed():
    with ndl.lazy_mode():
        x = Tensor([2.0])
        y = x * x
        z = y + 1
    assert y.cached_data is None
    assert z.cached_data is None
    np.testing.assert_array_equal(z.numpy(), [5])
    np.testing.assert_array_equal(y.cached_data, [4])


def test_lazy_value_is_computed_once():
    calls = []

    class Counted(ndl.TensorOp):
        def compute(self, a):
            calls.append(1)
            return a * 1

        def gradient(self, out_grad, node):
            return out_grad

    with ndl.lazy_mode():
        y = Counted()(Tensor([2.0]))
        z = y + y
        z.backward()
        z.numpy()
        y.numpy()
    assert calls == [1]


@pytest.mark.parametrize(
    "look",
    [
        repr,
        str,
        bool,
        float,
        np.asarray,
        lambda t: t.item(),
        lambda t: t.data,
        lambda t: t.detach(),
    ],
)
def test_looking_at_a_lazy_value_computes_it(look):
    with ndl.lazy_mode():
        y = Tensor([2.0]) * 3
        look(y)
    np.testing.assert_array_equal(y.cached_data, [6])


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (lambda t: t.shape, (4, 2)),
        (lambda t: t.dtype, np.float32),
        (lambda t: t.ndim, 2),
        (lambda t: t.size, 8),
        (len, 4),
        (lambda t: [row.shape for row in t], [(2,)] * 4),
    ],
)
def test_shape_and_dtype_of_a_lazy_value_compute_nothing(look, expected):
    with ndl.lazy_mode():
        x = Tensor(np.ones((4, 3), np.float32))
        products = (x * 2) @ Tensor(np.ones((3, 2), np.float32))
        assert look(products) == expected
        assert products.cached_data is None


def test_shape_of_a_deep_lazy_value_computes_nothing():
    with ndl.lazy_mode():
        x = y = Tensor([1.0, 2.0])
        for _ in range(5_000):
            y = y + x
        assert y.shape == (2,)
        assert y.cached_data is None


def test_lazy_values_meet_eager_ones():
    x = Tensor([2.0])
    with ndl.lazy_mode():
        y = x * x
    z = y + x  # eager again: needs y now
    assert y.cached_data is not None
    z.backward()
    assert x.grad.item() == 5


def test_lazy_constants_forget_their_graph_once_computed():
    with ndl.lazy_mode(), ndl.no_grad():
        y = Tensor([2.0]) * 3
        assert not y.requires_grad
        y.numpy()
    assert y.is_leaf()
    assert y.inputs == ()


def test_lazy_gradient_without_a_graph():
    with ndl.lazy_mode():
        x = Tensor([2.0])
        (x * x).backward(create_graph=False)
        assert not x.grad.requires_grad
    assert x.grad.item() == 4


def test_global_flag_makes_every_thread_lazy(monkeypatch):
    assert autograd.LAZY_MODE is False
    monkeypatch.setattr(autograd, "LAZY_MODE", True)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(waits()))
    thread.start()
    thread.join(10)
    assert seen == [True]
    assert waits()
    x = Tensor([3.0])
    (x + x + x * x).backward(create_graph=False)
    assert x.grad.item() == 8


def test_error_in_a_lazy_graph_comes_when_it_is_computed():
    with ndl.lazy_mode():
        y = Tensor([1.0, 2.0]) + Tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"EWiseAdd .*\(2,\) and \(3,\) do not broadcast"):
        y.numpy()


def test_set_grad_enabled():
    x = Tensor([1.0])
    try:
        ndl.set_grad_enabled(False)
        assert not ndl.is_grad_enabled()
        assert not (x * 2).requires_grad
        with ndl.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not ndl.is_grad_enabled()
    finally:
        ndl.set_grad_enabled(True)
    assert ndl.is_grad_enabled()

    @ndl.set_grad_enabled(False)
    def constant():
        return (x * 2).requires_grad

    assert ndl.is_grad_enabled()
    assert not constant()
    assert ndl.is_grad_enabled()
