"""Drawings of graphs: the boxes, arrows, frames and colours."""

import re
import time

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.graph import draw, record

LINE = re.compile(
    r"""digraph\ needle\ \{
    | \s+ (rankdir=TB | (node|edge|graph)\ \[.*\])
    | \s+ (n\d+|hidden)\ \[label="(\\.|[^"\\])*",\ (style="dashed,filled",\ )?fillcolor="\#\w{6}"\]
    | \s+ subgraph\ cluster_\d+\ \{
    | \s+ label="(\\.|[^"\\])*"
    | \s+ (n\d+|hidden)\ ->\ n\d+(\ \[(style=dashed|headlabel="\d+")\])?
    | \s+ subgraph\ cluster_legend\ \{
    | \s+ legend\d\ \[label="[\w ]+",\ fillcolor="\#\w{6}"\]
    | \s* \}
    """,
    re.VERBOSE,
)


def lines(drawing):
    """The lines of a drawing, after a look at its grammar."""
    found = drawing.source.splitlines()
    assert [line for line in found if not LINE.fullmatch(line)] == []
    assert drawing.source.count("{") == drawing.source.count("}")
    return found


def boxes(drawing):
    """The labels of the boxes, by their names, with their colours."""
    pattern = re.compile(r'\s+(n\d+|hidden) \[label="(.*?)".*fillcolor="(.*)"\]')
    found = (pattern.fullmatch(line) for line in lines(drawing))
    return {match[1]: (match[2].split("\\n"), match[3]) for match in found if match}


def arrows(drawing):
    found = boxes(drawing)
    pairs = re.findall(r"(\w+) -> (\w+)", drawing.source)
    return [(found[start][0][0], found[end][0][0]) for start, end in pairs]


def colour(drawing, title):
    (found,) = {colour for label, colour in boxes(drawing).values() if title in label}
    return found


def test_ops_shapes_dtypes_and_arrows():
    x = Tensor(np.ones((2, 3)), dtype="float32")
    drawing = draw((x * 3).sum(axes=0), names={"x": x})
    assert [label for label, _ in boxes(drawing).values()] == [
        ["x", "float32 (2, 3)"],
        ["× 3", "float32 (2, 3)"],
        ["Summation(axes=0)", "float32 (3,)"],
    ]
    assert arrows(drawing) == [
        ("x", "× 3"),
        ("× 3", "Summation(axes=0)"),
    ]
    assert str(drawing) == drawing.source
    assert repr(drawing) == "Drawing(values=3)"


def test_operand_used_twice_has_two_arrows():
    x = Tensor(1.0)
    assert arrows(draw(x * x, names={"x": x})) == [("x", "×")] * 2


def test_leaves_without_names():
    drawing = draw(
        Tensor([1.0]) * Tensor([1.0, 2.0], requires_grad=False) * nn.Parameter([3.0]) * 2
    )
    titles = [label[0] for label, _ in boxes(drawing).values()]
    assert titles == [
        "Tensor",
        "constant",
        "×",
        "Parameter",
        "×",
        "× 2",
    ]
    assert colour(drawing, "constant") != colour(drawing, "Tensor") == colour(drawing, "Parameter")
    third = Tensor(np.float32(1 / 3), requires_grad=False)
    assert '"0.33333\\nfloat32 ()"' in draw(third * Tensor([1.0]), names={}).source


def test_data_are_operands_and_values_for_the_gradient_are_not_shown():
    z, y = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([0, 1], requires_grad=False)
    loss = ndl.softmax_cross_entropy(z[y], y)
    loss.sum().backward()
    drawing = draw([z.grad, loss.sum()], names={"z": z, "y": y, "loss": loss})
    found = arrows(drawing)
    assert found.count(("z", "GetItem(index=(array,))")) == 1
    assert found.count(("GetItem(index=(array,))", "loss")) == 1
    assert found.count(("y", "loss")) == 1
    assert ("loss", "Summation") in found
    assert ("loss", "SoftmaxMinusOneHot") in found
    assert "TupleGetItem" not in drawing.source
    labels = [label for label, _ in boxes(drawing).values()]
    assert ["loss", "SoftmaxCrossEntropy", "float64 (2,)"] in labels
    assert colour(drawing, "loss") == colour(drawing, "Summation")


def test_several_values_and_tuples():
    x = Tensor([[1.0], [2.0]])
    parts = ndl.split(x * 2)
    drawing = draw([parts, x.exp()])
    labels = [label for label, _ in boxes(drawing).values()]
    assert ["Split", "float64 (1,), float64 (1,)"] in labels
    assert ["Exp", "float64 (2, 1)"] in labels


