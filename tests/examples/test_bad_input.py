"""What a user can get wrong: told in one line that names the key, before anything is loaded."""

import io
import re
import zipfile

import numpy as np
import pytest
from train_mnist import CONFIGS, SCHEMA, config

from needle.training import TrainingError, write_whole

pytestmark = pytest.mark.usefixtures("no_curve")

# a change to digits.yaml, and what the error says: the key, what was found, what is allowed
CHANGES = [
    ("epoch=3", "unknown key 'epoch' (did you mean epochs?), allowed: seed, dataset,"),
    ("optimizer.learning_rate=1", "optimizer: unknown key 'learning_rate', allowed: lr, momentum"),
    (
        "optimizer.name=Sgd",
        "optimizer.name: unknown optimizer 'Sgd' (did you mean SGD?), allowed: ",
    ),
    ("optimizer.name=3", "optimizer.name: unknown optimizer 3, allowed: "),
    ("optimizer={lr: 1}", "optimizer.name: missing, allowed: Ada"),
    ("optimizer=SGD", "optimizer: found 'SGD', allowed: a mapping with the name of an optimizer"),
    ("optimizer.lr=fast", "optimizer.lr: found 'fast', allowed: a finite number"),
    ("optimizer.lr=.nan", "optimizer.lr: found nan, allowed: a finite number"),
    ("optimizer.lr=true", "optimizer.lr: found True, allowed: a finite number"),
    ("optimizer.lr=[0.1]", "optimizer.lr: found [0.1], allowed: a finite number"),
    ("optimizer.nesterov=1", "optimizer.nesterov: found 1, allowed: true or false"),
    ("seed=-1", "seed: found -1, allowed: a whole number from 0 to 4294967295"),
    ("seed=4294967296", "seed: found 4294967296, allowed: a whole number from 0 to 4294967295"),
    ("seed=0x" + "f" * 5000, "seed: found an enormous number, allowed: a whole number from 0"),
    (
        "dataset=imagenet",
        "dataset: found 'imagenet', allowed: mnist or digits or fashion_mnist or ",
    ),
    ("offline=mnist", "offline: found 'mnist', allowed: digits or null"),
    ("data_dir=nowhere", "data_dir: found 'nowhere', allowed: an existing folder or null"),
    ("epochs=0", "epochs: found 0, allowed: a whole number of at least 1"),
    ("epochs=2.5", "epochs: found 2.5, allowed: a whole number of at least 1"),
    ("epochs=", "epochs: found nothing, allowed: a whole number of at least 1"),
    ("batch_size=-4", "batch_size: found -4, allowed: a whole number of at least 1"),
    ("batch_size='8'", "batch_size: found '8', allowed: a whole number of at least 1"),
    ("init=torch", "init: found 'torch', allowed: needle or pytorch"),
    ("shuffle=2", "shuffle: found 2, allowed: true or false"),
    ("results=7", "results: found 7, allowed: text"),
    ("results=''", "results: found '', allowed: text"),
    ("loop=fast", "loop: found 'fast', allowed: train_epoch or nn_epoch"),
    ("model=Flatten", "model: found 'Flatten', allowed: a list of layers"),
    ("model=[]", "model: found [], allowed: a list of layers"),
    ("model.0=Flaten", "model.0: unknown layer 'Flaten' (did you mean Flatten?), allowed: "),
    ("model.0=Module", "model.0: unknown layer 'Module', allowed: "),
    ("model.0=Sequential", "model.0: unknown layer 'Sequential', allowed: "),
    ("model.0=SoftmaxLoss", "model.0: unknown layer 'SoftmaxLoss'"),
    ("model.0=3", "model.0: found 3, allowed: the name of a layer, or `Name: {argument: value}`"),
    ("model.0={ReLU: {}, Tanh: {}}", "model.0: found {'ReLU': {}, 'Tanh': {}}, allowed: the name"),
    ("model.1.Linear=64", "model.1.Linear: found 64, allowed: a mapping of arguments"),
    (
        "model.1=Linear",
        "model.1.Linear.in_features: missing, allowed: a whole number of at least 1",
    ),
    (
        "model.1.Linear.in=64",
        "model.1.Linear: unknown key 'in', allowed: in_features, out_features",
    ),
    ("model.1.Linear.out_features=0", "model.1.Linear.out_features: found 0, allowed: a whole"),
    ("model.1.Linear.out_features=many", "model.1.Linear.out_features: found 'many', allowed: a"),
    ("model.1.Linear.bias=yes please", "model.1.Linear.bias: found 'yes please', allowed: true"),
    ("model.1.Linear.in_features=784", "model.1.Linear: does not work on Digits: Linear expected"),
    ("model.3.Linear.in_features=65", "model.3.Linear: does not work on Digits: Linear expected"),
    ("model.1.Linear.out_features=1" + "0" * 17, "model.1.Linear: does not work on Digits: "),
    ("model.3.Linear.out_features=9", "model: found an output of shape (9,) for each item"),
    ("model=[Flatten]", "model: found an output of shape (64,) for each item, allowed: (10,)"),
    ("model.0={Softmax: {dim: 9}}", "model.0.Softmax: does not work on Digits: Softmax of shape"),
    (
        "model.0={Flatten: {start_dim: 9}}",
        "model.0.Flatten: does not work on Digits: flatten: ",
    ),
    ("model.2={Unflatten: {dim: 64, unflattened_size: []}}", "model.2.Unflatten: does not work on"),
    # it would take the pixels of a black image
    (
        "model.2={Embedding: {num_embeddings: 64, embedding_dim: 1}}",
        "model.2.Embedding: does not work on Digits: Embedding expected whole numbers",
    ),
    ("loop=nn_epoch", "model: loop: nn_epoch allows only Flatten, Linear, ReLU, Linear"),
    ("nothing.here=1", "nothing.here: cannot be set, the config has no entry nothing"),
    ("model.9.Linear=1", "model.9.Linear: cannot be set, model has no entry 9"),
    ("model.9=ReLU", "model.9: cannot be set, model has no entry 9"),
    ("seed.high=1", "seed: found 0, allowed: a mapping, for seed.high to be set"),
]


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("data was loaded before the config was checked")

    monkeypatch.setattr(config, "load_data", refuse)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(("change", "text"), CHANGES, ids=[change[:40] for change, _ in CHANGES])
