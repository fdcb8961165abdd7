"""Layers, losses and initialisers on strict arrays: forward, backward, the values of the CPU."""

import inspect

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

RNG = np.random.default_rng(0)
MATRIX = np.asarray(RNG.normal(size=(6, 4)), "float32")
IMAGES = np.asarray(RNG.normal(size=(3, 4, 2, 2)), "float32")
SHARES = np.asarray(RNG.uniform(0.1, 0.9, size=(6, 4)), "float32")
LABELS = np.array([0, 3, 1, 1, 2, 0])
SEQUENCES = np.asarray(RNG.normal(size=(3, 2, 4)), "float32")

BY_AXES = {  # images by the number of their spatial axes
    n: np.asarray(RNG.uniform(0.1, 2, size=(2, 4, *[length] * n)), "float32")
    for n, length in ((1, 4), (2, 4), (3, 2))
}
IMAGE_LAYERS = {  # arguments and settings
    "Conv{n}d": ((4, 2, 3), {"padding": 1, "stride": 2, "groups": 2}),
    "Conv{n}d with circular padding": ((4, 2, 2), {"padding": 1, "padding_mode": "circular"}),
    "ConvTranspose{n}d": ((4, 2, 3), {"stride": 2, "output_padding": 1}),
    "InstanceNorm{n}d": ((4,), {"affine": True, "track_running_stats": True}),
    "MaxPool{n}d": ((3, 2, 1), {}),
    "AvgPool{n}d": ((3, 2, 1, True, False), {}),
    "LPPool{n}d": ((2, 2), {}),
    "AdaptiveAvgPool{n}d": ((3,), {}),
    "AdaptiveMaxPool{n}d": ((3,), {}),
    "ZeroPad{n}d": ((1,), {}),
    "ConstantPad{n}d": ((1, 2.5), {}),
    "ReflectionPad{n}d": ((1,), {}),
    "ReplicationPad{n}d": ((1,), {}),
    "CircularPad{n}d": ((1,), {}),
    "Dropout{n}d": ((0.4,), {}),
}
IMAGE_LAYERS_2D = {
    "Upsample": (None, 1.5, "bilinear"), "UpsamplingNearest2d": (3,), "UpsamplingBilinear2d": (3,),
    "PixelShuffle": (2,), "PixelUnshuffle": (2,), "ChannelShuffle": (2,), "Unfold": (2,),
    "LocalResponseNorm": (3,), "PReLU": (4,),
}  # fmt: skip


def built(name, *args, **options):
    """A function of a device that makes a layer, whose name ends before the first space."""
    kind = getattr(nn, name.split()[0])
    takes_device = "device" in inspect.signature(kind).parameters
    return lambda device: kind(*args, **options, **({"device": device} if takes_device else {}))


def pooled_and_back(n):
    pool, unpool = getattr(nn, f"MaxPool{n}d"), getattr(nn, f"MaxUnpool{n}d")
    layer = nn.Module()
    layer.forward = lambda x: unpool(2)(*pool(2, return_indices=True)(x))
    return lambda device: layer


