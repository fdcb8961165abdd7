"""Random graphs of ops: all modes give what PyTorch gives, and finite differences.

A case is a program of random steps on float64 tensors. It is run eagerly and lazily, and inside
`checkpoint`; its gradient is taken in reverse and in forward mode; its second derivative along a
direction in reverse over reverse, and in forward over reverse mode.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import needle as ndl
from needle import Tensor

from . import repeated

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Step = Callable[..., Any]  # (library, *operands) -> value


class _Needle:
    """Functions that have other names or arguments in PyTorch."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ndl, name)

    max = staticmethod(lambda a, axis: ndl.max(a, axis=axis))
    min = staticmethod(lambda a, axis: ndl.min(a, axis=axis))
    sort = staticmethod(lambda a, axis: ndl.sort(a, axis=axis))
    sum = staticmethod(lambda a, axis, keepdims: ndl.summation(a, axis, keepdims=keepdims))
    mean = staticmethod(lambda a, axis: ndl.mean(a, axis))
    var = staticmethod(lambda a, axis: ndl.var(a, axis))
    constant = staticmethod(lambda array: Tensor(array, requires_grad=False))
    flip = staticmethod(lambda a, axis: ndl.flip(a, axis))
    concatenate = staticmethod(lambda parts, axis: ndl.concatenate(parts, axis))
    logaddexp = staticmethod(ndl.logaddexp)
    transpose = staticmethod(lambda a, axes: ndl.permute(a, axes))
    gather = staticmethod(lambda a, rows: a[rows])


