"""Contenders are timed only if they compute the same."""

import numpy as np
import pytest

from benchmarks.harness import BenchmarkError, check_agreement


def check_of(losses=(2.0, 1.5), before=0.0, weights=1.0):
    return {
        "losses": list(losses),
        "before": None if before is None else [np.full((2, 3), before, np.float32)],
        "weights": [np.full((2, 3), weights, np.float32)],
    }


def test_equal_results_agree():
    agreement = check_agreement({"numpy": check_of(), "needle": check_of(weights=1.00001)})
    assert agreement["contenders"] == ["numpy", "needle"]
    assert 0 < agreement["largest_difference"] < 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (check_of(losses=(2.0, 1.501)), "losses of needle and numpy differ"),
        (check_of(losses=(2.0,)), "losses of needle and numpy have different shapes"),
        (check_of(losses=(2.0, float("nan"))), "losses of needle and numpy differ"),
        (check_of(weights=1.001), "weights 0 of needle and numpy differ by"),
        (check_of() | {"weights": [np.ones((3, 2))]}, "different shapes"),
        (check_of() | {"weights": []}, "different numbers of weights"),
    ],
)
def test_other_results_are_refused(other, message):
    with pytest.raises(BenchmarkError, match=message):
        check_agreement({"numpy": check_of(), "needle": other})


def test_small_weights_are_compared_with_how_far_they_moved():
    start = check_of(before=1e-3, weights=2e-3)
    check_agreement({"numpy": start, "needle": check_of(weights=2e-3 + 1e-7)})
    with pytest.raises(BenchmarkError, match="differ"):
        check_agreement({"numpy": start, "needle": check_of(weights=2e-3 + 1e-6)})


def test_weights_that_hardly_move_prove_nothing():
    still = check_of(before=1.0, weights=1.00001)
    with pytest.raises(BenchmarkError, match="needs a larger learning rate"):
        check_agreement({"numpy": still, "needle": still})


def test_gradients_have_nothing_to_move_from():
    gradients = check_of(before=None)
    assert check_agreement({"numpy": gradients, "needle": gradients})["largest_difference"] == 0
