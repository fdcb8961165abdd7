"""needle.summary: rows, totals, and a model that is left as it was."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


def model() -> nn.Sequential:
    block = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Residual(block), nn.Linear(4, 2))


def test_rows() -> None:
    rows = {layer.path: layer for layer in ndl.summary(model(), (5, 2, 3)).layers}
    assert list(rows) == ["", "0", "1", "2", "2.fn", "2.fn.0", "2.fn.1", "2.fn.2", "3"]
    assert [rows[path].kind for path in ("", "2", "2.fn.1")] == [
        "Sequential", "Residual", "BatchNorm1d",
    ]  # fmt: skip
    assert rows["0"].output_shape == (5, 6)
    assert rows["2.fn.0"].output_shape == (5, 4)
    assert rows[""].output_shape == (5, 2)
    assert {path: row.parameters for path, row in rows.items() if row.parameters} == {
        "1": 28, "2.fn.0": 20, "2.fn.1": 8, "3": 10,
    }  # fmt: skip
    # what only passes on takes no memory, and an output counts where it was made
    assert {path: row.output_bytes for path, row in rows.items() if row.output_bytes} == {
        "1": 80, "2": 80, "2.fn.0": 80, "2.fn.1": 80, "3": 40,
    }  # fmt: skip


def test_totals() -> None:
    net = model()
    net[1].requires_grad_(False)
    found = ndl.summary(net, (5, 2, 3))
    assert found.parameters == sum(layer.parameters for layer in found.layers) == 66
    assert found.trainable == 38
    assert found.parameter_bytes == (66 + 8) * 4  # with the running statistics
    assert found.output_bytes == 360


def test_table() -> None:
    text = str(ndl.summary(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), (5, 3)))
    assert text == "\n".join(
        [
            "Layer        Output shape  Parameters  Output memory",
            "----------------------------------------------------",
            "Sequential   (5, 2)",
            "  0: Linear  (5, 2)                 8           40 B",
            "  1: ReLU    (5, 2)                             40 B",
            "----------------------------------------------------",
            "Parameters: 8",
            "Memory: parameters and buffers 32 B, outputs 80 B",
        ]
    )


def test_large_models_have_readable_sizes() -> None:
    text = str(ndl.summary(nn.Linear(1000, 2000), (10, 1000)))
    assert "2,002,000" in text
    assert "parameters and buffers 8.008 MB, outputs 80 KB" in text


def test_frozen_parameters_are_counted() -> None:
    net = model().requires_grad_(False)
    assert "Parameters: 66 (66 frozen)" in str(ndl.summary(net, (5, 6)))


def test_the_model_is_left_as_it_was() -> None:
    net = model()
    net[1].eval()
    before = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    np.random.seed(0)
    ndl.summary(net, (5, 6))
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert net.training
    assert not net[1].training
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    calls = []
    net[1].register_forward_hook(lambda *_: calls.append(1))
    net(ndl.init.rand(5, 6))
    assert calls == [1]


def test_shared_layers_count_once() -> None:
    layer = nn.Linear(3, 3)
    found = ndl.summary(nn.Sequential(layer, nn.ReLU(), layer), (2, 3))
    assert [row.path for row in found.layers] == ["", "0", "1"]
    assert found.parameters == 12
    assert [row.output_bytes for row in found.layers] == [0, 48, 24]  # each call makes an output


def test_parameters_shared_by_two_layers_count_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    found = ndl.summary(nn.Sequential(first, second), (2, 3))
    assert [row.parameters for row in found.layers] == [0, 12, 3]
    assert found.parameters == 15


def test_several_inputs_and_outputs() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(np.ones(3))
            self.spare = nn.Linear(2, 2)

        def forward(self, a, b):
            return a * self.scale, b + 1

    found = ndl.summary(Pair(), [(4, 3), (2,)])
    assert found.layers[0].output_shape == ((4, 3), (2,))
    assert found.layers[0].parameters == 3
    assert found.layers[1].output_shape is None
    assert "spare: Linear  not called" in str(found)


def test_tensors_in_a_dict_or_a_tensor_tuple_are_seen() -> None:
    class Named(nn.Module):
        def forward(self, x):
            return {"double": x * 2, "rows": ndl.split(x, 0)}

    (layer,) = ndl.summary(Named(), (2, 3)).layers
    assert layer.output_shape == ((2, 3), (3,), (3,))
    assert layer.output_bytes == 24  # the rows are views of the input


@pytest.mark.parametrize("shape", [3, None, (None, 3), "ab", [(2, 3), 4]])
def test_what_is_no_shape(shape) -> None:
    with pytest.raises(TypeError, match=r"such as \(32, 784\), or a list of shapes, got"):
        ndl.summary(nn.Linear(3, 2), shape)


def test_what_is_no_model() -> None:
    with pytest.raises(TypeError, match="summary takes a Module, got function"):
        ndl.summary(lambda x: x, (2, 3))


def test_dtype_of_the_input() -> None:
    assert ndl.summary(nn.Linear(3, 2, dtype="float64"), (5, 3)).output_bytes == 80
    assert ndl.summary(nn.Embedding(7, 2), (5,), dtype="int64").layers[0].output_shape == (5, 2)
    assert ndl.summary(nn.ReLU(), (5,)).output_bytes == 20


def test_an_input_that_does_not_fit_names_the_layer() -> None:
    net = model()
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 6\), got \(5, 7\)\nin layer 1"):
        ndl.summary(net, (5, 7))
    assert net.training
    assert all(module._hooks is None or not module._hooks.after for module in net)
