"""Dropout: which elements it keeps, what becomes of them, and both modes."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


def test_an_element_is_kept_where_a_draw_is_at_most_1_minus_p() -> None:
    x = ndl.init.randn(4, 6)
    np.random.seed(5)
    kept = ndl.init.randb(4, 6, p=0.7).numpy()
    np.random.seed(5)
    y = nn.Dropout(0.3)(x)
    np.testing.assert_allclose(y.numpy(), x.numpy() * kept / np.float32(0.7), rtol=1e-6)
    assert y.dtype == np.float32
    assert 0 < kept.sum() < kept.size


def test_the_gradient_goes_where_the_values_went() -> None:
    x = ndl.Tensor(np.ones((10, 10)))
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert set(np.unique(y.numpy())) == {0.0, 2.0}


def test_the_mean_stays() -> None:
    np.random.seed(0)
    y = nn.Dropout(0.25)(ndl.init.ones(400, 400)).numpy()
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_eval_mode_passes_everything_and_draws_nothing() -> None:
    x = ndl.init.randn(3)
    np.random.seed(1)
    assert nn.Dropout(0.9).eval()(x) is x
    first = np.random.rand()
    np.random.seed(1)
    assert first == np.random.rand()


def test_the_ends() -> None:
    x = ndl.init.ones(50)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).numpy(), x.numpy())
    np.testing.assert_array_equal(nn.Dropout(1.0)(x).numpy(), 0)


def test_a_lazy_graph_draws_when_it_is_computed() -> None:
    x = ndl.init.ones(20)
    with ndl.lazy_mode():
        y = nn.functional.dropout(x, 0.5)
    np.random.seed(3)
    first = y.numpy()
    np.random.seed(3)
    np.testing.assert_array_equal(first, nn.functional.dropout(x, 0.5).numpy())


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_is_a_probability(p) -> None:
    with pytest.raises(ValueError, match=f"p must be from 0 to 1, got {p}"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match=f"got {p}"):
        nn.functional.dropout(ndl.init.ones(3), p)


def test_integers_cannot_be_scaled() -> None:
    with pytest.raises(TypeError, match="Dropout expected floating-point numbers, got int64"):
        nn.Dropout()(ndl.Tensor([1, 2]))


def test_p_is_shown() -> None:
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2)"


def test_draws_come_from_the_generator_that_is_given() -> None:
    x = ndl.init.ones(4, 50)
    np.random.seed(0)
    first = nn.Dropout(generator=ndl.Generator(seed=3))
    second = nn.Dropout(generator=ndl.Generator(seed=3))
    y = first(x).numpy()
    second(x)
    assert np.random.rand() == np.random.RandomState(0).rand()  # the global state is not used
    np.testing.assert_array_equal(first(x).numpy(), second(x).numpy())
    assert (first(x).numpy() != y).any()
    kept = ndl.Generator(seed=3).rand(4, 50) <= 0.5
    np.testing.assert_array_equal(y, 2.0 * kept)
    with pytest.raises(TypeError):
        nn.Dropout(0.5, ndl.Generator())  # by keyword only


@pytest.mark.parametrize("n", [1, 2, 3])
def test_whole_channels_are_dropped(n):
    layer, x = getattr(nn, f"Dropout{n}d")(0.25), ndl.init.ones(40, 50, *[3] * n)
    for images in (x, x[0]):
        channels = layer(images).numpy().reshape(-1, 3**n)
        assert (channels == channels[:, :1]).all()
        assert set(channels[:, 0]) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((layer(x).numpy() == 0).mean() - 0.25) < 0.05
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match=f"dropout{n}d: p must be from 0 to 1"):
        getattr(nn.functional, f"dropout{n}d")(x, 1.5)


def test_gradient_of_dropped_channels():
    x = ndl.init.ones(2, 8, 3, 3, requires_grad=True)
    y = nn.Dropout2d(0.5)(x)
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 4 * y.numpy())
