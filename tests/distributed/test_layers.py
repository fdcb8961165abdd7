"""Layers over several ranks, with one rank; test_under_mpiexec.py has those with several."""

import pytest

from needle import nn
from needle.distributed import SyncBatchNorm, convert_sync_batchnorm
from tests.distributed.programs import layers


@pytest.mark.parametrize("name", [name for name in vars(layers) if name.startswith("check_")])
def test_with_one_rank(name):
    getattr(layers, name)()


def test_conversion_keeps_parameters_statistics_and_places():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = {"a": [nn.BatchNorm2d(3, momentum=0.2)], "b": nn.InstanceNorm1d(2)}
            self.last = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    model = Model()
    before = [*model.parameters(), *model.buffers()]
    first = model.parts["a"][0]
    assert convert_sync_batchnorm(model) is model
    assert model.parts["a"][0] is first
    assert [type(each).__name__ for each in model.modules()] == [
        "Model", "SyncBatchNorm", "InstanceNorm1d", "Sequential", "Linear", "SyncBatchNorm",
    ]  # fmt: skip
    after = [*model.parameters(), *model.buffers()]
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert (first.num_features, first.momentum) == (3, 0.2)
    assert type(SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(2))) is SyncBatchNorm


def test_arguments_are_pytorchs():
    # num_features, eps, momentum, affine, track_running_stats, process_group
    layer = SyncBatchNorm(3, 1e-3, 0.3, False, False, None)
    assert (layer.num_features, layer.eps, layer.momentum) == (3, 1e-3, 0.3)
    assert layer.weight is layer.running_mean is None
    with pytest.raises(ValueError, match="process_group must be None"):
        SyncBatchNorm(3, process_group=1)
    with pytest.raises(ValueError, match="process_group must be None"):
        SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(2), 1)
