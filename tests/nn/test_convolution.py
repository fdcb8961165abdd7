"""Convolution layers and functions against PyTorch's; the course's layer; bad input."""

import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F
from needle.ops import lowering, threads

# spatial axes, channels in and out, lengths, kernel, settings
CONVOLUTIONS = [
    (1, 2, 4, 7, 3, {}),
    (1, 4, 4, 9, 3, {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
    (1, 3, 3, 8, 3, {"padding": "same", "groups": 3}),
    (2, 3, 4, (5, 6), 3, {"padding": 1}),
    (2, 3, 4, (6, 5), 1, {}),
    (2, 3, 4, (6, 5), 1, {"stride": 2}),
    (2, 3, 4, (6, 5), 1, {"padding": 1}),
    (2, 4, 6, (7, 6), (3, 2), {"stride": (2, 3), "padding": (2, 0), "groups": 2}),
    (2, 2, 3, (8, 9), (2, 3), {"dilation": (3, 2), "stride": (2, 1), "padding": (1, 2)}),
    (2, 3, 3, (6, 7), 3, {"groups": 3, "padding": 1}),
    (2, 2, 4, (7, 5), 3, {"groups": 2, "stride": 2, "dilation": (1, 2), "padding": (0, 1)}),
    (2, 2, 3, (5, 5), (5, 3), {"padding": "same", "dilation": (1, 2)}),
    (2, 2, 3, (5, 5), 5, {"padding": "valid"}),
    (3, 2, 2, (4, 3, 5), (2, 1, 3), {"stride": (1, 2, 2), "padding": (0, 1, 1)}),
    (3, 2, 4, (4, 3, 5), 2, {"dilation": (1, 2, 3), "groups": 2}),
]
TRANSPOSED = [
    (1, 2, 4, 5, 3, {}),
    (1, 4, 2, 5, 3, {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    (2, 3, 2, (3, 4), 2, {"stride": 2}),
    (2, 3, 2, (3, 4), 3, {"stride": 2, "padding": 1, "output_padding": 1}),
    (2, 3, 2, (4, 4), (2, 3), {"stride": (3, 1), "padding": (0, 2), "dilation": (2, 1)}),
    (2, 4, 4, (3, 4), 3, {"groups": 4, "stride": 2}),
    (2, 2, 2, (3, 3), 2, {"stride": 3}),  # pixels that no tap reads
    (3, 2, 2, (2, 3, 2), 2, {"stride": (1, 2, 3), "padding": (1, 0, 0)}),
]


def lengths_of(n, setting):
    return setting if isinstance(setting, tuple) else (setting,) * n


def identity(case):
    n, *_, options = case
    return f"{n}d {options}"


@pytest.fixture(params=["whole images", "rows in blocks"])
def lowered(request, monkeypatch):
    """How images are lowered: small ones as a whole, others by rows in blocks of images."""
    if request.param == "rows in blocks":
        monkeypatch.setattr(lowering, "_COLUMNS", 1)
        monkeypatch.setattr(lowering, "_BUFFER", 30)
        monkeypatch.setattr(lowering, "_LEAST_SHARED", 0)
        monkeypatch.setattr(threads, "_count", lambda: 2)


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=identity)
def test_convolution_is_torchs_to_second_order(case, lowered, same_twice):
    torch = pytest.importorskip("torch")
    n, inputs, outputs, lengths, kernel, options = case
    groups = options.get("groups", 1)
    x = np.random.randn(2, inputs, *lengths_of(n, lengths))
    weight = np.random.randn(outputs, inputs // groups, *lengths_of(n, kernel))
    ours, theirs = getattr(F, f"conv{n}d"), getattr(torch.nn.functional, f"conv{n}d")
    same_twice(
        lambda *operands: ours(*operands, **options),
        lambda *operands: theirs(*operands, **options),
        x, weight, np.random.randn(outputs),
    )  # fmt: skip


@pytest.mark.parametrize("case", TRANSPOSED, ids=identity)
def test_transposed_convolution_is_torchs_to_second_order(case, lowered, same_twice):
    torch = pytest.importorskip("torch")
    n, inputs, outputs, lengths, kernel, options = case
    groups = options.get("groups", 1)
    x = np.random.randn(2, inputs, *lengths_of(n, lengths))
    weight = np.random.randn(inputs, outputs // groups, *lengths_of(n, kernel))
    name = f"conv_transpose{n}d"
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    same_twice(
        lambda *operands: ours(*operands, **options),
        lambda *operands: theirs(*operands, **options),
        x, weight, np.random.randn(outputs),
    )  # fmt: skip


LAYERS = [
    ("Conv1d", (4, 6, 3), {"padding": 1, "stride": 2, "groups": 2}, (2, 4, 9)),
    ("Conv1d", (2, 3, 3), {"padding": "same", "padding_mode": "circular"}, (2, 2, 9)),
    ("Conv2d", (3, 4, 3), {"padding": 1, "bias": False}, (2, 3, 5, 6)),
    ("Conv2d", (3, 4, (3, 5)), {"padding": (1, 2), "padding_mode": "reflect"}, (2, 3, 5, 6)),
    ("Conv2d", (3, 4, 3), {"padding": 2, "padding_mode": "replicate", "dilation": 2}, (3, 5, 6)),
    ("Conv3d", (2, 4, 2), {"stride": 2}, (2, 2, 4, 4, 4)),
    ("ConvTranspose1d", (4, 2, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "stride": 2, "padding": 1}, (2, 4, 3, 4)),
    ("ConvTranspose3d", (2, 3, 2), {"dilation": 2, "bias": False}, (2, 2, 3, 3, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_layer_is_torchs(name, args, options, shape, same_module):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: tuple(value.shape) for key, value in theirs.state_dict().items()
    }
    assert ours.extra_repr() == theirs.extra_repr()
    same_module(ours, theirs, np.random.randn(*shape).astype("float32"))


def test_weights_are_drawn_as_in_pytorch():
    layer = nn.Conv2d(8, 64, 3, groups=2)
    bound = 1 / np.sqrt(4 * 9)
    for parameter in (layer.weight, layer.bias):
        largest = abs(parameter.numpy()).max()
        assert 0.9 * bound < largest <= bound


def test_output_size_of_a_transposed_convolution():
    torch = pytest.importorskip("torch")
    ours = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    theirs = torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    ndl.interop.load_torch_state_dict(ours, theirs.state_dict())
    x = np.random.randn(1, 2, 4, 5).astype("float32")
    expected = theirs(torch.tensor(x), output_size=(8, 9)).detach().numpy()
    found = ours(Tensor(x), output_size=(8, 9)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"from \(7, 9\) to \(8, 10\), got \(9, 9\)"):
        ours(Tensor(x), output_size=(9, 9))


# --- the course's layer


def test_layer_of_the_course():
    torch = pytest.importorskip("torch")
    ndl.manual_seed(0)
    layer = nn.Conv(3, 5, 3, stride=2)
    ndl.manual_seed(0)
    weight = ndl.init.kaiming_uniform(27, 45, (3, 3, 3, 5))
    bias = ndl.init.rand(5, low=-1 / np.sqrt(27), high=1 / np.sqrt(27))
    np.testing.assert_array_equal(layer.weight.numpy(), weight.numpy())
    np.testing.assert_array_equal(layer.bias.numpy(), bias.numpy())
    x = np.random.randn(2, 3, 7, 8).astype("float32")
    expected = torch.nn.functional.conv2d(
        torch.tensor(x), torch.tensor(weight.numpy().transpose(3, 2, 0, 1)),
        torch.tensor(bias.numpy()), 2, 1,
    )  # fmt: skip
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected.numpy(), atol=1e-5)
    assert nn.Conv(3, 5, 3, bias=False).bias is None


# --- memory


@pytest.mark.parametrize("shape", [(32, 16, 32, 32), (8, 256, 4, 4), (1, 4, 400_000)])
def test_memory_stays_within_three_times_the_operands(shape):
    x = ndl.init.rand(*shape)
    weight = ndl.init.rand(*[shape[1]] * 2, *[3] * len(shape[2:]))
    tracemalloc.start()
    try:
        y = ndl.convolution(x, weight, padding=1)
        forward = tracemalloc.get_traced_memory()[1] - y.size * 4
        g = ndl.init.ones(*y.shape)
        for operand in (x, weight):
            operand.requires_grad = True
            y = ndl.convolution(x, weight, padding=1)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            y.backward(g, create_graph=False)
            backward = tracemalloc.get_traced_memory()[1] - before - operand.size * 4
            assert backward <= 3 * (x.size + weight.size) * 4
            operand.requires_grad = False
    finally:
        tracemalloc.stop()
    assert forward <= 3 * (x.size + weight.size) * 4


@pytest.mark.parametrize("channels", [3, 32])  # lowered whole, and by rows
def test_any_number_of_threads_gives_the_same_bits(channels, monkeypatch):
    monkeypatch.setattr(lowering, "_BUFFER", 2**14)
    monkeypatch.setattr(lowering, "_LEAST_SHARED", 0)
    x = ndl.init.rand(17, channels, 12, 11, requires_grad=True)
    weight = ndl.init.rand(32, channels, 3, 3, requires_grad=True)
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "_count", lambda count=count: count)
        threads._pool.cache_clear()
        y = ndl.convolution(x, weight, padding=1)
        (y * y).sum().backward()
        found.append([each.numpy() for each in (y, x.grad, weight.grad)])
    threads._pool.cache_clear()
    for ours in found[1:]:
        for a, b in zip(found[0], ours, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_padding_of_even_kernels():
    torch = pytest.importorskip("torch")
    x, weight = np.random.randn(2, 3, 7), np.random.randn(4, 3, 4)
    expected = torch.nn.functional.conv1d(torch.tensor(x), torch.tensor(weight), padding="same")
    found = F.conv1d(Tensor(x), Tensor(weight), padding="same")
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10)


@pytest.mark.parametrize("batch", [4, 64])  # lowered as a whole, and row by row
def test_images_stay_in_the_order_of_memory_of_a_convolution(batch):
    x = ndl.init.rand(batch, 3, 8, 8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    strides = {layer(x).realize_cached_data().strides[1] for layer in (model, model[0])}
    y = model(x)
    pooled = [F.max_pool2d(y, 2), F.avg_pool2d(y, 2), y + y, y * 2]
    strides |= {each.realize_cached_data().strides[1] for each in pooled}
    assert strides == {4}  # channels last
    np.testing.assert_array_equal(y.reshape(-1).numpy(), y.numpy().reshape(-1))


def test_float16_is_added_up_in_float32():
    x, weight = ndl.init.constant(1, 4096, 1, 1, c=16.0), ndl.init.constant(1, 4096, 1, 1, c=0.25)
    y = F.conv2d(x.astype("float16"), weight.astype("float16"))
    assert y.dtype == "float16"
    assert y.item() == 16384


# --- bad input


@pytest.mark.parametrize(
    (
        "call",
        "message",
    ),
    [
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 5, 3, 3)),
            r"5 channels, the input has 3 along axis 1",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 8, 3, 3)),
            r"x.permute\(\(0, 3, 1, 2\)\)",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 9, 3)),
            r"a kernel of \(9, 3\) does not fit into an image of \(8, 8\)",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 5, 3), padding=1, dilation=4),
            r"reaches over \(17, 9\).*\(10, 10\), its padding included",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 1, 3, 3), groups=2),
            "3 channels along the input's axis 1 do not split into 2 groups",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 1, 3, 3), groups=3),
            "4 channels along the weight's axis 0 do not split into 3 groups",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3)),
            "a weight of 4 axes",
        ),
        (
            lambda x: F.conv1d(x, ndl.init.ones(4, 3, 3)),
            r"\(N, C, L\).*got \(2, 3, 8, 8\)",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3, 3), stride=0),
            "stride: expected numbers of at least 1",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3, 3), stride=(1, 2, 3)),
            "stride: expected a number or 2 of them",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3, 3), padding=-1),
            "padding: expected numbers of at least 0",
        ),
        (
            lambda x: F.conv2d(
                x,
                ndl.init.ones(4, 3, 3, 3),
                padding="full",
            ),
            "'same' or 'valid', got 'full'",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3, 3), padding="same", stride=2),
            "for stride 1",
        ),
        (
            lambda x: F.conv2d(x, ndl.init.ones(4, 3, 3, 3), groups=0),
            "groups: expected numbers of at least 1",
        ),
        (
            lambda x: F.conv_transpose2d(x, ndl.init.ones(4, 3, 3, 3)),
            "4 channels, the input has 3 along axis 1",
        ),
        (
            lambda x: F.conv_transpose2d(x, ndl.init.ones(3, 4, 1, 1), padding=4),
            "must be positive",
        ),
        (
            lambda x: F.conv_transpose2d(x[:, :, :0], ndl.init.ones(3, 4, 3, 3)),
            r"images with pixels, got \(2, 3, 0, 8\)",
        ),
        (
            lambda x: F.conv_transpose2d(x, ndl.init.ones(3, 4, 3, 3), output_padding=1),
            "less than the stride or the dilation",
        ),
        (
            lambda x: nn.Conv2d(3, 4, 3, groups=2),
            "groups=2 does not divide in_channels=3",
        ),
        (
            lambda x: nn.Conv2d(4, 3, 3, groups=2),
            "groups=2 does not divide out_channels=3",
        ),
        (
            lambda x: nn.Conv2d(
                3,
                4,
                3,
                padding_mode="mirror",
            ),
            "padding_mode is one of zeros, reflect",
        ),
        (
            lambda x: nn.ConvTranspose2d(
                3,
                4,
                3,
                padding_mode="reflect",
            ),
            "padding_mode is one of zeros",
        ),
        (
            lambda x: nn.Conv2d(0, 4, 3),
            "in_channels must be positive",
        ),
        (
            lambda x: nn.Conv(3, 4, (3, 5)),
            "use Conv2d",
        ),
        (
            lambda x: ndl.conv(x, ndl.init.ones(3, 3, 3, 4)),
            "the images have 8 along axis 3",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(ndl.init.ones(2, 3, 8, 8))


def test_bad_types():
    with pytest.raises(TypeError, match="floating-point"):
        F.conv2d(Tensor(np.ones((1, 1, 3, 3), int)), ndl.init.ones(1, 1, 2, 2))
    with pytest.raises(TypeError, match="stride: expected an integer"):
        F.conv2d(ndl.init.ones(1, 1, 3, 3), ndl.init.ones(1, 1, 2, 2), stride=1.5)


@pytest.mark.parametrize(
    ("name", "shape", "weight", "options"),
    [
        ("conv_transpose1d", (1, 1, 5), (1, 2, 1), {"dilation": 2, "output_padding": 1}),
        ("conv_transpose2d", (2, 2, 3, 3), (2, 1, 2, 2), {"dilation": (3, 2), "output_padding": 1}),
    ],
)
def test_output_padding_that_reaches_the_stride(name, shape, weight, options, same_twice) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    x, w = (np.random.RandomState(0).randn(*each) for each in (shape, weight))
    same_twice(lambda x, w: ours(x, w, **options), lambda x, w: theirs(x, w, **options), x, w)


@pytest.mark.parametrize(
    ("name", "shape", "weight", "options", "expected"),
    [
        ("conv2d", (0, 3, 5, 4), (3, 1, 2, 2), {"groups": 3}, (0, 3, 4, 3)),
        ("conv_transpose2d", (0, 3, 3, 4), (3, 1, 2, 2), {"groups": 3, "stride": 2}, (0, 3, 6, 8)),
        ("conv1d", (0, 2, 0), (3, 2, 1), {"padding": 1, "dilation": 2}, (0, 3, 2)),
    ],
)
def test_a_batch_of_no_images(name, shape, weight, options, expected) -> None:
    x, w = Tensor(np.zeros(shape)), Tensor(np.ones(weight))
    y = getattr(F, name)(x, w, **options)
    assert y.shape == expected
    (y * y).sum().backward()
    assert x.grad.shape == shape
    assert not w.grad.numpy().any()


@pytest.mark.parametrize("bias", [(), (1,), (3,), (4, 1)])
def test_a_bias_of_another_shape(bias) -> None:
    x, bias = ndl.randn(2, 3, 5, 5), ndl.randn(*bias) if bias else ndl.tensor(1.0)
    for function, weight in ((F.conv2d, (4, 3, 2, 2)), (F.conv_transpose2d, (3, 4, 2, 2))):
        with pytest.raises(ValueError, match=r"bias of shape \(4,\)"):
            function(x, ndl.randn(*weight), bias)
    with pytest.raises(ValueError, match="kernel of positive lengths"):
        F.conv1d(ndl.randn(1, 2, 3), ndl.randn(1, 2, 0))
