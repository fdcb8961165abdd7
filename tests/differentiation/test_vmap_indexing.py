"""vmap of indexing and of setting items."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # its own

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))


def x():
    return Tensor(X)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(actual.numpy()), expected, tolerance, tolerance)


# --- indexing

INDICES = {
    "an integer": lambda a, i: a[1],
    "slices": lambda a, i: a[1:, ::-1],
    "None and Ellipsis": lambda a, i: a[None, ..., 0],
    "one index each": lambda a, i: a[i[0, 0]],
    "rows": lambda a, i: a[i],
    "columns": lambda a, i: a[:, i],
    "the last axis": lambda a, i: a[..., i[0]],
    "pairs": lambda a, i: a[i, i],
    "two sides": lambda a, i: a[i[0], :, i[1]],
    "two sides of None": lambda a, i: a[i[0], None, i[1]],
    "an integer and columns": lambda a, i: a[0, :, i],
    "an integer beside": lambda a, i: a[:, 1, i],
    "behind Ellipsis": lambda a, i: a[None, ..., i, 0],
    "broadcast pairs": lambda a, i: a[i[0][:, None], i[1]],
    "in the middle": lambda a, i: a[:, i[0], i[1]],
    "a shared and an own one": lambda a, i: a[i[0], np.array([0, 1, 1])],
    "shared rows": lambda a, i: a[[0, 2, 0]],
    "shared sides": lambda a, i: a[[0, 1], :, [1, 2]],
    "a shared mask": lambda a, i: a[np.array([True, False, True])],
    "a shared mask behind": lambda a, i: a[:, np.array([True, False, True])],
    "a shared mask of two axes": lambda a, i: a[np.eye(3, dtype=bool)],
    "a mask of two axes behind": lambda a, i: a[:, np.eye(3, dtype=bool)],
}


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("name", INDICES)
def test_indexing(name, mapped):
    arrays = RNG.normal(size=(4, 3, 3, 3)), RNG.integers(0, 3, size=(4, 2, 3))
    a, i = (
        Tensor(array if axis == 0 else array[0]) for array, axis in zip(arrays, mapped, strict=True)
    )
    i.requires_grad = False
    function = INDICES[name]
    weighted = lambda a, i: (ndl.sin(function(a, i)) ** 2).sum()  # noqa: E731
    for each in (function, ndl.grad(weighted)):
        expected = np.stack([
            each(a[k] if mapped[0] == 0 else a, i[k] if mapped[1] == 0 else i).numpy()
            for k in range(4)
        ])  # fmt: skip
        close(ndl.vmap(each, mapped)(a, i), expected)
    through = ndl.grad(lambda a: (ndl.vmap(function, mapped)(a, i) ** 2).sum())(a)
    looped = ndl.grad(
        lambda a: sum(
            (function(a[k] if mapped[0] == 0 else a, i[k] if mapped[1] == 0 else i) ** 2).sum()
            for k in range(4)
        )
    )(a)
    close(through, looped.numpy())


PLACES = {
    "an integer": lambda i: 1,
    "slices": lambda i: (slice(1, None), slice(None, None, -1)),
    "rows": lambda i: i[0],
    "columns": lambda i: (slice(None), i[0]),
    "pairs": lambda i: (i[0], i[1]),
    "two sides": lambda i: (i[0], slice(None), i[1]),
    "a shared mask": lambda i: np.array([True, False, True]),
}


@pytest.mark.parametrize("mapped", [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0)])
@pytest.mark.parametrize("name", PLACES)
def test_setting_items(name, mapped):
    index = PLACES[name]
    arrays = [RNG.normal(size=(4, 3, 3, 3)), RNG.integers(0, 3, size=(4, 2, 3))]
    arrays.append(RNG.normal(size=(4, *arrays[0][0][index(arrays[1][0])].shape)))
    a, i, b = (
        Tensor(array if axis == 0 else array[0], requires_grad=array.dtype.kind == "f")
        for array, axis in zip(arrays, mapped, strict=True)
    )

    def function(a, i, b):
        return a.at[index(i)].set(b)

    gradient = ndl.grad(lambda a, i, b: (function(a, i, b) ** 3).sum(), (0, 2))
    for each in (lambda *x: (function(*x),), gradient):
        examples = [
            each(*[x[k] if axis == 0 else x for x, axis in zip((a, i, b), mapped, strict=True)])
            for k in range(4)
        ]
        for found, *expected in zip(ndl.vmap(each, mapped)(a, i, b), *examples, strict=True):
            close(found, np.stack([one.numpy() for one in expected]))


def test_a_mask_of_each_example_is_refused():
    with pytest.raises(RuntimeError, match=r"a boolean mask .* needle\.where"):
        ndl.vmap(lambda a: a[a > 0])(x())
