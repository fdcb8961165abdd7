"""detect_anomaly: the first NaN or infinity raises, where it was made."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def here(offset=0):
    """file:line of the caller, as messages write it."""
    frame = inspect.currentframe().f_back
    return f"{__file__}:{frame.f_lineno + offset} in {frame.f_code.co_name}"


def message_of(function):
    with pytest.raises(FloatingPointError) as error, ndl.detect_anomaly():
        function()
    return str(error.value)


def test_forward(mode):
    place = []

    def run():
        x = Tensor([[1.0, 0.0]])
        y = x + 1
        place.append(here(1))
        z = ndl.log(x) * y
        return z.sum().numpy()

    assert message_of(run) == (
        f"Log made infinity from inputs of shape (1, 2), created at {place[0]}"
    )


def test_every_input_is_told(mode):
    x, y = Tensor(np.zeros((2, 1))), Tensor(np.zeros(3))
    text = message_of(lambda: (x / y).numpy())
    assert text.startswith("EWiseDiv made NaN from inputs of shape (2, 1), (3,), created at ")


def test_backward_names_the_op_and_the_line_that_made_it(mode):
    place = []

    def run():
        x = Tensor([0.0, 4.0])
        place.append(here(1))
        y = ndl.sqrt(x)
        y.sum().backward()

    assert message_of(run) == (
        f"backward of Sqrt made infinity from inputs of shape (2,), created at {place[0]}"
    )


def test_second_derivative(mode):
    def run():
        x = Tensor(0.0)
        (x**1.5).backward()
        assert x.grad.item() == 0
        x.grad.backward()  # ∞ for x^-0.5

    assert "PowerScalar made infinity" in message_of(run)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, x: ndl.grad(f)(x),
        lambda f, x: ndl.jacobian(f)(x),
        lambda f, x: ndl.jvp(f, (x,), (x + 1,)),
        lambda f, x: ndl.grad(lambda x: ndl.checkpoint(f, x))(x),
    ],
    ids=["grad", "jacobian", "jvp", "checkpoint"],
)
def test_inside_transformations(transform, mode):
    text = message_of(lambda: transform(lambda x: ndl.sqrt(x).sum(), Tensor([0.0, 1.0])))
    assert "made infinity from inputs of shape (2,)" in text
    assert __file__ in text


def test_overflow_in_a_sum_of_adjoints():
    x = Tensor([1e-10])
    text = message_of(lambda: (x * 1.5e308 + x * 1.4e308).backward())
    assert text.startswith("EWiseAdd made infinity from inputs of shape (1,), (1,)")


def test_op_made_before_the_block(mode):
    y = ndl.sqrt(Tensor([0.0]))
    y.numpy()
    assert message_of(y.backward).endswith("created before detect_anomaly() began")


def test_layers_name_the_line_that_called_them():
    layer = ndl.nn.Linear(2, 2)
    layer.weight.realize_cached_data()[0, 0] = np.nan
    text = message_of(lambda: layer(Tensor([[1.0, 1.0]], dtype="float32")))
    assert "made NaN" in text
    assert f"{__file__}:" in text


def test_what_is_finite_passes(mode):
    x = Tensor([1.0, 2.0])
    with ndl.detect_anomaly():
        y = (ndl.exp(x) * ndl.argmax(x)).sum()
        y.backward()
        assert (x > 1).numpy().tolist() == [False, True]
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2]))


def test_infinity_in_a_leaf_is_no_op_but_what_is_made_of_it_is():
    with ndl.detect_anomaly():
        x = Tensor([np.inf])
    assert "AddScalar made infinity" in message_of(lambda: x + 1)


def test_it_ends_with_the_block():
    with pytest.raises(FloatingPointError), ndl.detect_anomaly():
        ndl.log(Tensor([0.0]))
    with np.errstate(divide="ignore"):
        assert ndl.log(Tensor([0.0])).item() == -np.inf


def test_numpy_does_not_warn_first():
    with np.errstate(all="raise"):
        assert "Log made" in message_of(lambda: ndl.log(Tensor([-1.0])))


def test_as_a_decorator():
    @ndl.detect_anomaly()
    def run():
        return ndl.log(Tensor([0.0]))

    for _ in range(2):
        with pytest.raises(FloatingPointError, match=r"Log made infinity .* in run"):
            run()


def test_blocks_nest():
    with pytest.raises(FloatingPointError), ndl.detect_anomaly(), ndl.detect_anomaly():
        ndl.log(Tensor([0.0]))


def test_folder_of_the_user_may_begin_with_the_name_of_the_package():
    """Only files inside the package are passed over when the user's line is looked for."""
    filename = str(Path(ndl.__file__).parent) + "-app.py"
    names = {"needle": ndl}
    exec(compile("\ndef run(x):\n    return needle.log(x)\n", filename, "exec"), names)
    assert f"{filename}:3 in run" in message_of(lambda: names["run"](Tensor([0.0])))