def test_looking_computes_nothing():
    with ndl.lazy_mode():
        x = Tensor([1.0])
        y = (x * 2).exp()
        drawing = draw(y)
        assert y.cached_data is None
        assert ["Exp", "not computed yet"] in [label for label, _ in boxes(drawing).values()]


def test_labels_are_escaped():
    x = Tensor(1.0)
    drawing = draw(x * 2, names={'say "x\\y"': x})
    assert r'label="say \"x\\y\"\nfloat64 () = 1"' in drawing.source
    lines(drawing)


def test_own_ops_show_their_parameters():
    class Scale(ndl.TensorOp):
        def __init__(self, factor, offset=0):
            self.factor = factor
            self.offset = offset

        def compute(self, a):
            return a * self.factor

    assert "Scale(factor=2)" in draw(Scale(2)(Tensor(1.0))).source


def test_scalars_show_their_values():
    x, one = Tensor(2.5), Tensor([1.5])
    drawing = draw(x * one - 1, names={"x": x, "one": one})
    assert [label for label, _ in boxes(drawing).values()] == [
        ["x", "float64 () = 2.5"],
        ["one", "float64 (1,)"],
        ["×", "float64 (1,)"],
        ["− 1", "float64 (1,)"],
    ]


def test_operators_stand_for_ops():
    x, y = Tensor([[1.0]]), Tensor([[2.0]])
    ops = [x / y, x / 2, x**y, x**2, x + 3, x - 3, -x, x @ y]
    with ndl.lazy_mode():  # in which what has no gradient keeps its op
        ops += [x < y, x >= y, x != y]
        titles = [last(op)[0][0] for op in ops]
    assert titles == ["/", "/ 2", "^", "^ 2", "+ 3", "− 3", "−", "@", "<", "≥", "≠"]


def last(value):
    return list(boxes(draw(value)).values())[-1]


def test_order_of_operands_is_shown_where_it_matters():
    x, y = Tensor(2.0), Tensor(3.0)
    assert re.findall(r"-> n2 (.*)", draw(x / y).source) == ['[headlabel="1"]', '[headlabel="2"]']
    assert "headlabel" not in draw(x * y + x).source
    assert "headlabel" not in draw(x.exp()).source


def test_legend_explains_the_colours_that_occur():
    x = Tensor(2.0)
    y = x * Tensor([3.0, 4.0], requires_grad=False)
    y.backward()
    legend = re.compile(r'legend\d \[label="(.*)", fillcolor')
    everything = [
        "variable or parameter", "constant", "result of an op", "part of a gradient",
    ]  # fmt: skip
    assert legend.findall(draw([y, x.grad]).source) == everything
    assert legend.findall(draw(x * 2).source) == [everything[0], everything[2]]


# --- gradients


def test_adjoints_have_another_colour():
    x1, x2 = Tensor(2.0), Tensor(5.0)
    y = ndl.log(x1) + x1 * x2
    y.backward()
    names = {"x1": x1, "x2": x2, "y": y}
    drawing = draw([y, x1.grad], names=names)
    assert {colour(drawing, title) for title in ("Log", "y")} == {"#ffffff"}
    assert colour(drawing, "x1") == colour(drawing, "x2")
    assert colour(drawing, "gradient of x1") == colour(drawing, "/")
    assert len({colour(drawing, title) for title in ("x1", "y", "/")}) == 3
    by_itself = draw(x1.grad, names={"x1": x1})
    assert colour(by_itself, "/") == colour(drawing, "/")


def test_gradients_may_be_pointed_out():
    x = Tensor(2.0)
    y = x**3
    slope = ndl.grad(lambda x: x**3)(x)
    drawing = draw(y, gradients=[slope], names={"x": x})
    assert colour(drawing, "^ 3") == "#ffffff"
    assert colour(draw(y, gradients=[y]), "^ 3") != "#ffffff"


# --- models


