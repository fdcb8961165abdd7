"""A small perceptron: overhead is a large part of its step."""

from benchmarks.perceptron import Perceptron, make_perceptron, on_one_batch
from benchmarks.workload import Workload


def problem(checking: bool) -> Perceptron:
    return make_perceptron([784, 100, 10], bias=False, learning_rate=0.1 if checking else 1e-6)


WORKLOAD = Workload("784→100→10 without biases, batch 100, SGD", problem, on_one_batch())
