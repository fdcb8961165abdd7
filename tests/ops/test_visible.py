"""What a step depends on is visible: data are operands, ops have keys, shapes are inferred."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.autograd import AbstractArray, Op, Value, find_topo_sort, modes
from needle.autograd.abstract import NeedsNumbers, abstract_like

NOT_SYMBOLIC = {
    "getitem by a mask": "the number of elements that a mask selects depends on its values",
    "expm of large matrices": "how often it squares depends on the norm of the matrices",
    "bincount": "the number of counts depends on the values",
    "bincount at least 5": "the number of counts depends on the values",
    "bincount of weights": "the number of sums depends on the values",
    "unique": "the number of different elements depends on the values",
    "unique and counts": "the number of different elements depends on the values",
}


def recorded(function):
    """(op, inputs, value) of every op that runs while `function()` is called."""
    found = []

    def note(value, op, inputs):
        found.append((op, inputs, value))

    with modes.override(modes.observers, (*modes.observers.get(), note)):
        function()
    return found


def step_of(case):
    """Forward and both derivatives of a row of the table."""

    def step():
        inputs = [Tensor(array) for array in case.arrays()]
        objective = case.objective(inputs)
        if not case.differentiable:
            return
        objective.backward()
        gradients = [x.grad for x in inputs if x.grad is not None and x.grad.requires_grad]
        if gradients:
            sum((g * g).sum() for g in gradients).backward()

    return step


def held_arrays(value):
    """The arrays and Tensors that an op's instance holds, in containers, too."""
    if isinstance(value, np.ndarray | Value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        return [array for part in value for array in held_arrays(part)]
    return []


def test_instances_hold_no_arrays(case):
    ops = {op for op, _, _ in recorded(step_of(case))}
    assert ops
    assert [op for op in ops if held_arrays(vars(op))] == []


def test_compute_runs_on_shapes_and_dtypes(case):
    if case.name in NOT_SYMBOLIC:
        return
    for op, inputs, value in recorded(step_of(case)):
        arrays = [abstract_like(operand.realize_cached_data()) for operand in inputs]
        inferred = op.infer(*arrays)
        actual = value.realize_cached_data()
        pairs = (
            zip(inferred, actual, strict=True)
            if isinstance(actual, tuple)
            else [(inferred, actual)]
        )
        for abstract, array in pairs:
            assert isinstance(abstract, AbstractArray), op
            assert (abstract.shape, abstract.dtype) == (array.shape, array.dtype), op


def test_lazy_shapes_compute_nothing(case):
    if case.name in NOT_SYMBOLIC:
        return
    with ndl.lazy_mode():
        outputs = case.outputs([Tensor(array) for array in case.arrays()])
        for output, expected in zip(outputs, case.expected(case.arrays()), strict=True):
            assert output.shape == expected.shape
            assert output.dtype == expected.dtype
        computed = [
            node for node in find_topo_sort(outputs) if node.op and node.cached_data is not None
        ]
        assert computed == []


def test_lazy_dtypes_are_those_of_the_results(case):
    if case.name in NOT_SYMBOLIC:
        return
    arrays = case.arrays(np.float32)
    expected = [(output.shape, output.dtype) for output in case.outputs(list(map(Tensor, arrays)))]
    with ndl.lazy_mode():
        outputs = case.outputs(list(map(Tensor, arrays)))
        assert [(output.shape, output.dtype) for output in outputs] == expected


def test_lazy_errors_of_concatenate_come_with_its_shape():
    with ndl.lazy_mode():
        joined = ndl.concatenate([ndl.init.zeros(2, 3), ndl.init.zeros(2, 4)])
        with pytest.raises(ValueError, match="Concatenate of shape"):
            joined.shape  # noqa: B018


@pytest.mark.parametrize("function", [ndl.tril, ndl.triu])
def test_lazy_shapes_of_triangles_of_a_vector(function):
    with ndl.lazy_mode():
        triangle = function(ndl.init.ones(3))
        assert triangle.shape == (3, 3)
        assert triangle.numpy().shape == (3, 3)


def test_rows_that_need_numbers_do(all_cases):
    named = [case for case in all_cases if case.name in NOT_SYMBOLIC]
    assert {case.name for case in named} == NOT_SYMBOLIC.keys()
    for case in named:
        with ndl.lazy_mode():
            outputs = case.outputs([Tensor(array) for array in case.arrays()])
            nodes = [node for node in find_topo_sort(outputs) if node.op]
            assert all(len(output.shape) for output in outputs)
            assert any(node.cached_data is not None for node in nodes), case.name


def test_masks_need_numbers(all_cases):
    (case,) = [case for case in all_cases if case.name == "getitem by a mask"]
    op, inputs, _ = recorded(step_of(case))[0]
    with pytest.raises(NeedsNumbers):
        op.infer(*[abstract_like(operand.realize_cached_data()) for operand in inputs])


def test_equal_parameters_have_equal_keys(case):
    first, second = recorded(step_of(case)), recorded(step_of(case))
    assert len(first) == len(second)
    for (op, _, _), (again, _, _) in zip(first, second, strict=True):
        assert type(op) is type(again)
        assert (op.key == again.key) is not op.is_random
        assert op.is_random or hash(op.key) == hash(again.key)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ndl.AddScalar(1), ndl.AddScalar(1.0)),
        (ndl.MulScalar(0.0), ndl.MulScalar(-0.0)),
        (ndl.AddScalar(1), ndl.MulScalar(1)),
        (ndl.Summation(0), ndl.Summation((0,), keepdims=True)),
        (ndl.GetItem((slice(0, 1),)), ndl.GetItem((slice(0, 2),))),
    ],
)
def test_other_parameters_have_other_keys(a, b):
    assert a.key != b.key
    assert a.key == a.key


