"""Values and derivatives at special numbers: infinities, NaN, both zeros, subnormal, huge, tiny.

Functions of one operand, losses, reductions and normalisations get tensors of special and random
numbers in every float dtype and odd shapes, and are compared with PyTorch: values, first
derivatives for adjoints that may be infinite, second derivatives, dtypes. Where both libraries may
differ (the derivative at a kink or of NaN), the case is left out. Differences and comparisons of
all dtypes are compared with NumPy.
"""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor, ops
from needle.nn import functional as F

from . import repeated

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-7, -1e-7, 300.0, -300.0, 6e4, -6e4]
OF_DTYPE = {
    "float16": [6e-8, -6e-8],
    "float32": [1e-40, -1e-40, 1e18, -1e18, 3e38, -3e38],
    "float64": [1e-310, -1e-310, 1e150, -1e150, 1e308, -1e308],
}
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-8}
SHAPES = [(), (1,), (7,), (0, 3), (3, 1), (2, 5), (2, 1, 3), (4, 3, 2)]


def _pairs(torch: Any) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """needle's functions and PyTorch's."""
    f = torch.nn.functional
    return {
        "relu": (ops.relu, torch.relu),
        "leaky_relu": (lambda x: ops.leaky_relu(x, 0.1), lambda x: f.leaky_relu(x, 0.1)),
        "leaky_relu, steep": (lambda x: ops.leaky_relu(x, 3e4), lambda x: f.leaky_relu(x, 3e4)),
        "elu": (ops.elu, f.elu),
        "hardtanh": (lambda x: ops.hardtanh(x, -2, 3), lambda x: f.hardtanh(x, -2, 3)),
        "clip": (lambda x: ops.clip(x, -2, 3), lambda x: x.clamp(-2, 3)),
        "sigmoid": (ops.sigmoid, torch.sigmoid),
        "tanh": (ops.tanh, torch.tanh),
        "softplus": (ops.softplus, f.softplus),
        "sqrt(relu)": (lambda x: ops.sqrt(ops.relu(x)), lambda x: torch.relu(x).sqrt()),
        "log(relu)": (lambda x: ops.log(ops.relu(x)), lambda x: torch.relu(x).log()),
        "sqrt(clip)": (lambda x: ops.sqrt(ops.clip(x, 0)), lambda x: x.clamp(0).sqrt()),
        "sqrt(hardtanh)": (
            lambda x: ops.sqrt(ops.hardtanh(x, 0, 9)), lambda x: f.hardtanh(x, 0, 9).sqrt()
        ),
        "sqrt(where)": (
            lambda x: ops.sqrt(ops.where(x > 0, x, 0)),
            lambda x: torch.where(x > 0, x, 0).sqrt(),
        ),
        "exp": (ops.exp, torch.exp),
        "log": (ops.log, torch.log),
        "sqrt": (ops.sqrt, torch.sqrt),
        "abs": (ops.abs, torch.abs),
        "square": (lambda x: x**2, lambda x: x**2),
        "erf": (ops.erf, torch.erf),
        "arctan": (ops.arctan, torch.arctan),
        "sum": (lambda x: ops.summation(x), lambda x: x.sum()),
        "mean": (lambda x: ops.mean(x, -1), lambda x: x.mean(-1)),
        "logsumexp": (lambda x: ops.logsumexp(x, -1), lambda x: x.logsumexp(-1)),
        "softmax": (lambda x: ops.softmax(x, -1), lambda x: x.softmax(-1)),
        "mse_loss": (
            lambda x: F.mse_loss(x, np.zeros(x.shape), "none"),
            lambda x: f.mse_loss(x, torch.zeros_like(x), reduction="none"),
        ),
        "smooth_l1_loss": (
            lambda x: F.smooth_l1_loss(x, np.zeros(x.shape), "none", 0.5),
            lambda x: f.smooth_l1_loss(x, torch.zeros_like(x), reduction="none", beta=0.5),
        ),
    }  # fmt: skip


NEEDS_AXIS = {"mean", "logsumexp", "softmax"}
# sums of huge numbers cancel, and next to them the logarithm of PyTorch's logsumexp is rounded off
MODERATE = {"sum", *NEEDS_AXIS}
# where the derivative at NaN is a matter of taste: needle gives 0, PyTorch 1 or 0
MASKS = {"relu", "leaky_relu", "elu", "hardtanh", "clip", "abs", "sqrt", "log"}
# second derivatives that are compared; those of the others overflow on the way in both
SMOOTH = {"sigmoid", "tanh", "square", "relu", "hardtanh", "clip", "erf"}


def case(rng: np.random.Generator) -> dict[str, int]:
    if rng.random() < 0.3:
        return _integers(rng)
    try:
        import torch
    except ImportError:
        return _integers(rng)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _against_torch(rng, torch)


def _numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    numbers = rng.normal(size=shape) * 3
    special = rng.choice(SPECIAL + OF_DTYPE[dtype], size=shape)
    return np.asarray(np.where(rng.random(shape) < 0.5, special, numbers), dtype)


