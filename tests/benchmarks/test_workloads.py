"""Every workload in every library, in this process: the same losses, the same weights."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.harness import check_agreement
from benchmarks.workload import find_workloads
from benchmarks.workloads import epoch

WORKLOADS = find_workloads()


def run(job, trains, steps=10):
    before = [array.copy() for array in job.weights()] if trains else None
    losses = [job.step() for _ in range(steps)]
    losses = [float(loss.item() if hasattr(loss, "item") else loss) for loss in losses]
    return {"losses": losses, "before": before, "weights": job.weights()}


def test_the_workloads():
    assert set(WORKLOADS) >= {"mlp", "mlp_wide", "deep_mlp", "tiny_ops", "epoch"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_contenders_are_in_the_table(name):
    assert set(WORKLOADS[name].contenders) <= set(CONTENDERS)
    assert {"needle", "torch"} <= set(WORKLOADS[name].contenders)


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("library", sorted({row.variant_of for row in CONTENDERS.values()} - {""}))
def test_variants_transform_the_step(name, library):
    pytest.importorskip(library)
    transformed = []

    def transform(function):
        transformed.append(function)
        return function

    WORKLOADS[name].contenders[library](WORKLOADS[name].problem(True), transform=transform)
    assert len(transformed) == 1


@pytest.mark.parametrize("name", [key for key in WORKLOADS if "numpy" in WORKLOADS[key].contenders])
def test_needle_and_numpy_agree(name):
    workload = WORKLOADS[name]
    problem = workload.problem(True)
    jobs = {key: workload.contenders[key](problem) for key in ("numpy", "needle")}
    agreement = check_agreement({key: run(job, workload.trains) for key, job in jobs.items()})
    assert agreement["largest_difference"] < 0.5
    for arrays in zip(*(job.weights() for job in jobs.values()), strict=True):
        assert {array.dtype for array in arrays} == {np.dtype("float32")}


@pytest.mark.parametrize(
    "name", ["mlp", "deep_mlp", "tiny_ops", "epoch", "resnet_mlp", "lstm", "gpt", "cnn"]
)
def test_pytorch_agrees(name):
    pytest.importorskip("torch")
    workload = WORKLOADS[name]
    problem = workload.problem(True)
    jobs = {key: workload.contenders[key](problem) for key in ("needle", "torch")}
    check_agreement({key: run(job, workload.trains) for key, job in jobs.items()})


@pytest.mark.parametrize("name", ["mlp", "deep_mlp"])
def test_products_alone_run(name):
    workload = WORKLOADS[name]
    job = workload.contenders["floor"](workload.problem(True))
    assert job.weights is None
    assert job.step() == 0


def test_problems_are_the_same_every_time():
    first, second = (WORKLOADS["deep_mlp"].problem(False) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_epoch_visits_every_image_once(monkeypatch):
    still = replace(WORKLOADS["epoch"].problem(True), learning_rate=0.0)
    (whole,) = run(epoch.CONTENDERS["numpy"](still), trains=False, steps=1)["losses"]
    monkeypatch.setattr(epoch, "BATCH_SIZE", 20)
    for name in ("needle", "numpy"):
        assert epoch.CONTENDERS[name](still).step() == pytest.approx(whole, rel=1e-6)