def test_ops_that_draw_equal_none():
    op = ndl.ops.random.DropoutMask(0.5)
    assert op.is_random
    assert op.key != op.key
    assert ndl.ops.random.DropoutMask(0.5).key != op.key


# --- layers and losses


def numbers(*given):
    return Tensor(list(given), requires_grad=False)


def alignments():
    """What a CTCLoss takes."""
    scores = ndl.init.randn(5, 2, 4)
    return scores, numbers(1, 2, 3, 1).reshape(2, 2), numbers(5, 4), numbers(2, 1)


def layer_steps():
    x, images = ndl.init.randn(6, 4), ndl.init.randn(3, 4, 5, 5)
    labels = Tensor([0, 3, 1, 2, 0, 1], requires_grad=False)
    weights = Tensor([1.0, 2.0, 0.5, 1.0], dtype="float32", requires_grad=False)
    probabilities = ndl.softmax(ndl.init.randn(6, 4)).detach()
    losses = {
        "CrossEntropyLoss": (nn.CrossEntropyLoss(weights, 3, label_smoothing=0.1), x, labels),
        "plain CrossEntropyLoss": (nn.CrossEntropyLoss(), x, labels),
        "probabilities": (nn.CrossEntropyLoss(), x, probabilities),
        "SoftmaxLoss": (nn.SoftmaxLoss(), x, labels),
        "NLLLoss": (nn.NLLLoss(weights, ignore_index=2), x, labels),
        "BCELoss": (nn.BCELoss(), ndl.sigmoid(x), probabilities),
        "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(pos_weight=weights), x, probabilities),
        "KLDivLoss": (nn.KLDivLoss(), x, probabilities),
        "MSELoss": (nn.MSELoss(), x, probabilities),
        "L1Loss": (nn.L1Loss(), x, probabilities),
        "SmoothL1Loss": (nn.SmoothL1Loss(), x, probabilities),
        "HuberLoss": (nn.HuberLoss(), x, probabilities),
        "CTCLoss": (nn.CTCLoss(), *alignments()),
    }
    layers = {
        "BatchNorm1d": (nn.BatchNorm1d(4), x),
        "BatchNorm2d": (nn.BatchNorm2d(4), images),
        "BatchNorm1d in eval mode": (nn.BatchNorm1d(4).eval(), x),
        "LayerNorm": (nn.LayerNorm(4), x),
        "GroupNorm": (nn.GroupNorm(2, 4), images),
        "RMSNorm": (nn.RMSNorm(4), x),
        "Dropout": (nn.Dropout(0.5), x),
        "Linear": (nn.Linear(4, 3), x),
        "attention": (nn.functional.scaled_dot_product_attention, x, x, probabilities),
        "attention with numbers as mask": (
            nn.functional.scaled_dot_product_attention,
            x[:4],
            x[:4],
            x[:4],
            x[:4].detach(),
        ),
        "MultiHeadAttention": (
            lambda q: nn.MultiHeadAttention(dropout=0.1, causal=True)(q, q, q)[0],
            images,
        ),
        "TransformerEncoderLayer": (nn.TransformerEncoderLayer(4, 2, 8), x),
        "Embedding": (nn.Embedding(4, 3), labels),
        "EmbeddingBag": (nn.EmbeddingBag(4, 3), labels.reshape(2, 3)),
        "Conv2d": (nn.Conv2d(4, 2, 3, stride=2, padding="valid"), images),
        "Conv1d of groups": (nn.Conv1d(4, 4, 3, groups=2), images[0:1, :, 0]),
        "ConvTranspose2d": (nn.ConvTranspose2d(4, 2, 3, output_padding=1, stride=2), images),
        "Conv": (nn.Conv(4, 2, 3), images),
        "MaxPool2d": (nn.MaxPool2d(2), images),
        "MaxPool2d with indices": (lambda a: nn.MaxPool2d(2, return_indices=True)(a)[0], images),
        "AvgPool2d": (nn.AvgPool2d(2, padding=1), images),
        "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(2), images),
        "LPPool2d": (nn.LPPool2d(2, 2), images),
        "Upsample": (nn.Upsample(scale_factor=1.5, mode="bilinear"), images),
        "InstanceNorm2d": (nn.InstanceNorm2d(4, track_running_stats=True), images),
        "LocalResponseNorm": (nn.LocalResponseNorm(3), images),
        "Dropout2d": (nn.Dropout2d(0.5), images),
        "Bilinear": (nn.Bilinear(4, 4, 2), x, probabilities),
        "RNN": (lambda a: nn.RNN(5, 2)(a)[0], images[0]),
        "LSTM": (lambda a: nn.LSTM(5, 2, num_layers=2, dropout=0.5)(a)[0], images[0]),
        "GRU": (lambda a: nn.GRU(5, 2, bidirectional=True)(a)[0], images[0]),
        "LSTMCell": (lambda a: nn.LSTMCell(4, 2)(a)[0], x),
        "MultiheadAttention": (lambda a: nn.MultiheadAttention(4, 2, dropout=0.1)(a, a, a)[0], x),
        "TransformerDecoderLayer": (nn.TransformerDecoderLayer(4, 2, 8), x, probabilities),
        "TransformerLayer": (nn.TransformerLayer(5, 2, 3, 8), images[0]),
        "SinusoidalPositions": (nn.SinusoidalPositions(4), x),
        "RotaryEmbedding": (nn.RotaryEmbedding(4), x),
    }
    return {**losses, **layers}


