"""Constants and random draws: shapes, dtypes, moments, and draws that follow NumPy's seed."""

import numpy as np
import pytest

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
