"""AbstractArray against NumPy: the same shapes and dtypes, without numbers."""

import numpy as np
import pytest

from needle.autograd.abstract import AbstractArray, NeedsNumbers, abstract_like

MATRIX = np.ones((3, 4), np.float32)
STACK = np.eye(4) + np.zeros((2, 1, 4, 4))
ROWS = np.zeros((2, 1), np.int64)

CALLS = {
    "sum of all": (lambda a: np.sum(a), MATRIX),
    "sum of all, keepdims": (lambda a: np.sum(a, keepdims=True), MATRIX),
    "sum over axes": (lambda a: np.sum(a, axis=(0, -1)), STACK),
    "sum in another dtype": (lambda a: np.sum(a, 1, dtype="float64"), MATRIX),
    "sum of booleans": (lambda a: (a > 0).sum(axis=0), MATRIX),
    "argmax, keepdims": (lambda a: np.argmax(a, keepdims=True), MATRIX),
    "argmax along an axis": (lambda a: np.argmax(a, axis=1), STACK),
    "method": (lambda a: a.max(axis=1, keepdims=True), MATRIX),
    "sort": (lambda a: np.sort(a, axis=0), MATRIX),
    "cumsum of integers": (lambda a: np.cumsum(a.astype(np.int8), axis=1), MATRIX),
    "cumsum of all": (lambda a: np.cumsum(a, axis=None), MATRIX),
    "concatenate": (lambda a: np.concatenate([a, a.astype(float)], axis=-1), MATRIX),
    "stack": (lambda a: np.stack([a, a], axis=-1), MATRIX),
    "clip": (lambda a: np.clip(a, None, 3), MATRIX),
    "where": (lambda a: np.where(a > 0, a, np.zeros((2, 1, 1))), MATRIX),
    "numbers": (lambda a: 2.0 * a + True, MATRIX),
    "outer": (lambda a: a[:, 0] * a[:, :1, None], STACK),
    "out": (lambda a: np.exp(a, out=np.zeros_like(a)), MATRIX),
    "copy": (lambda a: a.copy("F"), MATRIX),
    "zeros_like": (lambda a: np.zeros_like(a, shape=(5,)), MATRIX),
    "full_like": (lambda a: np.full_like(a, 2, "int8"), MATRIX),
    "matmul of vectors": (lambda a: a[0, 0, 0] @ a[0, 0, 0], STACK),
    "matmul of a vector": (lambda a: a[0, 0, 0] @ a, STACK),
    "matmul of a stack": (lambda a: a @ a[0], STACK),
    "einsum": (lambda a: np.einsum("abij,aj->ia", a, a[:, 0, 0]), STACK),
    "triangle": (lambda a: np.tril(a[0]), MATRIX),
    "svd": (lambda a: np.linalg.svd(a, full_matrices=False), MATRIX),
    "singular values": (lambda a: np.linalg.svd(a, compute_uv=False), MATRIX),
    "qr": (lambda a: np.linalg.qr(a), MATRIX),
    "solve": (lambda a: np.linalg.solve(a, a[0, 0, :, :2]), STACK),
    "slogdet": (lambda a: np.linalg.slogdet(a), STACK),
    "reshape": (lambda a: a.reshape(2, -1).transpose(1, 0), MATRIX),
}
INDICES = {
    "int": 1,
    "slices": (slice(1, None), slice(None, None, -1)),
    "new axis": (None, Ellipsis, 0),
    "array": ROWS,
    "arrays": (ROWS, np.zeros(3, int)),
    "arrays apart": (ROWS, slice(None), 0, ROWS),
    "arrays around an ellipsis": (ROWS, Ellipsis, ROWS),
    "array behind": (slice(None), 0, ROWS),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_are_those_of_numpy(name):
    call, array = CALLS[name]
    expected, found = call(array), call(abstract_like(array))
    pairs = zip(expected, found, strict=True) if type(found) is tuple else [(expected, found)]
    for array, abstract in pairs:
        assert (abstract.shape, abstract.dtype) == (array.shape, array.dtype)


@pytest.mark.parametrize("name", INDICES)
def test_indices_follow_numpy(name):
    index = INDICES[name]
    parts = index if isinstance(index, tuple) else (index,)
    symbolic = tuple(abstract_like(part) if hasattr(part, "dtype") else part for part in parts)
    assert abstract_like(STACK)[symbolic].shape == STACK[index].shape


@pytest.mark.parametrize("index", [(0, 0, 0), (slice(None),) * 3, (Ellipsis, 0, 0, 0)], ids=repr)
def test_too_many_indices_are_refused(index):
    with pytest.raises(IndexError):
        abstract_like(MATRIX)[index]


@pytest.mark.parametrize(
    "ask", [bool, float, list, np.asarray, lambda a: a[a > 0], np.add.reduce, np.median]
)
def test_what_depends_on_numbers_is_refused(ask):
    with pytest.raises(NeedsNumbers):
        ask(abstract_like(MATRIX))


def test_large_arrays_cost_neither_memory_nor_time():
    a = AbstractArray((10**6, 10**6), np.float32)
    assert (a * a + a.T).sum(axis=1).shape == (10**6,)
    assert (a @ a)[:, 0].shape == (10**6,)