def test_entries_that_are_not_allowed(train, empty_machine, change, text):
    code, out, err = train("--config", "digits.yaml", "--set", change)
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: digits.yaml: {text}")
    assert err.count("\n") == 1
    assert len(err) < 1000
    assert not (empty_machine / "runs").exists()


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("optimizer.lr=-1", "lr"),
        ("optimizer.momentum=-0.5", "momentum"),
        ("optimizer={name: SGD, lr: 0.1, nesterov: true}", "nesterov"),
    ],
)
def test_settings_that_the_optimizer_refuses(train, change, key):
    code, _, err = train("--config", "digits.yaml", "--set", change)
    assert code == 1
    assert re.match(f"train_mnist: digits.yaml: optimizer: .*{key}", err)
    assert err.count("\n") == 1


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("optimizer.momentum=0.9", "optimizer: loop: nn_epoch allows only SGD with lr"),
        ("shuffle=true", "shuffle: found True, allowed: none with loop: nn_epoch"),
        ("model.1.Linear.bias=true", "model: loop: nn_epoch allows only Flatten, Linear, ReLU"),
        ("model.2=Tanh", "model: loop: nn_epoch allows only Flatten, Linear, ReLU, Linear"),
        (
            "model.1.Linear.in_features=784",
            "model.1.Linear: does not work on Digits: Linear expected",
        ),
    ],
)
def test_nn_epoch_is_one_particular_network(train, change, text):
    code, _, err = train("--config", "two_layer.yaml", "--set", change)
    assert code == 1
    assert err.startswith(f"train_mnist: two_layer.yaml: {text}")


@pytest.mark.parametrize("key", [key for key in SCHEMA if key not in ("offline", "data_dir")])
def test_entries_that_are_missing(train, empty_machine, key):
    lines = (CONFIGS / "digits.yaml").read_text().splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if line.startswith(f"{key}:")), None)
    if start is not None:
        stop = start + 1
        while stop < len(lines) and lines[stop].startswith((" ", "\n")):
            stop += 1
        del lines[start:stop]
    (empty_machine / "short.yaml").write_text("".join(lines))
    code, _, err = train("--config", "short.yaml", "--epochs=1", "--set", "results=out")
    required = ("seed", "dataset", "model", "optimizer", "batch_size", "shuffle")
    has_default = key not in required
    assert code == (0 if has_default else 1)
    assert (f"short.yaml: {key}: missing, allowed: " in err) is not has_default


@pytest.mark.parametrize("text", ["seed", "=1", "seed: 1", ""])
def test_a_set_that_is_no_pair(train, text):
    code, _, err = train("--config", "digits.yaml", "--set", text)
    assert code == 1
    assert err.startswith(f"train_mnist: --set {text}: allowed: KEY=VALUE")


def test_a_set_that_is_no_yaml(train):
    _, _, err = train("--config", "digits.yaml", "--set", "model=[")
    assert err.startswith("train_mnist: --set model=[: malformed YAML: ")


