"""Pooling layers and functions against PyTorch's, to the second order; bad input."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F

# name, shape, arguments
FUNCTIONS = [
    ("max_pool1d", (2, 3, 9), {"kernel_size": 3}),
    ("max_pool1d", (2, 3, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("max_pool2d", (2, 3, 6, 7), {"kernel_size": 2}),
    ("max_pool2d", (2, 2, 7, 8), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    ("max_pool2d", (2, 7, 8), {"kernel_size": 3, "dilation": (2, 1), "stride": 1, "padding": 1}),
    ("max_pool2d", (2, 2, 5, 5), {"kernel_size": 2, "ceil_mode": True}),
    ("max_pool3d", (1, 2, 4, 5, 4), {"kernel_size": 2, "stride": (2, 1, 2)}),
    ("avg_pool1d", (2, 3, 9), {"kernel_size": 2, "ceil_mode": True}),
    ("avg_pool2d", (2, 3, 6, 7), {"kernel_size": 2}),
    ("avg_pool2d", (2, 2, 7, 8), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    (
        "avg_pool2d",
        (2, 2, 7, 8),
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    ),
    ("avg_pool2d", (2, 7, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("avg_pool2d", (2, 2, 4, 4), {"kernel_size": 2, "divisor_override": 3}),
    ("avg_pool3d", (1, 2, 4, 5, 4), {"kernel_size": 2, "padding": 1}),
    ("adaptive_avg_pool1d", (2, 3, 7), {"output_size": 3}),
    ("adaptive_avg_pool2d", (2, 3, 6, 7), {"output_size": (None, 3)}),
    ("adaptive_avg_pool2d", (3, 6, 8), {"output_size": (3, 2)}),
    ("adaptive_avg_pool2d", (2, 3, 6, 8), {"output_size": 1}),
    ("adaptive_avg_pool3d", (1, 2, 3, 4, 5), {"output_size": 2}),
    ("adaptive_max_pool1d", (2, 3, 7), {"output_size": 3}),
    ("adaptive_max_pool2d", (2, 3, 6, 7), {"output_size": (4, 3)}),
    ("adaptive_max_pool2d", (2, 3, 6, 8), {"output_size": (3, 2)}),
    ("adaptive_max_pool3d", (1, 2, 3, 4, 5), {"output_size": 2}),
]
POSITIVE = [
    ("lp_pool1d", (2, 3, 8), {"norm_type": 2, "kernel_size": 3, "stride": 2}),
    ("lp_pool2d", (2, 3, 6, 7), {"norm_type": 3, "kernel_size": 2, "ceil_mode": True}),
    ("lp_pool3d", (1, 2, 4, 4, 4), {"norm_type": 1.5, "kernel_size": 2}),
]


@pytest.mark.parametrize(("name", "shape", "options"), FUNCTIONS + POSITIVE)
def test_function_is_torchs_to_second_order(name, shape, options, same_twice):
    torch = pytest.importorskip("torch")
    x = np.random.randn(*shape)
    if name.startswith("lp"):
        x = abs(x) + 0.1
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    same_twice(lambda x: ours(x, **options), lambda x: theirs(x, **options), x)


WITH_INDICES = [(*row,) for row in FUNCTIONS if "max" in row[0]]


@pytest.mark.parametrize(("name", "shape", "options"), WITH_INDICES)
def test_indices_are_torchs(name, shape, options):
    torch = pytest.importorskip("torch")
    x = np.random.randint(0, 4, size=shape).astype("float32")  # with ties
    theirs = getattr(torch.nn.functional, name)
    expected = theirs(torch.tensor(x), **options, return_indices=True)
    found = getattr(F, name)(Tensor(x), **options, return_indices=True)
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.numpy(), other.numpy())
    assert found[1].dtype == np.int64


@pytest.mark.parametrize("name", ["max_pool2d", "adaptive_max_pool2d"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_first_of_equal_elements_gets_the_gradient(name, size, same_as_torch):
    torch = pytest.importorskip("torch")
    x = np.random.randint(0, 2, size=(2, 2, 6, 4)).astype("float64")
    same_as_torch(
        lambda x: getattr(F, name)(x, size),
        lambda x: getattr(torch.nn.functional, name)(x, size),
        x,
    )


def test_infinite_adjoints_reach_one_element():
    x = Tensor([[[1.0, 2.0, 3.0, 0.0]]])
    F.max_pool1d(x, 2).backward(Tensor([[[np.inf, 1.0]]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[[0, np.inf, 1, 0]]])


def test_nan_and_infinity():
    x = Tensor([[[1.0, np.nan, -np.inf, -np.inf]]])
    y, indices = F.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), [[[np.nan, -np.inf]]])
    np.testing.assert_array_equal(indices.numpy(), [[[1, 2]]])


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("length", [4, 5])
def test_unpooling_is_torchs(n, length, same_as_torch):
    torch = pytest.importorskip("torch")
    x = np.random.randn(2, 2, *[length] * n)
    functional = torch.nn.functional

    def unpooled(pool, unpool, **options):
        def function(x):
            y, indices = pool(x, 2, return_indices=True)
            return unpool(y, indices, 2, **options)

        return function

    options = {"output_size": (5,) * n} if length == 5 else {}
    pairs = [(getattr(m, f"max_pool{n}d"), getattr(m, f"max_unpool{n}d")) for m in (F, functional)]
    same_as_torch(*[unpooled(*pair, **options) for pair in pairs], x)


LAYERS = [
    ("MaxPool1d", (3, 2, 1, 1, False, True), (2, 3, 8)),
    ("MaxPool2d", (2,), (2, 3, 6, 8)),
    ("MaxPool3d", (2, 1), (1, 2, 3, 4, 3)),
    ("AvgPool1d", (3, 2, 1, True, False), (2, 3, 8)),
    ("AvgPool2d", ((2, 3), None, 1, False, True, 5), (2, 3, 6, 8)),
    ("AvgPool3d", (2,), (1, 2, 4, 4, 3)),
    ("LPPool1d", (2, 3), (2, 3, 8)),
    ("LPPool2d", (2, 3, 2, True), (2, 3, 6, 8)),
    ("LPPool3d", (2, 2), (1, 2, 4, 4, 3)),
    ("AdaptiveAvgPool1d", (3,), (2, 3, 8)),
    ("AdaptiveAvgPool2d", ((2, None),), (2, 3, 6, 8)),
    ("AdaptiveAvgPool3d", (1,), (1, 2, 4, 4, 3)),
    ("AdaptiveMaxPool1d", (3,), (2, 3, 8)),
    ("AdaptiveMaxPool2d", ((2, None),), (2, 3, 6, 8)),
    ("AdaptiveMaxPool3d", (1,), (1, 2, 4, 4, 3)),
]


@pytest.mark.parametrize(("name", "args", "shape"), LAYERS)
def test_layer_is_torchs(name, args, shape, same_module):
    torch = pytest.importorskip("torch")
    x = (abs(np.random.randn(*shape)) + 0.1).astype("float32")
    same_module(getattr(nn, name)(*args), getattr(torch.nn, name)(*args), x)


def test_layers_with_indices():
    x = ndl.init.rand(2, 3, 8, 8)
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    y, indices = pool(x)
    image = unpool(y, indices)
    np.testing.assert_array_equal(F.max_pool2d(image, 2).numpy(), y.numpy())
    assert unpool(y, indices, output_size=(9, 9)).shape == (2, 3, 9, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x, 9), r"max_pool2d of \(2, 3, 8, 8\): a kernel of \(9, 9\)"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "padding must be at most half of the kernel"),
        (lambda x: F.max_pool2d(x, 0), "kernel_size: expected numbers of at least 1"),
        (lambda x: F.max_pool1d(x, 2), r"\(N, C, L\), or one image without N, got \(2, 3, 8, 8\)"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor_override must not be 0"),
        (lambda x: F.avg_pool2d(x, (2, 9)), r"a kernel of \(2, 9\) does not fit"),
        (lambda x: F.lp_pool2d(x, 0, 2), "norm_type must not be 0"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), "output_size: expected numbers of at least 1"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), "output_size is a number or 2 of them"),
        (lambda x: F.adaptive_max_pool2d(x[:, :, :0], 1), "expected images with pixels"),
        (lambda x: F.max_unpool2d(x, x[:1], 2), r"indices of shape \(2, 3, 8, 8\), got"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(ndl.init.ones(2, 3, 8, 8))


def test_unpooling_to_an_image_that_is_too_small() -> None:
    pooled, indices = F.max_pool2d(ndl.randn(1, 1, 5, 5), 2, return_indices=True)
    with pytest.raises(ValueError, match="output_size"):
        F.max_unpool2d(pooled, indices + 8, 2)
    assert F.max_unpool2d(pooled, indices, 2, output_size=(5, 5)).shape == (1, 1, 5, 5)
