"""gradcheck and numerical_gradient: the inputs, results and options that they refuse."""

import numpy as np
import pytest

from needle import Tensor
from needle.testing import gradcheck, numerical_gradient

BAD = {
    "float32": ([Tensor([1.0]), Tensor([1.0], dtype="float32")], TypeError, "input 1.*float32"),
    "integers": ([Tensor([1])], TypeError, "input 0.*int64"),
    "an array": ([np.ones(2)], TypeError, "input 0.*ndarray"),
    "beyond the step": ([Tensor([1e12])], ValueError, "input 0 holds 1e\\+12"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("check", [gradcheck, numerical_gradient])
def test_bad_inputs_are_named(name, check):
    inputs, kind, text = BAD[name]
    with pytest.raises(kind, match=f"{check.__name__}: {text}"):
        check(lambda *args: args[0].sum(), inputs)


RESULTS = {
    "a number": (lambda x: 3.0, "result 0 .*float"),
    "None": (lambda x: None, "result 0 .*NoneType"),
    "float32": (lambda x: (x, x.astype("float32")), "result 1 .*float32"),
    "a comparison": (lambda x: x > 0, "result 0 .*bool"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_bad_results_are_named(name):
    function, text = RESULTS[name]
    with pytest.raises(TypeError, match=text):
        gradcheck(function, Tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    ("options", "text"),
    [({"mode": "fast"}, "'fast'"), ({"order": 3}, "order"), ({"eps": 0.0}, "eps must be positive")],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        gradcheck(lambda x: x, Tensor([1.0, 2.0]), **options)
