"""Padding, interpolation, shuffling, fold and unfold against PyTorch's; bad input."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F

torch = pytest.importorskip("torch")

INTERPOLATIONS = [
    ((2, 2, 5), {"size": 8, "mode": "nearest"}),
    ((2, 2, 4), {"scale_factor": 2}),
    ((2, 2, 5), {"scale_factor": 1.7, "mode": "nearest-exact"}),
    ((2, 2, 5), {"size": 8, "mode": "linear"}),
    ((2, 2, 5), {"size": 3, "mode": "linear", "align_corners": True}),
    ((2, 2, 5), {"size": 1, "mode": "linear", "align_corners": True}),
    ((2, 2, 4, 5), {"scale_factor": (2, 3)}),
    ((2, 2, 4, 5), {"size": (3, 7), "mode": "nearest"}),
    ((2, 2, 4, 5), {"scale_factor": (1.5, 0.7), "mode": "bilinear"}),
    (
        (2, 2, 4, 5),
        {"scale_factor": 1.3, "mode": "bilinear", "recompute_scale_factor": True},
    ),
    ((2, 2, 4, 5), {"size": (7, 3), "mode": "bilinear", "align_corners": True}),
    ((2, 2, 6, 7), {"size": (3, 4), "mode": "bilinear", "antialias": True}),
    (
        (2, 2, 6, 7),
        {"size": (3, 9), "mode": "bilinear", "antialias": True, "align_corners": True},
    ),
    ((2, 2, 4, 5), {"size": (7, 3), "mode": "bicubic"}),
    ((2, 2, 4, 5), {"scale_factor": 2.5, "mode": "bicubic", "align_corners": True}),
    ((2, 2, 9, 7), {"size": (3, 4), "mode": "bicubic", "antialias": True}),
    (
        (2, 2, 9, 7),
        {"size": (4, 2), "mode": "bicubic", "antialias": True, "align_corners": True},
    ),
    ((2, 2, 4, 5), {"size": (7, 3), "mode": "area"}),
    ((1, 2, 3, 4, 2), {"size": (4, 3, 5), "mode": "trilinear"}),
    ((1, 2, 3, 4, 2), {"scale_factor": 2}),
]


@pytest.mark.parametrize(("shape", "options"), INTERPOLATIONS)
def test_interpolation_is_torchs_to_second_order(shape, options, same_twice):
    same_twice(
        lambda x: F.interpolate(x, **options),
        lambda x: torch.nn.functional.interpolate(x, **options),
        np.random.randn(*shape),
    )


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("shape", "options"), INTERPOLATIONS)
def test_interpolation_of_nan_and_infinity_is_torchs(shape, options, value):
    """Only the pixels that read such a pixel are affected, in the gradient as well."""
    x = np.random.randn(*shape)
    x[..., 1] = value
    check_special(
        x,
        lambda x: F.interpolate(x, **options),
        lambda x: torch.nn.functional.interpolate(x, **options),
    )


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_adaptive_means_of_nan_and_infinity_are_torchs(size, value):
    x = np.random.randn(2, 3, 4, 7)
    x[0, 1, 2, 3] = value
    check_special(
        x,
        lambda x: F.adaptive_avg_pool2d(x, size),
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, size),
    )


def check_special(x, ours, theirs):
    """Values, and the gradient for an adjoint with such a value, are PyTorch's."""
    mine, other = Tensor(x), torch.tensor(x, requires_grad=True)
    y, expected = ours(mine), theirs(other)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), 1e-7, 1e-7)
    g = np.random.randn(*y.shape)
    g[..., -1] = x[~np.isfinite(x)].flat[0]
    y.backward(Tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), 1e-7, 1e-7)


@pytest.mark.parametrize("length", range(1, 12))
def test_the_nearest_pixels_are_torchs(length):
    x = np.arange(length, dtype="float32")[None, None]
    for size in range(1, 40):
        for mode in ("nearest", "nearest-exact"):
            expected = torch.nn.functional.interpolate(torch.tensor(x), size, mode=mode)
            found = F.interpolate(Tensor(x), size, mode=mode)
            np.testing.assert_array_equal(found.numpy(), expected.numpy(), f"{mode} {size}")


PADDINGS = [
    ((2, 3), (1, 2), "constant"),
    ((2, 3, 4), (1, 2, 0, 3), "constant"),
    ((2, 3, 4), (-1, 2, 1, -2), "constant"),
    ((2, 3, 5), (2, 4), "reflect"),
    ((2, 3, 4, 5), (2, 1, 3, 0), "reflect"),
    ((2, 3, 4, 5), (2, 7, 3, 0), "replicate"),
    ((2, 3, 4, 5), (2, 5, 4, 1), "circular"),
    ((1, 2, 3, 4, 5), (1, 2, 2, 1, 0, 2), "reflect"),
]


@pytest.mark.parametrize(("shape", "widths", "mode"), PADDINGS)
def test_padding_is_torchs_to_second_order(shape, widths, mode, same_twice):
    same_twice(
        lambda x: F.pad(x, widths, mode),
        lambda x: torch.nn.functional.pad(x, widths, mode),
        np.random.randn(*shape),
    )


def test_padding_with_a_value():
    x = ndl.init.ones(2, 3)
    np.testing.assert_array_equal(F.pad(x, (1, 0), value=7.0).numpy()[:, 0], [7, 7])
    assert F.pad(Tensor([1, 2]), (1, 1)).dtype == np.int64


