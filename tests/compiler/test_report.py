"""What one sees of a compiled step: the report, the source and the picture."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


@pytest.fixture
def step(executor):
    np.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = ndl.optim.Adam(model.parameters(), lr=0.1)
    loss_function = nn.SoftmaxLoss()

    @ndl.compile(executor=executor)
    def train(images, labels):
        loss = loss_function(model(images), labels)
        optimizer.reset_grad()
        loss.backward(create_graph=False)
        optimizer.step()
        return loss, ndl.unique(labels)

    train(ndl.Tensor(np.ones((5, 4), "float32")), ndl.Tensor(np.array([0, 1, 1, 0, 1])))
    return train


def test_the_report_is_a_table(step, executor):
    lines = step.report().split("\n")
    assert lines[0].startswith(f"train: N{executor[1:]}")
    for title in ("recorded", "constants", "identities", "common subexpressions"):
        (row,) = [line.split() for line in lines if line.startswith(title)]
        calls, size = row[-2:]
        assert int(calls.replace(",", "")) > 10
        assert int(size.replace(",", "")) > 1000
    assert any(line.startswith("product") and "matmul" in line for line in lines)
    assert any(line.startswith("memory between them") for line in lines)
    assert lines[-1].startswith("Unique")
    assert "no rule" in lines[-1]


def test_a_report_of_kernels_says_what_each_holds(step, executor):
    rows = [line.split() for line in step.report().split("\n") if line.startswith("kernel")]
    assert bool(rows) == (executor == "numba")
    assert not rows or max(int(row[1]) for row in rows) > 3


def test_the_source_is_code(step, executor):
    source = step.source()
    compile(source, "step", "exec")
    assert "def " in source


def test_the_source_names_what_it_works_on():
    layer = nn.Linear(3, 2)
    optimizer = ndl.optim.Adam(layer.parameters())

    @ndl.compile(executor="numpy")
    def step(x):
        layer(x).sum().backward()
        optimizer.step()

    step(ndl.Tensor(np.ones((4, 3), "float32"), requires_grad=False))
    for text in ("x0 = argument 0: float32 (4, 3)", "Linear.weight: ", "Adam.exp_avg: "):
        assert text in step.source()


def test_the_graph_is_drawn(step, tmp_path):
    graph = step.graph()
    drawing = ndl.graph.draw(graph, tmp_path / "step.svg")
    assert (tmp_path / "step.svg").read_text().startswith("<svg")
    for text in ("matmul", "argument 0", "Linear.weight", "assign"):
        assert text in drawing.source
    assert "more calls, not drawn" in ndl.graph.draw(graph, max_nodes=3).source