LAYERS = {
    **{
        name.format(n=n): (built(name.format(n=n), *args, **options), BY_AXES[n])
        for n in (1, 2, 3)
        for name, (args, options) in IMAGE_LAYERS.items()
    },
    **{name: (built(name, *args), BY_AXES[2]) for name, args in IMAGE_LAYERS_2D.items()},
    **{f"MaxUnpool{n}d": (pooled_and_back(n), BY_AXES[n]) for n in (1, 2, 3)},
    "Conv": (built("Conv", 4, 2, 3), BY_AXES[2]),
    "BatchNorm3d": (built("BatchNorm3d", 4), BY_AXES[3]),
    "Fold": (built("Fold", (3, 3), 2), BY_AXES[1]),
    **{
        name: (lambda device, name=name: getattr(nn, name)(), MATRIX)
        for name in (
            "ELU", "GELU", "Hardtanh", "Identity", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU",
            "Sigmoid", "Softmax", "Softplus", "Tanh",
        )
    },
    "Linear": (lambda device: nn.Linear(4, 3, device=device), MATRIX),
    "Bilinear": (lambda device: nn.Bilinear(4, 4, 3, device=device), MATRIX),
    "Embedding": (lambda device: nn.Embedding(5, 3, device=device), LABELS),
    "Embedding of floats": (lambda device: nn.Embedding(5, 3, device=device), LABELS / 1.0),
    "Embedding with settings": (
        lambda device: nn.Embedding(
            5, 3, device=device, padding_idx=1, max_norm=1.0, scale_grad_by_freq=True
        ),
        LABELS,
    ),
    "EmbeddingBag": (lambda device: nn.EmbeddingBag(5, 3, device=device), LABELS.reshape(2, 3)),
    "EmbeddingBag of the largest": (
        lambda device: nn.EmbeddingBag(5, 3, mode="max", padding_idx=1, device=device),
        LABELS.reshape(2, 3),
    ),
    "Flatten": (lambda device: nn.Flatten(), IMAGES),
    "Unflatten": (lambda device: nn.Unflatten(1, (2, 2)), MATRIX),
    "Residual": (lambda device: nn.Residual(nn.Linear(4, 4, device=device)), MATRIX),
    "Dropout": (lambda device: nn.Dropout(0.4), MATRIX),
    "Dropout of all": (lambda device: nn.Dropout(1.0), MATRIX),
    "Dropout by a generator": (lambda device: nn.Dropout(0.4, generator=ndl.Generator(0)), MATRIX),
    "BatchNorm1d": (lambda device: nn.BatchNorm1d(4, device=device), MATRIX),
    "BatchNorm1d plain": (
        lambda device: nn.BatchNorm1d(4, device=device, affine=False, track_running_stats=False),
        MATRIX,
    ),
    "BatchNorm2d": (lambda device: nn.BatchNorm2d(4, device=device), IMAGES),
    "GroupNorm": (lambda device: nn.GroupNorm(2, 4, device=device), IMAGES),
    "LayerNorm": (lambda device: nn.LayerNorm((2, 2), device=device), IMAGES),
    "LayerNorm1d": (lambda device: nn.LayerNorm1d(4, device=device), MATRIX),
    "RMSNorm": (lambda device: nn.RMSNorm(4, device=device), MATRIX),
    "AttentionLayer": (lambda device: nn.AttentionLayer(4, 2, 3, device=device), SEQUENCES),
    "MultiHeadAttention": (lambda device: nn.MultiHeadAttention(dropout=0.1), IMAGES),
    "MultiheadAttention": (lambda device: nn.MultiheadAttention(4, 2, device=device), SEQUENCES),
    "MultiheadAttention with added positions": (
        lambda device: nn.MultiheadAttention(4, 2, 0.1, True, True, True, device=device), SEQUENCES
    ),
    "Transformer": (lambda device: nn.Transformer(4, 5, 1, device=device), SEQUENCES),
    "TransformerLayer": (lambda device: nn.TransformerLayer(4, 2, 3, 5, device=device), SEQUENCES),
    **{
        f"Transformer{kind}": (
            lambda device, kind=kind: getattr(nn, f"Transformer{kind}")(
                getattr(nn, f"Transformer{kind}Layer")(4, 2, 5, device=device), 1
            ),
            SEQUENCES,
        )
        for kind in ("Encoder", "Decoder")
    },
    **{
        f"Transformer{kind}Layer": (
            lambda device, kind=kind: getattr(nn, f"Transformer{kind}Layer")(
                4, 2, 5, device=device
            ),
            SEQUENCES,
        )
        for kind in ("Encoder", "Decoder")
    },
    **{
        name: (lambda device, name=name: getattr(nn, name)(4, 3, device=device), array)
        for kind in ("GRU", "LSTM", "RNN")
        for name, array in ((kind, SEQUENCES), (f"{kind}Cell", MATRIX))
    },
    "SwiGLU": (lambda device: nn.SwiGLU(4, 3, device=device), SEQUENCES),
    "SinusoidalPositions": (lambda device: nn.SinusoidalPositions(4, 9, device=device), SEQUENCES),
    "RotaryEmbedding": (lambda device: nn.RotaryEmbedding(4, 9, device=device), SEQUENCES),
}  # fmt: skip
OPERANDS = {  # 1 for the other layers
    "Bilinear": 2, "MultiheadAttention": 3, "MultiHeadAttention": 3, "TransformerDecoder": 2,
    "TransformerDecoderLayer": 2,
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, training, mode, check_both, explained_nones):
    make, array = LAYERS[name]

    def run(device):
        layer = make(device).train(training)
        x = Tensor(array, device=device)
        others = range(1, OPERANDS.get(name.split()[0], 1))
        y = layer(x, *[x * 0.5**number for number in others])
        y = y[0] if isinstance(y, tuple) else y
        (y * y).sum().backward()
        parameters = layer.parameters()
        leaves = [*parameters, *([] if name.startswith("Embedding") else [x])]
        assert all(leaf.grad is not None for leaf in leaves)
        return [y, *parameters, *layer.buffers(), *[leaf.grad for leaf in leaves]]

    check_both(run, 1e-5)