def _against_torch(rng: np.random.Generator, torch: Any) -> dict[str, int]:
    pairs = _pairs(torch)
    name = str(rng.choice(list(pairs)))
    dtype = str(rng.choice(list(TOLERANCE)))
    ours, theirs = pairs[name]
    shapes = [shape for shape in SHAPES if shape and shape[-1]] if name in NEEDS_AXIS else SHAPES
    array = _numbers(rng, shapes[rng.integers(len(shapes))], dtype)
    if name in MODERATE:
        array = np.clip(array, -30, 30)
    x, other = Tensor(array), torch.tensor(array, requires_grad=True)
    with ndl.lazy_mode() if rng.random() < 0.3 else nullcontext():
        y = ours(x)
        z = theirs(other)
        where = f"{name} of {array!r}"
        _close(y, z, dtype, f"the value of {where}")
        adjoint = np.asarray(rng.normal(size=y.shape), dtype)
        if rng.random() < 0.3 and name not in MODERATE:
            adjoint = np.asarray(np.where(rng.random(y.shape) < 0.3, np.inf, adjoint), dtype)
        y.backward(Tensor(adjoint, requires_grad=False))
        (expected,) = torch.autograd.grad(z, other, torch.tensor(adjoint), create_graph=True)
        first = x.grad
        skipped = np.isnan(array) if any(each in name for each in MASKS) else np.zeros_like(array)
        _close(first, expected, dtype, f"the derivative for {adjoint!r} of {where}", skipped)
        counts = {"derivatives": 1}
        # at the kinks the libraries choose different sides
        is_kink = np.isin(array, [0, -2, 3])
        if name in SMOOTH and expected.requires_grad and first.requires_grad and array.size:
            first.sum().backward()
            (expected,) = torch.autograd.grad(expected.sum(), other, allow_unused=True)
            if expected is not None and x.grad is not None and np.isfinite(adjoint).all():
                skipped = is_kink | ~np.isfinite(array) | (np.abs(array) > 1e3)
                _close(x.grad, expected, dtype, f"the second derivative of {where}", skipped)
                counts["second derivatives"] = 1
    return counts


def _close(ours: Tensor, theirs: Any, dtype: str, what: str, skipped: Any = False) -> None:
    a, b = ours.numpy(), theirs.detach().numpy()
    assert a.dtype == b.dtype == dtype, f"{what} is {a.dtype}, not {b.dtype}"
    assert a.shape == b.shape, f"{what} has shape {a.shape}, not {b.shape}"
    tolerance = TOLERANCE[dtype]
    smallest = float(np.finfo(dtype).tiny) * 8 + tolerance * 1e-2
    a, b = a.astype("float64"), b.astype("float64")
    is_equal = (a == b) | (np.isnan(a) & np.isnan(b))
    is_equal |= np.abs(a - b) <= tolerance * np.abs(b) + smallest
    # where the exact result is at the end of the range, rounding decides whether it is infinite
    is_large = np.minimum(np.abs(a), np.abs(b)) > 0.9 * float(np.finfo(dtype).max)
    wrong = ~(is_equal | is_large | np.asarray(skipped, bool))
    assert not wrong.any(), f"{what} is {a[wrong][:3]}, not {b[wrong][:3]}"


# --- differences and comparisons of all dtypes against NumPy

DTYPES = ["int8", "int16", "int64", "uint8", "uint16", "uint64", "float32", "float64"]
RELATIONS = [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]
NUMBERS = [0, 1, -1, 127, -128, 255, 300, -(2**31), 2**40, 2**63, 2**64, 0.5, -0.5]


def _extremes(rng: np.random.Generator, dtype: str) -> np.ndarray:
    shape = (1 + int(rng.integers(4)),)
    if dtype.startswith("float"):
        return rng.integers(-3, 4, shape).astype(dtype)
    limits = np.iinfo(dtype)
    ends = [limits.min, limits.max, 0, 1, limits.max // 2]
    return np.array([ends[i] for i in rng.integers(len(ends), size=shape)], dtype)


def _integers(rng: np.random.Generator) -> dict[str, int]:
    left, right = (str(each) for each in rng.choice(DTYPES, 2))
    a, b = _extremes(rng, left), _extremes(rng, right)[:1]
    with np.errstate(all="ignore"):
        result, expected = (Tensor(a) - Tensor(b)).numpy(), a - b
        what = f"{a!r} - {b!r}"
        assert result.dtype == expected.dtype, f"{what} is {result.dtype}, not {expected.dtype}"
        assert result.tolist() == expected.tolist(), f"{what} is {result}, not {expected}"
        number = NUMBERS[rng.integers(len(NUMBERS))]
        relation = RELATIONS[rng.integers(len(RELATIONS))]
        found = getattr(ops, relation.__name__)(Tensor(a), number).numpy().tolist()
        exact = [bool(relation(each, number)) for each in a.tolist()]
        assert found == exact, f"{relation.__name__} of {a!r} and {number} is {found}, not {exact}"
        mean, floats = ops.mean(Tensor(a)).numpy(), a.astype("float64")
        assert np.allclose(mean, floats.mean(), rtol=1e-6), f"the mean of {a!r} is {mean}"
        norm = ops.norm(Tensor(a), 1, 0).numpy()
        assert np.allclose(norm, np.abs(floats).sum(), rtol=1e-6), f"the 1-norm of {a!r} is {norm}"
    return {"differences and comparisons": 1}


run = repeated(case)