FUNCTIONS = [
    ("pixel_shuffle", (2, 8, 2, 3), (2,)),
    ("pixel_shuffle", (9, 2, 3), (3,)),
    ("pixel_unshuffle", (2, 2, 4, 6), (2,)),
    ("channel_shuffle", (2, 6, 2, 3), (3,)),
    ("unfold", (2, 3, 5, 6), (2,)),
    ("unfold", (3, 5, 6), ((3, 2), 2, 1, (1, 2))),
    ("fold", (2, 12, 20), ((5, 6), 2)),
    ("fold", (8, 12), ((4, 5), 2, 1, 0, 1)),
    ("fold", (2, 12, 6), ((4, 5), (2, 3), (2, 1), (0, 1), (1, 2))),
]


@pytest.mark.parametrize(("name", "shape", "args"), FUNCTIONS)
def test_function_is_torchs_to_second_order(name, shape, args, same_twice):
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    same_twice(lambda x: ours(x, *args), lambda x: theirs(x, *args), np.random.randn(*shape))


LAYERS = [
    ("Upsample", (None, 2), (1, 2, 3, 4)),
    ("Upsample", (7, None, "linear", True), (2, 3, 4)),
    ("UpsamplingNearest2d", (None, 2), (1, 2, 3, 4)),
    ("UpsamplingBilinear2d", ((5, 7),), (1, 2, 3, 4)),
    ("PixelShuffle", (2,), (2, 8, 2, 3)),
    ("PixelUnshuffle", (2,), (2, 8, 2, 4)),
    ("ChannelShuffle", (2,), (2, 4, 3, 3)),
    ("Unfold", (2, 1, 1, 2), (2, 3, 4, 4)),
    ("Fold", ((4, 5), 2), (2, 12, 12)),
    *[
        (f"{kind}Pad{n}d", args, (2, 3, *range(4, 4 + n)))
        for n in (1, 2, 3)
        for kind, args in (
            ("Zero", (1,)), ("Constant", ((2, 1) * n, 3.5)), ("Reflection", ((1, 2) * n,)),
            ("Replication", (2,)), ("Circular", ((1, 0) * n,)),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "shape"), LAYERS)
def test_layer_is_torchs(name, args, shape, same_module):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    same_module(ours, theirs, np.random.randn(*shape).astype("float32"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.pad(x, (1,)), r"pad: expected a pair .*got \(1,\) for 4 axes"),
        (lambda x: F.pad(x, (1,) * 10), "for 4 axes"),
        (lambda x: F.pad(x, (8, 0), "reflect"), r"axis 3 of length 8 cannot be padded by \(8, 0\)"),
        (lambda x: F.pad(x, (0, 9), "circular"), "axis 3 of length 8 cannot be padded"),
        (lambda x: F.pad(x, (-5, -4)), "axis 3 of length 8 is padded by -5, -4"),
        (lambda x: F.pad(x, (1, 1), "mirror"), "mode is one of constant, reflect"),
        (lambda x: F.pad(x, (1, 1), "reflect", 2.0), "a value is for the mode constant"),
        (lambda x: nn.ZeroPad2d((1, 2, 3)), r"ZeroPad2d: padding: expected a number or 4 of them"),
        (lambda x: nn.ZeroPad1d(1)(x), r"ZeroPad1d expected \(N, C, L\)"),
        (lambda x: F.interpolate(x), "either size or scale_factor"),
        (lambda x: F.interpolate(x, 4, 2.0), "either size or scale_factor"),
        (lambda x: F.interpolate(x, 4, mode="linear"), "mode for 2 spatial axes is nearest"),
        (lambda x: F.interpolate(x, 4, align_corners=True), "align_corners is for linear"),
        (lambda x: F.interpolate(x, 4, antialias=True), "antialias is for bilinear"),
        (lambda x: F.interpolate(x, scale_factor=0.1), r"from lengths \(8, 8\) to \(0, 0\)"),
        (lambda x: F.interpolate(x, scale_factor=-1), "a positive number or 2 of them"),
        (lambda x: F.interpolate(x[0, 0], 4), r"1 to 3 spatial axes, got \(8, 8\)"),
        (lambda x: F.pixel_shuffle(x, 2), "C divisible by 4"),
        (lambda x: F.pixel_unshuffle(x, 3), "H and W divisible by 3"),
        (lambda x: F.channel_shuffle(x, 2), "C divisible by 2"),
        (lambda x: F.unfold(x, 9), r"unfold: a kernel of \(9, 9\) does not fit"),
        (lambda x: F.fold(x[0], (8, 8), 2), r"fold expected \(N, C·4, 49\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(ndl.init.ones(2, 3, 8, 8))


def test_the_nearest_pixels_of_infinities():
    x = Tensor([[[1.0, np.inf, 2.0]]])
    for size in (4, 6):
        expected = torch.nn.functional.interpolate(torch.tensor(x.numpy()), size)
        np.testing.assert_array_equal(F.interpolate(x, size).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("shape", "widths", "mode"),
    [
        ((2, 3), (2, -1), "reflect"),
        ((2, 5, 4), (-1, 2, 3, -2), "reflect"),
        ((2, 2), (-2, 2), "replicate"),
        ((2, 4), (-1, 2), "circular"),
        ((0, 2, 5), (0, 3), "reflect"),
    ],
)
def test_padding_one_end_and_shortening_the_other(shape, widths, mode) -> None:
    x = np.random.RandomState(0).randn(*shape)
    expected = torch.nn.functional.pad(torch.tensor(x), widths, mode).numpy()
    np.testing.assert_array_equal(F.pad(Tensor(x), widths, mode).numpy(), expected)


@pytest.mark.parametrize(("widths", "mode"), [((-3, 1), "constant"), ((2, -1), "circular")])
def test_more_is_taken_away_than_there_is(widths, mode) -> None:
    with pytest.raises(ValueError, match="pad: axis 0 of length 2"):
        F.pad(ndl.ones(2), widths, mode)
