"""needle.load of NumPy's archives."""

import io
import sys
import zipfile

import numpy as np
import pytest

from needle import Tensor, load, nn


@pytest.fixture
def file(tmp_path):
    return tmp_path / "arrays.npz"


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_of_numbers_become_tensors(file, write):
    arrays = {
        "w": np.arange(6, dtype="float32").reshape(2, 3),
        "big-endian": np.array([1, 2], ">i2"),
        "scalar": np.float64(2.5),
        "empty": np.zeros((3, 0), "bool"),
    }
    write(file, dataset=np.array("Digits"), names=np.array([b"a", b"b"]), **arrays)
    loaded = load(file)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert isinstance(loaded[name], Tensor)
        assert not loaded[name].requires_grad
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(loaded[name].numpy(), array)


def test_a_model_comes_back_without_the_safetensors_package(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    model, other = nn.Linear(3, 4), nn.Linear(3, 4)
    np.savez(file, **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
    other.load_state_dict(load(str(file)))
    np.testing.assert_array_equal(model.weight.numpy(), other.weight.numpy())


def archive(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def saved(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


NUMBERS = saved(w=np.zeros(100))
DAMAGED = {
    "cut short": NUMBERS[:-100],
    "a flipped bit": NUMBERS[:200] + bytes([NUMBERS[200] ^ 1]) + NUMBERS[201:],
    "another archive": archive(**{"model/data.pkl": b"program"}),
    "no array": archive(**{"w.npy": b"nonsense"}),
    "objects": saved(w=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_other_and_damaged_archives_are_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"arrays\.npz' is damaged or not an \.npz file: "):
        load(file)


def test_numbers_that_needle_lacks_are_named(file):
    np.savez(file, w=np.zeros(2), z=np.zeros(2, "complex64"))
    with pytest.raises(TypeError, match="holds z as complex64, which needle does not have"):
        load(file)
