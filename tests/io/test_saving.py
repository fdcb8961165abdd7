"""needle.save and needle.load, and the files they leave behind."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from needle import Tensor, load, nn, save
from needle.io import replacing


def test_nested_round_trip_keeps_kinds_dtypes_and_shapes(tmp_path):
    state = {
        "model": {"w": Tensor(np.arange(6, dtype="float32").reshape(2, 3)[:, ::2])},
        "optimizer": {"state": {0: {"u": np.ones((2, 0))}, 1: {}}, "lr": 0.1, "name": None},
        "epoch": 3,
        "history": [1, 2.5, ("text", True)],
        "scalar": Tensor(2.0),
    }
    save(state, tmp_path / "run.safetensors")
    loaded = load(tmp_path / "run.safetensors")
    assert isinstance(loaded["model"]["w"], Tensor)
    assert not loaded["model"]["w"].requires_grad
    assert loaded["model"]["w"].dtype == np.float32
    np.testing.assert_array_equal(loaded["model"]["w"].numpy(), [[0, 2], [3, 5]])
    assert loaded["optimizer"]["state"][0]["u"].shape == (2, 0)
    assert loaded["optimizer"]["state"][1] == {}
    assert loaded["optimizer"]["lr"] == 0.1
    assert loaded["optimizer"]["name"] is None
    assert loaded["history"] == [1, 2.5, ("text", True)]
    assert loaded["scalar"].shape == ()
    assert list(loaded) == list(state)


@pytest.mark.parametrize(
    "number", [np.float64(0.1), np.float32(0.1), np.int64(-3), np.uint8(3), np.bool(True)], ids=repr
)
def test_numbers_of_numpy_come_back_as_they_were(tmp_path, number):
    save({"lr": number, "inside": [(number, float(number))]}, tmp_path / "x.safetensors")
    loaded = load(tmp_path / "x.safetensors")
    assert loaded["lr"] == number
    assert type(loaded["lr"]) is type(number)
    assert type(loaded["inside"][0][0]) is type(number)
    assert type(loaded["inside"][0][1]) is float


def test_a_loaded_model_is_bitwise_equal(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    save(model.state_dict(), tmp_path / "model.safetensors")
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    other.load_state_dict(load(tmp_path / "model.safetensors"))
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_other_libraries_read_the_file_under_plain_names(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4))
    save(model.state_dict(), tmp_path / "model.safetensors")
    arrays = load_file(tmp_path / "model.safetensors")
    assert sorted(arrays) == ["0.bias", "0.weight"]
    np.testing.assert_array_equal(arrays["0.weight"], model[0].weight.numpy())


@pytest.mark.parametrize(
    "array",
    [
        np.array(3, np.float32),
        np.zeros((3, 0, 2)),
        np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[::-1],
        np.broadcast_to(np.float16(2), (3, 3)),
        np.array([True, False, True]),
        np.arange(3, dtype=">i8"),
        *(np.ones(3, dtype) for dtype in ("int8", "uint16", "uint64", "float64")),
    ],
    ids=lambda array: f"{array.dtype.name}{array.shape}",
)
def test_any_array_comes_back_and_opens_in_pytorch(tmp_path, array):
    path = tmp_path / "x.safetensors"
    # an odd number of bytes beside it, which must not leave it unaligned
    save({"byte": np.ones(1, bool), "x": Tensor(array, requires_grad=False), "y": array}, path)
    loaded = load(path)
    for kept in (loaded["x"].realize_cached_data(), loaded["y"]):
        np.testing.assert_array_equal(kept, array, strict=array.dtype.isnative)
        assert kept.dtype.name == array.dtype.name
        assert kept.flags.writeable
        assert kept.flags.aligned
    torch_files = pytest.importorskip("safetensors.torch")
    opened = torch_files.load_file(path)["x"]
    np.testing.assert_array_equal(opened.numpy(), array, strict=array.dtype.isnative)


@pytest.mark.parametrize(("dtype", "name"), [("bfloat16", "BF16"), ("complex64", "C64")])
def test_numbers_that_needle_lacks_are_named(tmp_path, dtype, name):
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    torch_files.save_file({"a.b": torch.ones(3, dtype=getattr(torch, dtype))}, path)
    with pytest.raises(
        TypeError, match=rf"x\.safetensors' holds a\.b as {name}, which needle does"
    ):
        load(path)


def test_files_of_other_libraries_are_read(tmp_path):
    save_file({"a.b": np.ones(3, "float32")}, tmp_path / "other.safetensors")
    loaded = load(tmp_path / "other.safetensors")
    np.testing.assert_array_equal(loaded["a.b"].numpy(), np.ones(3))


@pytest.mark.parametrize("cut", [0, 4, 30, -1])
def test_a_truncated_file_is_refused(tmp_path, cut):
    path = tmp_path / "model.safetensors"
    save({"w": Tensor(np.ones(100))}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        load(path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_flipped_bit_anywhere_is_noticed(tmp_path, share):
    path = tmp_path / "model.safetensors"
    save({"w": Tensor(np.ones(30)), "empty": np.ones((2, 0)), "one": Tensor(1.0), "n": 12345}, path)
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        load(path)


def test_a_file_of_another_format_is_refused(tmp_path):
    np.save(tmp_path / "weights.npy", np.ones(3))
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        load(tmp_path / "weights.npy")
    with pytest.raises(FileNotFoundError, match=r"no file .*missing"):
        load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        ({"a": {"b": object()}}, "<class 'object'> at 'a.b'"),
        ({"a": [np.ones(2, "complex128")]}, "'a.0' has the dtype complex128"),
        ({"a": np.array("text")}, "'a' has the dtype <U4"),
        ({"a": np.array([None])}, "'a' has the dtype object"),
        ({"__metadata__": np.ones(2)}, "'__metadata__' is no name for a tensor"),
        ({1.5: 2}, "keys are strings or integers, got 1.5"),
        ({"a.b": Tensor(1.0), "a": {"b": Tensor(2.0)}}, "two entries have the path 'a.b'"),
        ([Tensor(1.0)], "save takes a dict"),
    ],
)
def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path, obj, said):
    with pytest.raises(TypeError, match=said):
        save(obj, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        save({}, tmp_path / "nowhere" / "x.safetensors")


@pytest.mark.parametrize("path", ["", ".", "folder", "/"])
def test_a_folder_is_no_file_to_write(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder: name a file to write"):
        save({}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "x.safetensors", tmp_path / "link"
    save({"n": 1}, file)
    link.symlink_to(file)
    save({"n": 2}, link)
    assert link.is_symlink()
    assert load(file) == {"n": 2}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "there", "x.safetensors"]


def test_an_error_while_writing_leaves_the_former_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("former")
    with pytest.raises(RuntimeError, match="interrupted"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("interrupted")
    assert path.read_text() == "former"
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_leaves_the_former_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save({"w": Tensor(np.zeros(10))}, path)
    program = (
        "import signal, resource, sys, numpy as np, needle as ndl\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    ndl.save({'w': ndl.Tensor(np.ones(100_000))}, sys.argv[1])\n"
        "except OSError as error:\n"
        "    print('refused', error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"refused [Errno 27] File too large: '{path}'\n"
    np.testing.assert_array_equal(load(path)["w"].numpy(), np.zeros(10))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    save({}, tmp_path / "x.safetensors")
    (tmp_path / "plain").touch()
    modes = {oct(os.stat(file).st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_file_that_is_written_again_keeps_its_permissions(tmp_path):
    path = tmp_path / "x.safetensors"
    save({"n": 1}, path)
    path.chmod(0o600)
    save({"n": 2}, path)
    assert load(path) == {"n": 2}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_name_in_the_header_is_no_file_of_another_library(tmp_path):
    path = tmp_path / "file"
    save({"a": np.int8(1)}, path)
    path.write_bytes(path.read_bytes().replace(b"needle", b"neddle"))
    with pytest.raises(ValueError, match="damaged"):
        load(path)