def test_a_set_with_a_duplicate_key(train):
    change = "optimizer={name: SGD, lr: 1, lr: 2}"
    code, _, err = train("--config", "digits.yaml", "--set", change)
    assert code == 1
    assert err == f"train_mnist: --set {change}: duplicate key 'lr' in lines 1 and 1\n"


@pytest.mark.parametrize(("config", "place"), [("gone.yaml", "configs"), ("a/b.yaml", "in a;")])
def test_a_config_that_is_not_there(train, config, place):
    code, _, err = train("--config", config)
    assert code == 1
    assert "no config" in err
    assert place in err
    assert "cnn.yaml, digits.yaml, gru.yaml, mlp.yaml, mlp_resnet.yaml, two_layer.yaml" in err


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--epochs", "many", "epochs: found 'many', allowed: a whole number of at least 1"),
        ("--data-dir", "gone", "data_dir: found 'gone', allowed: an existing folder"),
    ],
)
def test_options(train, option, value, text):
    code, _, err = train("--config", "digits.yaml", option, value)
    assert code == 1
    assert text in err


def test_a_damaged_data_file(train, mnist_folder):
    file = mnist_folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:1000])
    code, out, err = train("--config", "mlp.yaml", "--data-dir", mnist_folder)
    assert (code, out) == (1, "")  # not a reason to train on something else
    assert err.startswith("train_mnist: MNIST: ")
    assert file.name in err
    assert err.count("\n") == 1


def test_data_of_another_kind(train, mnist_folder):
    labels = mnist_folder / "train-labels-idx1-ubyte"
    labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 1, 44]) + bytes([11] * 300))
    code, _, err = train("--config", "mlp.yaml", "--data-dir", mnist_folder)
    assert code == 1
    assert "found the training label 11, allowed: 0 to 9" in err


@pytest.fixture
def weights(train, empty_machine):
    train("--config", "digits.yaml", "--epochs", "1")
    return empty_machine / "runs/digits/weights-digits.npz"


def flip_a_bit(content):
    content[len(content) // 2] ^= 1
    return content


def as_npy(content):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def as_zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.weight.npy", b"\x93NUMPY\x01\x00nonsense")
    return file.getvalue()


def as_objects(content):
    file = io.BytesIO()
    np.savez(file, **{"1.weight": np.array([{}], dtype=object)})
    return file.getvalue()


def as_absurd_claim(content):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000), }"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        length = len(header).to_bytes(2, "little")
        archive.writestr("1.weight.npy", b"\x93NUMPY\x01\x00" + length + header)
    return file.getvalue()


DAMAGES = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "a flipped bit": lambda content: flip_a_bit(bytearray(content)),
    "text": lambda content: b"weights",
    "npy": as_npy,
    "zip": as_zip,
    "objects": as_objects,
    "absurd": as_absurd_claim,
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=DAMAGES)
def test_weights_that_are_damaged(train, weights, damaged):
    weights.write_bytes(damaged(weights.read_bytes()))
    code, _, err = train("--config", "digits.yaml", "--evaluate", weights)
    assert code == 1
    assert f"weights {weights}: damaged, or not an .npz file of this trainer" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("name", "text"), [("gone.npz", "No such file"), (".", "Is a directory")])
def test_weights_that_are_not_there(train, name, text):
    code, _, err = train("--config", "digits.yaml", "--evaluate", name)
    assert code == 1
    assert err.startswith(f"train_mnist: weights {name}: {text}")


def test_weights_of_another_model(train, weights, mnist_folder):
    _, _, err = train(
        "--config", "digits.yaml", "--evaluate", weights, "--set", "model.3.Linear.bias=false"
    )
    assert err.endswith("3.bias is unknown to the model\n")
    change = "model=[Flatten, {Linear: {in_features: pixels, out_features: classes}}, ReLU]"
    _, _, err = train("--config", "digits.yaml", "--evaluate", weights, "--set", change)
    assert (
        "1.weight has shape (64, 10) in the model, (64, 64) in the state 1.bias has shape (1, 10) "
        in err
    )
    code, _, err = train("--config", "mlp.yaml", "--evaluate", weights, "--data-dir", mnist_folder)
    assert code == 1
    assert "of another model, trained on Digits: the state does not fit" in err


def test_an_interrupted_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_whole(path, lambda file: file.write(b"former"))

    def fails(file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fails)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_told_in_one_line(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(TrainingError, match=r"x\.json: cannot be written: .* is a folder"):
        write_whole(tmp_path / "x.json", lambda file: file.write(b""))


def test_a_full_disk_is_told_in_one_line(tmp_path):
    def fails(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match=r"x\.json: cannot be written: No space left on device"):
        write_whole(tmp_path / "x.json", fails)
    assert list(tmp_path.iterdir()) == []
