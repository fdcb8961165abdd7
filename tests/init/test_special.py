"""Orthogonal matrices, truncated normal draws, gains."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle import init

# --- orthogonal


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), gain=st.sampled_from([1.0, 0.5, 2.0]))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_rows_or_columns_are_orthonormal(rows, columns, gain) -> None:
    matrix = init.orthogonal(rows, columns, gain=gain, dtype="float64").numpy()
    products = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(products, gain**2 * np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_of_several_axes() -> None:
    tensor = init.orthogonal(3, 3, 4, 8, requires_grad=True)
    assert (tensor.shape, tensor.dtype) == ((3, 3, 4, 8), np.float32)
    assert tensor.requires_grad
    flat = tensor.numpy().reshape(36, 8)
    np.testing.assert_allclose(flat.T @ flat, np.eye(8), atol=1e-6)


def test_orthogonal_matrices_are_spread_evenly() -> None:
    np.random.seed(0)
    draws = np.array([init.orthogonal(2, 2, dtype="float64").numpy() for _ in range(2000)])
    # uniform angles, rotations and reflections alike
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.06)
    assert (np.linalg.det(draws) > 0).mean() == pytest.approx(0.5, abs=0.04)


def test_orthogonal_follows_the_seed_and_needs_a_matrix() -> None:
    np.random.seed(3)
    first = init.orthogonal(4, 3).numpy()
    np.random.seed(3)
    np.testing.assert_array_equal(init.orthogonal(4, 3).numpy(), first)
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(4,\)"):
        init.orthogonal(4)


# --- trunc_normal


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),
        (1.0, 2.0, 0.0, 1.5),
        (0.0, 1.0, 3.0, 5.0),
        (0.0, 1.0, 4.0, math.inf),
        (5.0, 1.0, -math.inf, 0.0),
        (0.0, 1.0, -math.inf, math.inf),
    ],
)
def test_trunc_normal_has_the_moments_of_its_density(mean, std, a, b) -> None:
    np.random.seed(0)
    draws = init.trunc_normal(100_000, mean=mean, std=std, a=a, b=b, dtype="float64").numpy()
    assert a <= draws.min()
    assert draws.max() <= b
    grid = np.linspace(max(a, mean - 40 * std), min(b, mean + 40 * std), 2_000_001)
    logarithm = -(((grid - mean) / std) ** 2) / 2
    density = np.exp(logarithm - logarithm.max())
    expected = np.average(grid, weights=density)
    spread = math.sqrt(np.average((grid - expected) ** 2, weights=density))
    assert draws.mean() == pytest.approx(expected, abs=5 * spread / math.sqrt(draws.size))
    assert draws.std() == pytest.approx(spread, rel=0.02)


def test_trunc_normal_in_other_shapes() -> None:
    np.random.seed(1)
    tensor = init.trunc_normal(3, 4, std=0.1)
    assert (tensor.shape, tensor.dtype) == ((3, 4), np.float32)
    np.random.seed(1)
    np.testing.assert_array_equal(init.trunc_normal(3, 4, std=0.1).numpy(), tensor.numpy())
    assert init.trunc_normal().shape == ()
    assert init.trunc_normal(0, 3).shape == (0, 3)


def test_trunc_normal_far_outside() -> None:
    # the density is all but 0 there, and falls so fast that its end is all there is
    for mean, std, a, b, end in [
        (0, 1e-200, 1, 2, 1),
        (0, 1e-309, 1, math.inf, 1),
        (1e9, 1, 0, 2, 2),
    ]:
        draws = init.trunc_normal(3, mean=mean, std=std, a=a, b=b)
        np.testing.assert_allclose(draws.numpy(), end, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"std": 0.0}, {"std": -1.0}, {"a": 2.0}, {"std": math.nan}, {"std": math.inf},
     {"mean": math.nan}, {"mean": -math.inf}, {"b": math.nan}],
)  # fmt: skip
def test_trunc_normal_of_nothing(options) -> None:
    with pytest.raises(ValueError, match="trunc_normal needs a finite mean and std, std > 0 and a"):
        init.trunc_normal(3, **options)


# --- gains


@pytest.mark.parametrize(
    ("name", "param"),
    [("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("selu", None),
     ("leaky_relu", None), ("leaky_relu", 0.3), ("leaky_relu", 0), ("conv1d", None),
     ("conv2d", None), ("conv_transpose3d", None)],
)  # fmt: skip
def test_gain_is_torchs(name, param) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.calculate_gain(name, param)
    assert init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-12)


def test_kaiming_knows_every_gain() -> None:
    np.random.seed(0)
    values = init.kaiming_normal(300, 300, nonlinearity="tanh").numpy()
    assert values.std() == pytest.approx(5 / 3 / math.sqrt(300), rel=0.01)


def test_unknown_gain() -> None:
    with pytest.raises(ValueError, match=r"nonlinearity 'swish': known are linear, .*leaky_relu"):
        init.calculate_gain("swish")
