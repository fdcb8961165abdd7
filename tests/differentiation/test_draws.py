"""checkpoint: random draws are repeated in any number of threads, and other changes are found."""

import sys
import threading

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, init, nn
from needle.differentiation import draws


@pytest.fixture
def quick_switches():
    """Threads take turns often."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(former)


def in_threads(work, count=4):
    """Calls work(number) in `count` threads at once; an error in one is raised here."""
    errors = []

    def caught(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=caught, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("lock", ["reentrant", "plain"])
def test_dropout_in_several_threads_has_the_masks_of_forward(quick_switches, monkeypatch, lock):
    if lock == "plain":  # as NumPy's before version 2.3
        monkeypatch.setattr(draws, "_REENTRANT", ())
    drop = nn.Dropout(0.5)

    def work(number):
        for _ in range(40):
            x = Tensor(np.ones(200))
            y = ndl.checkpoint(lambda x: drop(drop(x * 1.0)), x)
            y.sum().backward()
            np.testing.assert_array_equal(x.grad.numpy(), y.numpy())

    in_threads(work)


def test_calls_of_numpys_random_functions_in_another_thread_change_no_mask():
    drop, counts = nn.Dropout(0.5), iter([3, 5])

    def function(x):
        x = drop(x)
        other = threading.Thread(target=np.random.rand, args=(next(counts),))
        other.start()
        other.join()
        return drop(x)

    x = Tensor(np.ones(1000))
    y = ndl.checkpoint(function, x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_generators_that_threads_share_repeat_each_draw(quick_switches):
    generator = ndl.Generator(0)

    def work(number):
        for _ in range(40):
            x = Tensor(np.ones(50))
            y = ndl.checkpoint(lambda x: x * init.randn(50, generator=generator), x)
            y.sum().backward()
            np.testing.assert_array_equal(x.grad.numpy(), y.numpy())

    in_threads(work)


def test_backward_of_a_thread_does_not_turn_back_the_draws_of_another(quick_switches):
    drop, seen = nn.Dropout(0.5), []

    def work(number):
        for _ in range(50):
            if number:
                x = Tensor(np.ones(20))
                ndl.checkpoint(drop, x).sum().backward()
            else:
                seen.extend(np.random.rand(3).tolist())

    in_threads(work)
    assert len(set(seen)) == len(seen) == 150


def test_backward_leaves_the_global_state_where_it_is():
    drop, x = nn.Dropout(0.5), Tensor(np.ones(20))
    loss = ndl.checkpoint(lambda x: drop(drop(x)), x).sum()
    np.random.seed(3)
    loss.backward()
    assert np.random.rand() == np.random.RandomState(3).rand()


@pytest.mark.parametrize("with_dropout", [False, True])
def test_calls_of_numpys_random_functions_are_repeated(with_dropout):
    x, drop = Tensor(np.ones(30)), nn.Dropout(0.5) if with_dropout else nn.Identity()

    def function(x):
        return drop(drop(x * np.random.rand(30)) * np.random.randint(0, 2, 30)) + x * 0

    results = []
    for call in (ndl.checkpoint, lambda function, x: function(x)):
        np.random.seed(0)
        y = call(function, x)
        after = np.random.get_state()[1:]
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
        results.append((y.numpy().tolist(), np.random.rand(), after[1]))
    assert results[0] == results[1]


def test_other_numbers_in_the_second_call_are_an_error():
    x, generator = Tensor(np.ones(30)), np.random.default_rng(0)
    loss = ndl.checkpoint(lambda x: x * generator.random(30), x).sum()
    with pytest.raises(RuntimeError, match="other values in backward than in forward"):
        loss.backward()


def test_array_that_has_changed_is_an_error():
    x, scale = Tensor(np.ones(3)), np.ones(3)
    loss = ndl.checkpoint(lambda x: x * Tensor(scale), x).sum()
    scale[:] = 2
    with pytest.raises(RuntimeError, match="have changed"):
        loss.backward()


def test_other_draws_in_the_second_call_are_an_error():
    x, sizes = Tensor(np.ones(3)), iter([3, 1])
    loss = ndl.checkpoint(lambda x: x * init.rand(next(sizes)), x).sum()
    with pytest.raises(RuntimeError, match=r"draws other random numbers \(random of \(1,\)\)"):
        loss.backward()


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_any_of_numpys_bit_generators_is_repeated(bits):
    former = np.random.get_bit_generator()
    np.random.set_bit_generator(bits(0))
    try:
        x, drop = Tensor(np.ones(40)), nn.Dropout(0.5)
        y = ndl.checkpoint(drop, x)
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    finally:
        np.random.set_bit_generator(former)


def test_nan_and_infinity_repeat_themselves():
    x = Tensor([-1.0, 0.0, 1.0])
    with np.errstate(all="ignore"):
        y = ndl.checkpoint(ndl.log, x)
        y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [np.nan, -np.inf, 0])
