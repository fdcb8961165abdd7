"""What notebooks show of tensors."""

from xml.etree import ElementTree

import numpy as np
import pytest

import needle as ndl
from needle import Tensor


def parsed(tensor):
    return ElementTree.fromstring(tensor._repr_html_())


def cells(tensor):
    return [[cell.text for cell in row] for row in parsed(tensor).iter("tr")]


def test_matrix_is_a_table_with_shape_and_dtype():
    x = Tensor([[1.0, 0.123456789], [-2.0, 1e10]], dtype="float32")
    assert cells(x) == [["1", "0.12346"], ["-2", "1e+10"]]
    assert parsed(x)[0].text == "Tensor (2, 2), dtype=float32, requires_grad=True"


def test_vector_is_a_row():
    assert cells(Tensor([1, 2, 3], requires_grad=False)) == [["1", "2", "3"]]
    assert cells(Tensor([True, False])) == [["True", "False"]]


def test_long_axes_are_shortened():
    shown = cells(Tensor(np.arange(400).reshape(20, 20)))
    assert len(shown) == 11
    assert shown[0] == ["0", "1", "2", "3", "4", "…", "15", "16", "17", "18", "19"]
    assert shown[5] == ["⋮"] * 11
    assert shown[-1][-1] == "399"


@pytest.mark.parametrize("shape", [(), (0,), (2, 2, 2)])
def test_other_shapes_are_text(shape):
    found = parsed(Tensor(np.ones(shape)))
    assert found.find("pre").text == str(np.ones(shape))
    assert list(found.iter("td")) == []


def test_parameters_and_lazy_tensors():
    assert "Parameter (2,)" in ndl.nn.Parameter([1.0, 2.0])._repr_html_()
    with ndl.lazy_mode():
        assert cells(Tensor([1.0]) * 2) == [["2"]]
