"""The numba executor: same numbers as without `compile`."""

import numpy as np
import pytest
from table import CASES

import needle as ndl
from needle import Tensor

pytest.importorskip("numba")


def outputs_and_gradients(case):
    """A function of the inputs: the case's outputs, and the gradients of a weighted sum."""

    def weighted_sum(*inputs):
        rng = np.random.default_rng(2)
        floats = [out for out in case.outputs(inputs) if out.dtype.kind == "f"]
        weights = [rng.normal(size=out.shape).astype(out.dtype) for out in floats]
        terms = [(out * Tensor(w)).sum() for out, w in zip(floats, weights, strict=True)]
        return sum(terms[1:], start=terms[0])

    def function(*inputs):
        outputs = list(case.outputs(inputs))
        if case.differentiable:
            outputs += ndl.grad(weighted_sum, argnums=tuple(range(len(inputs))))(*inputs)
        return outputs

    return function


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: f"{i} {CASES[i].name}")
def test_every_op(number, dtype):
    case = CASES[number]
    arrays = case.arrays(dtype)
    inputs = [Tensor(array, requires_grad=False) for array in arrays]
    function = outputs_and_gradients(case)
    compiled = ndl.compile(function, executor="numba")
    tolerance = 2e-5 if dtype == np.float32 else 1e-11
    for _ in range(2):
        for result, expected in zip(compiled(*inputs), function(*inputs), strict=True):
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(
                result.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_parts_of_a_concatenation_lie_in_it_along_the_first_axis_only(axis):
    """Along another axis their rows alternate."""
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.normal(size=(2, 3, 4)), requires_grad=False) for _ in range(2))
    function = lambda a, b: ndl.cat([a.exp() @ a.mT @ a, (b * 2).tanh()], axis)  # noqa: E731
    result = ndl.compile(function, executor="numba")(a, b)
    np.testing.assert_allclose(result.numpy(), function(a, b).numpy(), rtol=1e-12)


def test_gradients_of_attention():
    """Those of query, key and value are joined along the axis before the last one."""
    ndl.manual_seed(0)
    layer = ndl.nn.MultiheadAttention(4, 2, batch_first=True)
    x, weight = (ndl.randn(2, 3, 4, requires_grad=False) for _ in range(2))

    def gradients(x):
        y, _ = layer(x, x, x, need_weights=False)
        return ndl.grad((y * weight).sum(), [*layer.parameters()])

    compiled = ndl.compile(gradients, executor="numba")
    for result, expected in zip(compiled(x), gradients(x), strict=True):
        np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
