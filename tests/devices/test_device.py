"""Devices, their names, and the streams of random numbers."""

import copy
import importlib.util
import json
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import needle as ndl
from needle.device import as_device, device_of, to_numpy


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_devices_show_their_kind_and_are_equal_by_it(name):
    device = getattr(ndl, name)()
    assert str(device) == f"{name}()"
    assert repr(device) == f"needle.{name}()"
    assert as_device(name) == device == as_device(device) == pickle.loads(pickle.dumps(device))
    assert len({device, as_device(name), copy.deepcopy(device)}) == 1
    assert ndl.cpu() != ndl.cuda()
    assert device != name


def test_default_device_is_the_cpu():
    assert ndl.default_device() == as_device(None) == ndl.cpu()
    assert ndl.cpu().enabled()


@pytest.mark.parametrize("unknown", ["gpu", 0, np.float32])
def test_unknown_devices_are_refused_with_those_that_are_known(unknown):
    with pytest.raises(ValueError, match="'cpu', 'cuda'"):
        as_device(unknown)


def test_device_follows_from_the_type_of_the_array():
    class Mine(np.ndarray):
        pass

    assert device_of(np.zeros(2)) == device_of(np.zeros(2).view(Mine)) == ndl.cpu()
    with pytest.raises(TypeError, match="no device has arrays of the type <class 'list'>"):
        device_of([1.0])
    assert device_of([1.0], ndl.cuda()) == ndl.cuda()


# --- CUDA, of which CuPy and the GPU are missing or stand in


def new_cuda(monkeypatch):
    """A cuda device that has not looked for CuPy yet; after the test the old one is back."""
    monkeypatch.setitem(as_device.__globals__["_devices"], "cuda", None)
    return type(ndl.cuda())()


def test_cuda_without_cupy_says_so_when_it_is_used(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    device = new_cuda(monkeypatch)
    assert not device.enabled()
    with pytest.raises(RuntimeError, match=r"CuPy is not installed.*pip install cupy-cuda12x"):
        device.full((2,), 0.0, "float32")


class FakeArray:
    """Stands in for an array of CuPy."""

    def __init__(self, data):
        self.data = data

    def get(self):
        return self.data.copy()


@pytest.fixture
def fake_cupy(monkeypatch):
    """A module `cupy` whose GPU is there as `cupy.gpus` says, and a new cuda device."""
    cupy = types.ModuleType("cupy")
    cupy.__spec__ = importlib.util.spec_from_loader("cupy", None)
    cupy.gpus = 1
    cupy.cuda = types.SimpleNamespace(is_available=lambda: cupy.gpus > 0)
    cupy.ndarray = FakeArray
    cupy.array = lambda data, dtype=None: FakeArray(
        np.array(data.data if isinstance(data, FakeArray) else data, dtype=dtype)
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    new_cuda(monkeypatch)
    return cupy


def test_cuda_without_a_gpu_says_so_when_it_is_used(fake_cupy):
    fake_cupy.gpus = 0
    device = as_device("cuda")
    assert not device.enabled()
    with pytest.raises(RuntimeError, match="CuPy finds no GPU"):
        device.array([1.0])


def test_cuda_creates_its_arrays_with_cupy(fake_cupy):
    device = as_device("cuda")
    assert device.enabled()
    there = device.array(np.array([1.0, 2.0]), "float32")
    assert type(there) is FakeArray
    assert device_of(there) is device
    assert device_of(device.array(there)) is device
    back = ndl.cpu().array(there)
    assert type(back) is np.ndarray
    assert back.dtype == np.float32
    np.testing.assert_array_equal(to_numpy(there), [1.0, 2.0])


def test_nothing_imports_cupy_before_cuda_is_used():
    program = (
        "import sys, needle\n"
        "needle.nn.Linear(2, 1)(needle.Tensor([[1., 2.]], device='cpu', dtype='float32'))\n"
        "needle.cuda(), needle.default_device()\n"
        "assert 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- drawing


@pytest.mark.parametrize("name", ["rand", "randn"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_draws_come_from_numpys_global_state(name, shape):
    ndl.manual_seed(3)
    drawn = getattr(ndl.cpu(), name)(*shape)
    np.random.seed(3)
    np.testing.assert_array_equal(drawn, getattr(np.random, name)(*shape))
    assert isinstance(drawn, np.ndarray)
    assert (drawn.dtype, drawn.shape) == (np.float64, shape)


def test_permutations_come_from_numpys_global_state():
    ndl.manual_seed(3)
    drawn = ndl.cpu().permutation(10)
    np.random.seed(3)
    np.testing.assert_array_equal(drawn, np.random.permutation(10))


DRAWS = {
    "rand": lambda generator: ndl.cpu().rand(2, 3, generator=generator),
    "randn": lambda generator: ndl.cpu().randn(2, 3, generator=generator),
    "permutation": lambda generator: ndl.cpu().permutation(10, generator=generator),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_generators_are_streams_of_their_own(draw):
    np.random.seed(0)
    untouched = np.random.get_state()[2]
    ours, same, other = ndl.Generator(5), ndl.Generator(seed=5), ndl.Generator(6)
    first = draw(ours)
    draw(other)
    np.testing.assert_array_equal(draw(same), first)
    assert not np.array_equal(draw(ours), first)
    assert not np.array_equal(draw(ndl.Generator()), draw(ndl.Generator()))
    assert np.random.get_state()[2] == untouched


@pytest.mark.parametrize(
    "again",
    [
        copy.deepcopy,
        lambda generator: pickle.loads(pickle.dumps(generator)),
        lambda generator: _loaded(json.loads(json.dumps(generator.state_dict()))),
    ],
    ids=["deepcopy", "pickle", "state_dict"],
)
def test_generators_go_on_where_their_copy_was_made(again):
    generator = ndl.Generator(1)
    generator.rand(3)
    copied = again(generator)
    np.testing.assert_array_equal(generator.randn(5), copied.randn(5))
    generator.rand(1)
    assert not np.array_equal(generator.randn(5), copied.randn(5))


def _loaded(state):
    generator = ndl.Generator(2)
    generator.load_state_dict(state)
    return generator


def test_states_of_generators_survive_a_file(tmp_path):
    pytest.importorskip("safetensors")
    generator = ndl.Generator(1)
    ndl.save({"generator": generator.state_dict()}, tmp_path / "state.safetensors")
    restored = _loaded(ndl.load(tmp_path / "state.safetensors")["generator"])
    np.testing.assert_array_equal(generator.rand(5), restored.rand(5))


@pytest.mark.parametrize("state", [{}, None, {"state": {"state": "x"}}, {"state": 3}])
def test_other_states_are_refused_and_change_nothing(state):
    generator = ndl.Generator(1)
    with pytest.raises(ValueError, match="not the state of a Generator"):
        generator.load_state_dict(state)
    np.testing.assert_array_equal(generator.rand(3), ndl.Generator(1).rand(3))


@pytest.mark.parametrize("seed", [-1, 1.5, "1"])
def test_seeds_that_are_no_natural_numbers_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        ndl.Generator(seed)


def test_generators_show_their_seed():
    assert repr(ndl.Generator(7)) == "needle.Generator(seed=7)"
    assert repr(ndl.Generator()) == "needle.Generator()"


@pytest.mark.parametrize("generator", [0, 1, np.random.default_rng(0)])
def test_what_is_no_generator_is_refused(generator) -> None:
    with pytest.raises(TypeError, match=r"expected a needle\.Generator or None"):
        ndl.init.rand(2, generator=generator)
