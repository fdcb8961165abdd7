"""The worked example of an op: what it prints, and that it is right."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from needle import Tensor
from needle.testing import gradcheck

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_op.py"


@pytest.fixture
def log_cosh():
    return runpy.run_path(str(EXAMPLE))["log_cosh"]


def test_it_prints_what_it_shows(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    shown = {name: text.strip() for name, text in shown.items()}
    assert shown["value"] == "[999.3069   0.4338   0.       0.1201]"
    slope = "[-1.     -0.7616  0.      0.4621]"
    assert [shown[name] for name in ("backward", "reverse mode", "forward mode")] == [slope] * 3
    assert shown["second order"] == "[0.     0.42   1.     0.7864]"
    assert shown["lazily computed"] == f"True then {shown['value']}"
    assert shown["gradcheck passes"] == "True"
    assert shown["a fit of 3x + 1"] == "3.000·x + 1.000"


def test_it_is_short():
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 80


def test_op_of_the_example(log_cosh, mode):
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(log_cosh(Tensor(x)).numpy(), np.log(np.cosh(x)), atol=1e-15)
    gradcheck(log_cosh, Tensor(x), order=2)
    np.testing.assert_allclose(
        ndl.jvp(log_cosh, (Tensor(x),), (Tensor(x),))[1].numpy(), x * np.tanh(x)
    )
    for far in (-1e4, 1e4):
        assert log_cosh(Tensor(far)).item() == pytest.approx(1e4 - np.log(2))
    assert log_cosh(Tensor(x, dtype="float32")).dtype == np.float32
