"""ResNet9 on small files in the format of CIFAR-10."""

import pickle
import sys

import numpy as np
import pytest

import needle as ndl
from needle import nn


@pytest.fixture
def cifar_folder(tmp_path):
    """The six files, 40 random images each."""
    folder = tmp_path / "data/cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        content = {
            b"batch_label": name.encode(),
            b"labels": rng.integers(0, 10, 40).tolist(),
            b"data": rng.integers(0, 256, (40, 3072), dtype=np.uint8),
            b"filenames": [b"image.png"] * 40,
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder.parent


def test_the_program_trains_and_resumes(cifar_folder, empty_machine, monkeypatch, capsys):
    pytest.importorskip("safetensors")
    import train_cifar10

    command = ["train_cifar10.py", "--data-dir", str(cifar_folder), "--batch-size", "50"]
    lines = []
    for more in (["--epochs", "1"], ["--epochs", "2", "--resume"]):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        train_cifar10.main()
        out, err = capsys.readouterr()
        assert err == ""
        lines.append(out.splitlines())
    first, second = lines
    assert first[0].startswith("CIFAR10 epoch 1/1  train loss ")
    assert first[1].startswith("test accuracy ")
    assert second[0].startswith("continuing after 1 of 2 epochs, from runs/cifar10/checkpoints/")
    assert second[1].startswith("CIFAR10 epoch 2/2  train loss ")


def test_resnet9_is_the_network_of_the_course():
    import train_cifar10

    model = train_cifar10.resnet9()
    x = ndl.init.randn(2, 3, 32, 32)
    shapes = []
    for module in model:
        x = module(x)
        shapes.append(x.shape[1:])
    assert shapes == [
        (16, 8, 8), (32, 4, 4), (32, 4, 4), (64, 2, 2), (128, 1, 1), (128, 1, 1),
        (128,), (128,), (128,), (10,),
    ]  # fmt: skip
    convolutions = [module for _, module in model.named_modules() if isinstance(module, nn.Conv)]
    assert len(convolutions) == 8
    sizes = [(3, 16, 7), (16, 32, 3), *[(32, 32, 3)] * 2, (32, 64, 3), (64, 128, 3)]
    sizes += [(128, 128, 3)] * 2
    # kernel and bias of a convolution, scale and shift of its normalisation
    expected = sum(i * o * k * k + 3 * o for i, o, k in sizes) + 128 * 129 + 129 * 10
    assert sum(parameter.size for parameter in model.parameters()) == expected


IMAGES = "model: [{Conv2d: {in_channels: %d, out_channels: 4, kernel_size: 3, stride: 4}}, Flatten,"
CONFIG = """
seed: 0
dataset: %s
%s
optimizer: {name: Adam, lr: 0.01}
epochs: 1
batch_size: 64
shuffle: true
results: out
"""


@pytest.mark.usefixtures("no_curve")
def test_a_config_with_images_of_several_channels(train, cifar_folder, empty_machine):
    model = IMAGES % 3 + " {Linear: {in_features: 256, out_features: classes}}]"
    transforms = "transforms: [{RandomCrop: {padding: 4}}, RandomFlipHorizontal]\nworkers: 1"
    text = CONFIG % ("cifar10", f"{model}\n{transforms}")
    (empty_machine / "images.yaml").write_text(text)
    code, out, err = train("--config", "images", "--data-dir", cifar_folder)
    assert (code, err) == (0, "")
    assert "CIFAR10, 200 images to train on, 40 to test with" in out


SHAKESPEARE = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind\n" * 40
SEQUENCES = """model:
  - Embedding: {num_embeddings: classes, embedding_dim: 16}
  - LSTM: {input_size: 16, hidden_size: 32, batch_first: true}
  - Linear: {in_features: 32, out_features: classes}
clip_norm: 1.0"""


@pytest.mark.usefixtures("no_curve")
def test_a_config_with_sequences(train, empty_machine, monkeypatch):
    monkeypatch.setattr(ndl.data, "tiny_shakespeare", lambda folder: SHAKESPEARE)
    (empty_machine / "text.yaml").write_text(CONFIG % ("shakespeare", SEQUENCES))
    code, out, err = train("--config", "text", "--epochs=8", "--set=batch_size=8")
    assert (code, err) == (0, "")
    assert "TinyShakespeare, 42 windows to train on, 4 to test with" in out
    assert float(out.partition(": test accuracy ")[2].split()[0]) > 20
    weights = "out/weights-tinyshakespeare.npz"
    assert train("--config", "text", "--evaluate", weights)[0] == 0


@pytest.mark.usefixtures("no_curve")
def test_a_compiled_config(train):
    for name, change in (("one", "compile=numpy"), ("other", "compile=false")):
        options = ("--epochs=2", f"--set={change}", f"--set=results={name}")
        code, _, err = train("--config", "digits", *options)
        assert (code, err) == (0, "")
    losses = []
    for name in ("one", "other"):
        with np.load(f"{name}/weights-digits.npz") as arrays:
            losses.append(arrays["1.weight"])
    np.testing.assert_allclose(*losses, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("transforms=RandomCrop", "transforms: found 'RandomCrop', allowed: a list of transforms"),
        ("transforms=[RandomCorp]", "transforms.0: unknown transform 'RandomCorp' (did you mean"),
        ("transforms=[{RandomCrop: {pad: 1}}]", "transforms.0.RandomCrop: unknown key 'pad'"),
        ("workers=-1", "workers: found -1, allowed: a whole number of at least 0"),
        ("clip_norm=0", "clip_norm: found 0, allowed: a number above 0 or null"),
        ("label_smoothing=2", "label_smoothing: found 2, allowed: a number from 0 to 1"),
        ("compile=1", "compile: found 1, allowed: true or false or numba or numpy"),
        ("dataset=shakespeare", "model.1.Linear: does not work on TinyShakespeare: "),
    ],
)
def test_entries_that_are_not_allowed(train, change, text):
    code, out, err = train("--config", "digits.yaml", "--set", change)
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: digits.yaml: {text}")


def test_impossible_transforms(train):
    code, _, err = train("--config", "digits", "--set=transforms=[{RandomCrop: {padding: -1}}]")
    assert code == 1
    assert err.startswith("train_mnist: digits.yaml: RandomCrop: padding is a number of pixels")