def test_no_layer_is_left_out():
    containers = {
        "KeyValueCache", "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterList",
        "Sequential",
    }  # fmt: skip
    layers = {
        name
        for name in nn.__all__
        if inspect.isclass(getattr(nn, name)) and not name.endswith("Loss")
    }
    assert layers - containers - {name.split()[0] for name in LAYERS} == set()


def weights(device, size=4):
    return Tensor(np.linspace(0.5, 2, size), device=device, dtype="float32", requires_grad=False)


# loss, first and second operand; which operands get a gradient
LOSSES = {
    "BCELoss": (lambda device, **r: nn.BCELoss(**r), SHARES, SHARES[::-1]),
    "BCELoss weighted": (
        lambda device, **r: nn.BCELoss(weights(device), **r), SHARES, SHARES[::-1]
    ),
    "BCEWithLogitsLoss": (lambda device, **r: nn.BCEWithLogitsLoss(**r), MATRIX, SHARES),
    "BCEWithLogitsLoss weighted": (
        lambda device, **r: nn.BCEWithLogitsLoss(
            weights(device), pos_weight=weights(device), **r
        ),
        MATRIX,
        SHARES,
    ),
    "CrossEntropyLoss": (lambda device, **r: nn.CrossEntropyLoss(**r), MATRIX, LABELS),
    "CrossEntropyLoss of floats": (
        lambda device, **r: nn.CrossEntropyLoss(**r), MATRIX, LABELS / 1.0
    ),
    "CrossEntropyLoss of shares": (
        lambda device, **r: nn.CrossEntropyLoss(weights(device), label_smoothing=0.1, **r),
        MATRIX,
        SHARES,
    ),
    "CrossEntropyLoss weighted": (
        lambda device, **r: nn.CrossEntropyLoss(weights(device), 3, label_smoothing=0.1, **r),
        MATRIX,
        LABELS,
    ),
    "CrossEntropyLoss of images": (
        lambda device, **r: nn.CrossEntropyLoss(weights(device), 3, label_smoothing=0.1, **r),
        IMAGES,
        np.arange(12).reshape(3, 2, 2) % 4,
    ),
    "CTCLoss": (
        lambda device, **r: lambda x, y: nn.CTCLoss(**r)(x, y, [4, 3], [2, 1]),
        np.log(np.random.RandomState(0).dirichlet(np.ones(3), (4, 2))),
        np.array([[1, 2], [2, 0]]),
    ),
    "KLDivLoss": (lambda device, **r: nn.KLDivLoss(**r), np.log(SHARES), SHARES[::-1]),
    "KLDivLoss of logarithms": (
        lambda device, **r: nn.KLDivLoss(log_target=True, **r), np.log(SHARES), MATRIX
    ),
    "L1Loss": (lambda device, **r: nn.L1Loss(**r), MATRIX, SHARES),
    "MSELoss": (lambda device, **r: nn.MSELoss(**r), MATRIX, SHARES),
    "NLLLoss": (lambda device, **r: nn.NLLLoss(**r), np.log(SHARES), LABELS),
    "NLLLoss weighted": (
        lambda device, **r: nn.NLLLoss(weights(device), 1, **r), np.log(SHARES), LABELS
    ),
    "HuberLoss": (lambda device, **r: nn.HuberLoss(delta=0.5, **r), MATRIX, SHARES),
    "SmoothL1Loss": (lambda device, **r: nn.SmoothL1Loss(beta=0.5, **r), MATRIX, SHARES),
    "SoftmaxLoss": (lambda device, **r: nn.SoftmaxLoss(), MATRIX, LABELS),
    "SoftmaxLoss of floats": (lambda device, **r: nn.SoftmaxLoss(), MATRIX, LABELS / 1.0),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction, mode, check_both, explained_nones):
    make, first, second = LOSSES[name]
    has_classes = second is LABELS or second.ndim != first.ndim or second.dtype == "float64"

    def run(device):
        x = Tensor(first, device=device)
        y = Tensor(second, device=device)
        loss = make(device, reduction=reduction)(x, y)
        (loss * loss).sum().backward()
        return [loss, x.grad, *([] if has_classes else [y.grad])]

    check_both(run, 1e-5)


def test_no_loss_is_left_out():
    losses = {name for name in nn.__all__ if name.endswith("Loss")}
    assert losses == {name.split()[0] for name in LOSSES}