@pytest.mark.parametrize("name", layer_steps())
def test_layers_and_losses_hold_no_data(name):
    function, *operands = layer_steps()[name]
    for operand in operands:
        operand.requires_grad = operand.dtype.kind == "f"
    seen = recorded(lambda: function(*operands).sum().backward())
    assert [op for op, _, _ in seen if held_arrays(vars(op))] == []
    reached = {id(value) for _, inputs, _ in seen for value in inputs}
    assert all(id(operand) in reached for operand in operands)
    assert all(isinstance(op, Op) for op, _, _ in seen)


def test_new_running_statistics_are_assigned():
    layer, x = nn.BatchNorm1d(3), ndl.init.randn(5, 3)
    seen = recorded(lambda: layer(x))
    made = {id(value) for op, _, value in seen if type(op).__name__ != "Assign"}
    assigned = {id(inputs[0]): inputs[1] for op, inputs, _ in seen if type(op).__name__ == "Assign"}
    assert assigned.keys() == {id(layer.running_mean), id(layer.running_var)}
    assert all(id(value) in made for value in assigned.values())


def test_assigned_data_are_seen():
    x, new = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])

    def change():
        x.data = new

    ((op, inputs, value),) = recorded(change)
    assert type(op).__name__ == "Assign"
    assert value is inputs[0] is x
    assert inputs[1] is new
