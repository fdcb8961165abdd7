"""The random streams of a training: which there are, and that they are saved and restored."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.training.streams import Streams


class Noise(nn.Module):
    """Holds generators in every place that an attribute can have."""

    def __init__(self):
        super().__init__()
        self.generator = ndl.Generator(1)
        self.others = [ndl.Generator(2), {"deep": (ndl.Generator(3),)}]

    def forward(self, x):
        return x + ndl.init.randn(*x.shape, generator=self.generator)


def draws(streams):
    return [stream.rand(3).tolist() for stream in streams.generators.values()]


def test_generators_are_found_in_every_module():
    streams = Streams(nn.Sequential(nn.Linear(2, 2), nn.Residual(Noise())), ndl.Generator(4))
    assert [name.rpartition("fn.")[2] for name in streams.generators] == [
        "loader",
        "generator",
        "others.0",
        "others.1.deep.0",
    ]
    assert [stream.seed for stream in streams.generators.values()] == [4, 1, 2, 3]


def test_a_shared_generator_and_none_at_all():
    shared, other = Noise(), Noise()
    other.generator = shared.generator
    streams = Streams(nn.Sequential(shared, other, nn.ReLU()), None)
    state = streams.state_dict()
    first = draws(streams)
    streams.load_state_dict(state)
    assert draws(streams) == first
    assert Streams(nn.ReLU(), None).generators == {}


def test_all_streams_continue_after_saving_to_a_file(tmp_path):
    pytest.importorskip("safetensors")
    streams = Streams(Noise(), ndl.Generator())
    ndl.save(streams.state_dict(), tmp_path / "streams.safetensors")
    expected = np.random.rand(), draws(streams)
    ndl.manual_seed(8)
    fresh = Streams(Noise(), ndl.Generator())
    fresh.load_state_dict(ndl.load(tmp_path / "streams.safetensors"))
    assert (np.random.rand(), draws(fresh)) == expected


def test_the_state_of_other_streams_is_refused():
    with pytest.raises(KeyError, match=r"model\.generator"):
        Streams(Noise(), None).load_state_dict(Streams(nn.ReLU(), None).state_dict())