REFUSED = {
    "labels beyond the classes": lambda of: nn.CrossEntropyLoss()(of(MATRIX), of(LABELS + 1)),
    "labels with a fraction": lambda of: nn.SoftmaxLoss()(of(MATRIX), of(LABELS + 0.5)),
    "rows beyond the table": lambda of: nn.functional.embedding(of(LABELS), of(MATRIX[:3])),
    "shares above 1": lambda of: nn.BCELoss()(of(SHARES + 1), of(SHARES)),
    "a singular matrix": lambda of: ndl.linalg.inv(of(np.ones((2, 3, 3)))),
    "shapes": lambda of: of(MATRIX) @ of(MATRIX),
}


@pytest.mark.parametrize("mistake", REFUSED.values(), ids=REFUSED)
def test_errors_are_those_of_the_cpu(mistake):
    errors = []
    for device in ("cpu", "strict"):
        with pytest.raises((TypeError, ValueError)) as caught:
            mistake(lambda array, device=device: Tensor(array, device=device))
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


# --- initialisers

INIT = {
    "arange": lambda device: ndl.init.arange(3, device=device),
    "constant": lambda device: ndl.init.constant(2, 3, c=0.5, device=device),
    "eye": lambda device: ndl.init.eye(2, 3, device=device),
    "full": lambda device: ndl.init.full((2, 3), 0.5, device=device),
    "full_like": lambda device: ndl.init.full_like(Tensor(MATRIX, device=device), 2),
    "kaiming_normal": lambda device: ndl.init.kaiming_normal(3, 4, device=device),
    "kaiming_uniform": lambda device: ndl.init.kaiming_uniform(3, 4, device=device),
    "linspace": lambda device: ndl.init.linspace(0, 1, 5, device=device),
    "one_hot": lambda device: ndl.init.one_hot(4, Tensor(LABELS), device=device),
    "one_hot of floats": lambda device: ndl.init.one_hot(
        4, Tensor(LABELS / 1.0, device=device), device=device
    ),
    "ones": lambda device: ndl.init.ones(2, 3, device=device),
    "ones_like": lambda device: ndl.init.ones_like(Tensor(MATRIX, device=device)),
    "orthogonal": lambda device: ndl.init.orthogonal(3, 4, device=device),
    "rand_like": lambda device: ndl.init.rand_like(Tensor(MATRIX, device=device)),
    "randn_like": lambda device: ndl.init.randn_like(Tensor(MATRIX, device=device)),
    "rand": lambda device: ndl.init.rand(2, 3, low=-1, device=device),
    "rand of a generator": lambda device: ndl.init.rand(
        2, 3, device=device, generator=ndl.Generator(0)
    ),
    "randb": lambda device: ndl.init.randb(2, 3, device=device),
    "randn": lambda device: ndl.init.randn(2, 3, std=2.0, device=device),
    "randn without axes": lambda device: ndl.init.randn(device=device),
    "as_tensor": lambda device: ndl.as_tensor(MATRIX, device=device),
    "empty": lambda device: ndl.empty(2, 3, device=device),
    "empty_like": lambda device: ndl.empty_like(Tensor(MATRIX, device=device)),
    "randint": lambda device: ndl.randint(10, (2, 3), device=device),
    "randperm": lambda device: ndl.randperm(5, device=device),
    "tensor": lambda device: ndl.tensor([1.0, 2.0], device=device),
    "trunc_normal": lambda device: ndl.init.trunc_normal(20, 3, a=-1, b=0.5, device=device),
    "xavier_normal": lambda device: ndl.init.xavier_normal(3, 4, device=device),
    "xavier_uniform": lambda device: ndl.init.xavier_uniform(3, 4, device=device),
    "zeros": lambda device: ndl.init.zeros(2, 3, device=device),
    "zeros_like": lambda device: ndl.init.zeros_like(Tensor(MATRIX, device=device)),
}


@pytest.mark.parametrize("name", INIT)
def test_initialisers(name, check_both):
    check_both(lambda device: [INIT[name](device)])


def test_no_initialiser_is_left_out():
    assert {*ndl.init.__all__} - {name.split()[0] for name in INIT} == {
        "calculate_gain",
        "from_numpy",
    }


@pytest.mark.parametrize(
    "name", [name for name in nn.init.__all__ if name.endswith("_") and name != "reset_"]
)
def test_initialisers_in_place(name, check_both, strict_array):
    def run(device):
        x = Tensor(MATRIX, device=device)
        array = x.realize_cached_data()
        getattr(nn.init, name)(x, *([0.5] if name == "constant_" else []))
        assert x.realize_cached_data() is array
        return [x]

    check_both(run)
