"""Constants and random draws: shapes, dtypes, moments, orthogonality, reproduction by a seed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import init

MANY = 200_000


def test_constants() -> None:
    for tensor, value in [(init.constant(2, 3, c=0.5), 0.5), (init.ones(2, 3), 1)]:
        assert tensor.shape == (2, 3)
        assert tensor.dtype == np.float32
        assert not tensor.requires_grad
        np.testing.assert_array_equal(tensor.numpy(), np.full((2, 3), value))
    assert init.zeros().shape == ()
    assert init.zeros(4, dtype="int8").dtype == np.int8
    assert init.zeros(4, requires_grad=True).requires_grad


@pytest.mark.parametrize(("like", "value"), [(init.ones_like, 1), (init.zeros_like, 0)])
def test_like_another_tensor(like, value) -> None:
    pattern = ndl.Tensor([[1, 2]], dtype="int16")
    tensor = like(pattern, requires_grad=True)
    assert (tensor.shape, tensor.dtype) == ((1, 2), np.int16)
    assert tensor.requires_grad
    assert (tensor.numpy() == value).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_numpys_after_the_same_seed(dtype) -> None:
    np.random.seed(7)
    expected = [np.random.rand(3, 4) * 5 - 2, np.random.randn(5) * 2 + 1, np.random.rand(6) <= 0.3]
    np.random.seed(7)
    drawn = [
        init.rand(3, 4, low=-2, high=3, dtype=dtype),
        init.randn(5, mean=1, std=2, dtype=dtype),
        init.randb(6, p=0.3),
    ]
    for tensor, array in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array.astype(tensor.dtype))
    assert [tensor.dtype for tensor in drawn] == [dtype, dtype, bool]


def test_manual_seed_repeats_the_draws() -> None:
    ndl.manual_seed(3)
    first = init.rand(4).numpy(), init.randn(4).numpy()
    ndl.manual_seed(3)
    np.testing.assert_array_equal(init.rand(4).numpy(), first[0])
    np.testing.assert_array_equal(init.randn(4).numpy(), first[1])


def test_moments_and_ranges() -> None:
    np.random.seed(0)
    uniform = init.rand(MANY, low=-1, high=3).numpy()
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3
    assert uniform.mean() == pytest.approx(1, abs=0.02)
    assert uniform.var() == pytest.approx(16 / 12, rel=0.02)
    normal = init.randn(MANY, mean=2, std=0.5).numpy()
    assert normal.mean() == pytest.approx(2, abs=0.01)
    assert normal.std() == pytest.approx(0.5, rel=0.02)
    assert (abs(normal - 2) < 0.5).mean() == pytest.approx(0.6827, abs=0.01)
    assert init.randb(MANY, p=0.3).numpy().mean() == pytest.approx(0.3, abs=0.01)


def test_randb_at_the_ends() -> None:
    assert init.randb(100, p=1.0).numpy().all()
    assert not init.randb(100, p=-0.0).numpy().any()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_randb_of_what_is_no_probability(p) -> None:
    with pytest.raises(ValueError, match=f"randb: p must be a probability from 0 to 1, got {p}"):
        init.randb(3, p=p)


def test_draws_without_axes() -> None:
    assert init.rand().shape == init.randn().shape == init.randb().shape == ()


def test_one_hot() -> None:
    classes = ndl.Tensor([[2, 0], [1, 1]])
    rows = init.one_hot(3, classes)
    np.testing.assert_array_equal(rows.numpy(), np.eye(3)[classes.numpy()])
    assert rows.dtype == np.float32
    assert init.one_hot(3, classes, dtype="bool").dtype == bool


def test_one_hot_of_a_list() -> None:
    np.testing.assert_array_equal(init.one_hot(3, [2, 0]).numpy(), [[0, 0, 1], [1, 0, 0]])


def test_one_hot_of_no_classes() -> None:
    assert init.one_hot(3, ndl.Tensor(np.zeros(0, int))).shape == (0, 3)


@pytest.mark.parametrize("number", [-1, 3])
def test_one_hot_outside_the_classes(number) -> None:
    with pytest.raises(ValueError, match=f"{number}.*allowed 0 to 2"):
        init.one_hot(3, ndl.Tensor([1, number]))


def test_one_hot_takes_whole_numbers() -> None:
    rows = init.one_hot(3, ndl.Tensor([2.0, 0.0], dtype="float32"))
    np.testing.assert_array_equal(rows.numpy(), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(TypeError, match=r"whole class numbers, got 1\.5 among float64"):
        init.one_hot(3, ndl.Tensor([1.0, 1.5]))
    with pytest.raises(TypeError, match="class numbers, got bool"):
        init.one_hot(3, ndl.Tensor([True]))


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