class Dense(nn.Module):
    """A layer whose ops are stated here."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(np.ones((inputs, outputs)))
        self.bias = nn.Parameter(np.ones(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


@pytest.fixture
def model():
    return nn.Sequential(
        Dense(2, 3), nn.Residual(nn.Sequential(Dense(3, 3), nn.ReLU())), Dense(3, 1)
    )


@pytest.fixture
def x():
    return Tensor([[1.0, 2.0]], requires_grad=False)


def frames(drawing):
    """The labels of the boxes by the labels of the frames around them, outermost first."""
    found, around = {}, []
    for line in lines(drawing):
        if "subgraph" in line:
            around.append(None)
        elif around and line.strip().startswith("label="):
            around[-1] = line.strip()[7:-1]
        elif line.strip() == "}" and around:
            around.pop()
        elif "[label=" in line and "legend" not in line:
            title = re.search(r'label="(.*?)(\\n|")', line)[1]
            found.setdefault(tuple(around), []).append(title)
    return found


def test_parameters_have_names_and_values_frames(model, x):
    found = frames(draw(model(x), module=model))
    assert found["Sequential", "0 (Dense)"] == ["0.weight", "@", "0.bias", "+"]
    inner = ("Sequential", "1 (Residual)", "1.fn (Sequential)", "1.fn.0 (Dense)")
    assert found[inner] == ["1.fn.0.weight", "@", "1.fn.0.bias", "+"]
    assert found[()] == ["x", "ReLU", "+"]  # made from no parameter


def test_recording_knows_the_module_of_every_value(model, x):
    with record(model) as recording:
        y = model(x)
    loss = y.sum()
    found = frames(draw(loss, module=recording, names={"x": x}))
    assert found["Sequential", "1 (Residual)"] == ["+"]
    assert found["Sequential", "1 (Residual)", "1.fn (Sequential)", "1.fn.1 (ReLU)"] == ["ReLU"]
    assert found[()] == ["x", "Summation"]


def test_adjoints_stand_outside_of_frames(model, x):
    with record(model) as recording:
        loss = model(x).sum()
        loss.backward()
    weight = model.parameters()[0]
    drawing = draw([loss, weight.grad], module=recording)
    assert "gradient of 0.weight" in frames(drawing)[()]


def test_prepared_parameters_stand_in_their_module(x):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = Dense(2, 3), Dense(2, 3)

        def forward(self, x):
            return x @ (self.encoder.weight * self.decoder.weight) @ self.decoder.weight.T

    model = Tied()
    found = frames(draw(model(x), module=model))
    assert found["Tied", "decoder (Dense)"] == ["decoder.weight", "Transpose", "@"]
    assert found["Tied",] == ["×", "@"]


def test_recording_leaves_nothing_behind(model, x):
    before = [dict(vars(part)) for _, part in model.named_modules()]
    with pytest.raises(ValueError, match="MatMul"), record(model) as recording:
        model(Tensor([[1.0]]))
    assert [dict(vars(part)) for _, part in model.named_modules()] == before
    model(x)
    assert recording.paths == {}


def test_recording_keeps_a_forward_of_the_instance():
    layer = nn.ReLU()
    layer.forward = own = lambda x: x * 2
    with record(layer) as recording:
        y = layer(Tensor(3.0))
    assert y.item() == 6
    assert recording.paths == {y: ""}
    assert layer.forward is own


def test_recording_knows_what_is_assigned_to():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with record(model) as recording:
        y = model(ndl.init.rand(4, 2))
    assert recording.paths[model[1].running_mean] == recording.paths[model[1].running_var] == "1"
    found = frames(draw(y, module=recording))
    assert found["Sequential", "1 (BatchNorm1d)"][-1].startswith("BatchNorm")


def test_recordings_nest(model, x):
    with record(model) as outer, record(model.modules[0]) as inner:
        model(x)
    assert set(inner.paths.values()) == {""}
    assert len(inner.paths) == 2
    assert [path for value, path in outer.paths.items() if value in inner.paths] == ["0", "0"]


# --- large graphs


def chain(length):
    x = Tensor(1.0)
    y = x.exp()
    for _ in range(length):
        y = y + 1
    return y


def test_large_graphs_are_cut_with_a_mark():
    drawing = draw(chain(98), max_nodes=10)
    found = boxes(drawing)
    assert len(found) == 11
    assert found["hidden"][0] == ["… 90 more values, not drawn"]
    assert drawing.source.count("hidden -> ") == 1
    assert "Exp" not in drawing.source
    assert "hidden" not in draw(chain(98)).source


def test_cut_keeps_what_is_nearest_to_all_values():
    a, b = Tensor(1.0), Tensor(2.0)
    drawing = draw([a.sin().sin(), b.cos().cos()], max_nodes=4, names={"a": a, "b": b})
    assert sorted(label[0] for label, _ in boxes(drawing).values())[:4] == [
        "Cos",
        "Cos",
        "Sin",
        "Sin",
    ]


def test_hundred_thousand_values():
    y = chain(100_000)
    start = time.perf_counter()
    assert repr(draw(y)) == "Drawing(values=500)"
    assert repr(draw(y, max_nodes=None)) == "Drawing(values=100002)"
    assert time.perf_counter() - start < 20
