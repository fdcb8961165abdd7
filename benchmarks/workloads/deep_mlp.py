"""A deep perceptron: many small operations, and an optimizer with many parameters."""

from benchmarks.perceptron import Perceptron, make_perceptron, on_one_batch
from benchmarks.workload import Workload


def problem(checking: bool) -> Perceptron:
    sizes = [784] + [100] * 10 + [10]
    learning_rate = 0.01 if checking else 1e-7
    return make_perceptron(sizes, bias=True, learning_rate=learning_rate, momentum=0.9)


WORKLOAD = Workload(
    "784→10×(Linear(100), ReLU)→10 with biases, batch 100, SGD with momentum",
    problem,
    on_one_batch(),
)
