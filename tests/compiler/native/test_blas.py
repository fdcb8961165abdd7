"""Products of NumPy's own BLAS, called by address."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

from needle.compiler.native import blas
from needle.compiler.native.cache import load
from needle.compiler.native.runner import runner

addresses = blas.addresses()
needs_blas = pytest.mark.skipif(addresses is None, reason="NumPy's BLAS exports no function")
FUNCTIONS = {np.float32: "sgemm", np.float64: "dgemm"}


def product(a, b, c, alpha, beta, transposed=(False, False)):
    """c = alpha·a·b + beta·c by one call of the kernel; a and b are stored transposed or not."""
    dtype = c.dtype.type
    (kernel,) = load([blas.PRODUCT.format(number=dtype.__name__)])
    numbers = np.array([alpha, beta], dtype)
    m, n, k = *c.shape[-2:], a.shape[-2] if transposed[0] else a.shape[-1]
    matrices = [x for m in (a, b, c) for x in (m.ctypes.data, m.shape[-1], m[0].nbytes)]
    arguments = [addresses[FUNCTIONS[dtype]], *transposed, m, n, k]
    arguments += [numbers.ctypes.data, numbers.ctypes.data + c.itemsize, *matrices, len(c)]
    program = np.array([kernel, len(arguments), *arguments, 0], np.int64)
    runner()(program.ctypes.data)


@needs_blas
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_products(dtype, transposed):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 5, 3) if transposed[0] else (2, 3, 5)).astype(dtype)
    b = rng.standard_normal((2, 4, 5) if transposed[1] else (2, 5, 4)).astype(dtype)
    c = rng.standard_normal((2, 3, 4)).astype(dtype)
    left, right = a.mT if transposed[0] else a, b.mT if transposed[1] else b
    expected = -0.5 * (left @ right) + 2 * c
    product(a, b, c, -0.5, 2.0, transposed)
    np.testing.assert_allclose(c, expected, rtol=1e-5)


@needs_blas
def test_the_library_is_numpys():
    """PyTorch's BLAS is loaded first and is not the one that is found."""
    pytest.importorskip("torch")
    script = "{}; from needle.compiler.native import blas; import ctypes; print(blas._libraries())"
    for before in ("pass", "import torch"):
        printed = subprocess.run(
            [sys.executable, "-c", script.format(before)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "_multiarray_umath" in printed or "numpy" in printed


def test_a_library_without_the_functions(monkeypatch):
    import ctypes

    monkeypatch.setattr(blas, "_libraries", lambda: [ctypes.pythonapi])
    assert blas.addresses.__wrapped__() is None


def test_a_function_that_does_something_else(monkeypatch):
    monkeypatch.setattr(blas, "_multiplies", lambda function, dtype: False)
    assert blas.addresses.__wrapped__() is None


def test_no_library(monkeypatch):
    def raise_error():
        raise OSError("no such file")

    monkeypatch.setattr(blas, "_libraries", raise_error)
    assert blas.addresses.__wrapped__() is None