class _Torch:
    """PyTorch under needle's names."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    max = staticmethod(lambda a, axis: torch.amax(a, axis))
    min = staticmethod(lambda a, axis: torch.amin(a, axis))
    sort = staticmethod(lambda a, axis: torch.sort(a, axis).values)
    sum = staticmethod(lambda a, axis, keepdims: torch.sum(a, axis, keepdim=keepdims))
    mean = staticmethod(lambda a, axis: torch.mean(a, axis))
    var = staticmethod(lambda a, axis: torch.var(a, axis, correction=0))
    constant = staticmethod(lambda array: torch.from_numpy(array))
    flip = staticmethod(lambda a, axis: torch.flip(a, (axis,)))
    logsoftmax = staticmethod(lambda a: torch.log_softmax(a, 1))
    softmax = staticmethod(lambda a, axis: torch.softmax(a, axis))
    silu = staticmethod(lambda a: torch.nn.functional.silu(a))
    softplus = staticmethod(lambda a: torch.nn.functional.softplus(a))
    gelu = staticmethod(lambda a: torch.nn.functional.gelu(a))
    transpose = staticmethod(lambda a, axes: torch.permute(a, axes))
    gather = staticmethod(lambda a, rows: a[torch.from_numpy(rows)])
    inv = staticmethod(lambda a: torch.linalg.inv(a))
    solve = staticmethod(lambda a, b: torch.linalg.solve(a, b))
    det = staticmethod(lambda a: torch.linalg.det(a))


NEEDLE, TORCH = _Needle(), _Torch()

# each is smooth and of moderate size for all operands, so that values neither explode nor tie
ELEMENTWISE: list[Step] = [
    lambda L, a: L.exp(L.tanh(a)),
    lambda L, a: L.log(a * a + 0.5),
    lambda L, a: L.sqrt(a * a + 0.5),
    lambda L, a: L.tanh(a),
    lambda L, a: L.sigmoid(a),
    lambda L, a: L.sin(a) * 2 - 1,
    lambda L, a: L.cos(a),
    lambda L, a: 1 / (a * a + 1),
    lambda L, a: -a,
    lambda L, a: a / 3 + 0.25,
    lambda L, a: L.tanh(a) ** 3,
    lambda L, a: (L.sigmoid(a) + 0.5) ** 1.5,
    lambda L, a: L.silu(a),
    lambda L, a: L.softplus(a),
    lambda L, a: L.gelu(a),
    lambda L, a: L.erf(a),
    lambda L, a: L.arctan(a),
    lambda L, a: L.expm1(L.sin(a)),
    lambda L, a: L.log1p(a * a),
    lambda L, a: L.sinh(L.tanh(a)) + L.cosh(L.tanh(a)),
]
BINARY: list[Step] = [
    lambda L, a, b: a + b,
    lambda L, a, b: a - b,
    lambda L, a, b: L.tanh(a) * b,
    lambda L, a, b: a / (b * b + 1),
    lambda L, a, b: (L.sigmoid(a) + 0.5) ** L.tanh(b),
    lambda L, a, b: L.logaddexp(a, b),
]


def _step(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> tuple[Step, list[int]]:
    """A random step, and the numbers of its operands among values of these shapes."""
    one = int(rng.integers(len(shapes)))
    shape = shapes[one]
    ndim = len(shape)
    kind = int(rng.integers(14))
    if kind < 3:
        return ELEMENTWISE[rng.integers(len(ELEMENTWISE))], [one]
    if kind < 6:
        fitting = [i for i, other in enumerate(shapes) if _broadcasts(shape, other)]
        return BINARY[rng.integers(len(BINARY))], [one, int(rng.choice(fitting))]
    if kind == 6 and ndim:
        axis, keepdims = int(rng.integers(-ndim, ndim)), bool(rng.integers(2))
        name = str(rng.choice(["sum", "mean", "logsumexp"]))
        if name == "sum":
            return lambda L, a: L.sum(a, axis, keepdims), [one]
        return lambda L, a: getattr(L, name)(a, axis), [one]
    if kind == 7 and ndim:  # noise tells apart elements that are equal
        axis, noise = int(rng.integers(ndim)), rng.normal(size=shape)
        name = str(rng.choice(["max", "min", "sort", "cumsum", "flip"]))
        return lambda L, a: getattr(L, name)(a + L.constant(noise), axis), [one]
    if kind == 8:
        noise, low = rng.normal(size=shape), rng.normal(size=shape)
        choices: list[Step] = [
            lambda L, a: L.relu(a + L.constant(noise)),
            lambda L, a: L.abs(a + L.constant(noise)),
            lambda L, a: L.maximum(a, L.constant(low)),
            lambda L, a: L.minimum(a + L.constant(noise), L.constant(low)),
            lambda L, a: L.where(a > L.constant(low), a * 2, L.constant(noise)),
        ]
        return choices[rng.integers(len(choices))], [one]
    if kind == 9 and ndim:
        axes = tuple(int(axis) for axis in rng.permutation(ndim))
        return lambda L, a: L.transpose(a, axes), [one]
    if kind == 10:
        new = (1, *shape) if ndim < 3 and rng.integers(2) else (-1,)
        return lambda L, a: a.reshape(new), [one]
    if kind == 11 and ndim:
        rows = rng.integers(shape[0], size=int(rng.integers(1, 4)))
        indices: list[Step] = [
            lambda L, a: L.gather(a, rows),
            lambda L, a: a[-1],
            lambda L, a: a[..., None],
            lambda L, a: a[: max(1, shape[0] - 1)],
        ]
        return indices[rng.integers(2 if ndim > 2 else 4)], [one]
    if kind == 12:
        same = [i for i, other in enumerate(shapes) if other == shape]
        operands = [one, *(int(i) for i in rng.choice(same, size=int(rng.integers(1, 3))))]
        if ndim and rng.integers(2):
            axis = int(rng.integers(ndim))
            return lambda L, *parts: L.concatenate(parts, axis), operands
        if ndim < 3:
            return lambda L, *parts: L.stack(parts, 0), operands
    if kind == 13 and ndim == 2:
        weight = rng.normal(size=(shape[1], int(rng.integers(1, 4))))
        well = np.eye(shape[1]) * 3
        choices = [
            lambda L, a: L.matmul(a, L.constant(weight)),
            lambda L, a: L.matmul(L.tanh(a), L.transpose(L.tanh(a), (1, 0))),
            lambda L, a: L.softmax(a, 1),
            lambda L, a: L.logsoftmax(a),
            lambda L, a: L.solve(_definite(L, a, well), L.transpose(a, (1, 0))),
            lambda L, a: L.inv(_definite(L, a, well)),
            lambda L, a: L.det(_definite(L, a, well) / 3),
        ]
        return choices[rng.integers(len(choices))], [one]
    return lambda L, a: L.tanh(a) + 0.5 * a, [one]


def _definite(L: Any, a: Any, well: np.ndarray) -> Any:
    bounded = L.tanh(a)
    return L.matmul(L.transpose(bounded, (1, 0)), bounded) + L.constant(well)


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return len(np.broadcast_shapes(a, b)) <= 3
    except ValueError:
        return False


class Program:
    """Random steps on leaves of random shapes; the result is a number."""

    def __init__(self, rng: np.random.Generator) -> None:
        lengths = rng.integers(1, 5, size=3)
        self.leaves = [
            rng.normal(size=tuple(int(n) for n in lengths[: rng.integers(4)]))
            for _ in range(rng.integers(1, 4))
        ]
        self.steps: list[tuple[Step, list[int]]] = []
        values: list[Any] = [Tensor(leaf) for leaf in self.leaves]
        with ndl.no_grad():
            for _ in range(rng.integers(1, 30)):
                shapes = [value.shape for value in values]
                step, operands = _step(rng, shapes)
                value = step(NEEDLE, *[values[i] for i in operands])
                if value.ndim > 3 or value.size > 200 or np.abs(value.numpy()).max() > 1e4:
                    continue
                values.append(value)
                self.steps.append((step, operands))
        last = range(max(0, len(values) - 4), len(values))
        self.weights = {i: rng.normal(size=values[i].shape) for i in last}

    def __call__(self, L: Any, *leaves: Any) -> Any:
        values = list(leaves)
        for step, operands in self.steps:
            values.append(step(L, *[values[i] for i in operands]))
        terms = [(values[i] * L.constant(weight)).sum() for i, weight in self.weights.items()]
        return sum(terms[1:], start=terms[0])


def _close(found: Any, expected: Any, what: str, tolerance: float = 1e-7) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    error = np.abs(found - expected).max(initial=0)
    scale = 1 + np.abs(expected).max(initial=0)
    assert error <= tolerance * scale, f"{what}: off by {error:.3g} of {scale:.3g}"


def case(rng: np.random.Generator) -> dict[str, int]:
    """One graph in all modes."""
    program = Program(rng)
    directions = [rng.normal(size=leaf.shape) for leaf in program.leaves]

    def function(*leaves: Tensor) -> Tensor:
        return program(NEEDLE, *leaves)

    value, gradients = _gradients(function, program.leaves)
    scale = 1 + max(np.abs(gradient).max() for gradient in gradients)
    counts = {"ops": len(program.steps), "modes": 1}

    def same(found: Any, what: str) -> None:
        for leaf, (one, other) in enumerate(zip(found, gradients, strict=True)):
            _close(one / scale, other / scale, f"{what} of leaf {leaf}", 1e-9)
        counts["modes"] += 1

    with ndl.lazy_mode():
        lazy, found = _gradients(function, program.leaves)
    _close(lazy, value, "lazy value", 1e-12)
    same(found, "lazy gradient")
    kept, found = _gradients(lambda *x: ndl.checkpoint(function, *x), program.leaves)
    _close(kept, value, "value in a checkpoint", 0)
    same(found, "gradient in a checkpoint")
    same(_gradients(function, program.leaves, create_graph=True)[1], "gradient with its graph")

    tensors = tuple(Tensor(leaf) for leaf in program.leaves)
    tangents = tuple(Tensor(direction) for direction in directions)
    forward = ndl.jvp(function, tensors, tangents)[1].item()
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    _close(forward, slope, "forward mode")
    counts["modes"] += 1

    def slope_of(*x: Tensor) -> Tensor:
        partials = ndl.grad(function, argnums=tuple(range(len(x))))(*x)
        terms = [
            (p * Tensor(d, requires_grad=False)).sum()
            for p, d in zip(partials, directions, strict=True)
        ]
        return sum(terms[1:], start=terms[0])

    _, second = _gradients(slope_of, program.leaves)
    through = ndl.jvp(slope_of, tensors, tangents)[1].item()
    curvature = sum(float((s * d).sum()) for s, d in zip(second, directions, strict=True))
    _close(through, curvature, "forward over reverse")
    counts["modes"] += 2
    if torch is None:
        _check_differences(function, program.leaves, directions, slope)
    else:
        _check_torch(program, value, gradients, directions, second)
    return counts


def _gradients(
    function: Callable[..., Tensor], leaves: list[np.ndarray], create_graph: bool = False
) -> tuple[float, list[np.ndarray]]:
    tensors = [Tensor(leaf) for leaf in leaves]
    result = function(*tensors)
    if result.requires_grad:
        result.backward(create_graph=create_graph)
    found = [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in tensors]
    return float(result.item()), found


def _check_torch(
    program: Program, value: float, gradients: list[Any], directions: list[Any], second: list[Any]
) -> None:
    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in program.leaves]
    result = program(TORCH, *leaves)
    _close(value, result.item(), "value")
    scale = 1 + max(np.abs(gradient).max() for gradient in gradients)
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    partials = torch.autograd.grad(result, leaves, **options)
    for found, expected in zip(gradients, partials, strict=True):
        _close(found / scale, expected.numpy(force=True) / scale, "gradient")
    slope = sum(
        (p * torch.from_numpy(np.asarray(d))).sum()
        for p, d in zip(partials, directions, strict=True)
    )
    if not slope.requires_grad:
        return
    twice = torch.autograd.grad(slope, leaves, allow_unused=True, materialize_grads=True)
    scale = 1 + max(np.abs(part).max() for part in second)
    for found, expected in zip(second, twice, strict=True):
        _close(found / scale, expected.numpy(force=True) / scale, "second derivative", 1e-6)


def _check_differences(
    function: Callable[..., Tensor], leaves: list[Any], directions: list[Any], slope: float
) -> None:
    def along(distance: float) -> float:
        with ndl.no_grad():
            moved = [x + distance * d for x, d in zip(leaves, directions, strict=True)]
            return float(function(*map(Tensor, moved)).item())

    # where a kink lies between the two points, a smaller distance misses it
    quotients = [(along(h) - along(-h)) / (2 * h) for h in (1e-5, 1e-6, 1e-7)]
    error = min(abs(quotient - slope) for quotient in quotients)
    assert error <= 1e-4 * (1 + abs(slope)), f"finite differences: {quotients}, gradient {slope}"


run = repeated(case)
