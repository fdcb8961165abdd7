"""A perceptron wide enough that its matrix products take most of the time."""

from benchmarks.perceptron import Perceptron, make_perceptron, on_one_batch
from benchmarks.workload import Workload


def problem(checking: bool) -> Perceptron:
    return make_perceptron([784, 1000, 10], bias=False, learning_rate=0.1 if checking else 1e-6)


WORKLOAD = Workload("784→1000→10 without biases, batch 100, SGD", problem, on_one_batch())
