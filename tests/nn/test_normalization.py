"""Normalisation layers against PyTorch's, in both modes; running statistics; bad input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import needle as ndl
from needle import nn
from needle.ops import columns
from needle.testing import gradcheck

# name, arguments, shapes of inputs
LAYERS = [
    ("BatchNorm1d", (4,), [(6, 4), (2, 4), (5, 4, 3)]),
    ("BatchNorm2d", (3,), [(4, 3, 2, 5), (1, 3, 2, 2), (2, 3, 1, 1)]),
    ("BatchNorm3d", (3,), [(2, 3, 2, 1, 2)]),
    ("InstanceNorm1d", (3,), [(2, 3, 5), (3, 4)]),
    ("InstanceNorm2d", (3, 1e-4, 0.2, True), [(2, 3, 2, 5)]),
    ("InstanceNorm3d", (2, 1e-5, 0.1, True, True), [(2, 2, 2, 3, 2)]),
    ("LayerNorm", (5,), [(3, 5), (5,), (2, 3, 5), (0, 5)]),
    ("LayerNorm", ((2, 3),), [(4, 2, 3), (2, 3)]),
    ("GroupNorm", (2, 6), [(3, 6), (2, 6, 4), (2, 6, 2, 3), (0, 6), (0, 6, 2)]),
    ("GroupNorm", (1, 3), [(2, 3, 2)]),
    ("GroupNorm", (3, 3), [(2, 3, 4)]),
    ("RMSNorm", (5,), [(3, 5), (2, 3, 5)]),
    ("RMSNorm", ((2, 3),), [(4, 2, 3)]),
]
CASES = [(name, args, shape) for name, args, shapes in LAYERS for shape in shapes]


def perturb(layer: nn.Module) -> nn.Module:
    """Scales and shifts, and running statistics, that are not 1 and 0."""
    draw = np.random.RandomState(1)
    for tensor in layer.state_dict().values():
        array = tensor.realize_cached_data()
        array[...] = draw.uniform(0.5, 1.5, array.shape)
    return layer


def copied(ours: nn.Module, theirs: Any) -> Any:
    """PyTorch's layer with the buffers of ours."""
    for name, value in ours.named_buffers():
        buffer = getattr(theirs, name)
        buffer.copy_(buffer.new_tensor(value.numpy()))
    return theirs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("name", "args", "shape"), CASES)
def test_layer_is_torchs(same_module, name, args, shape, mode, dtype) -> None:
    torch = pytest.importorskip("torch")
    ours = perturb(getattr(nn, name)(*args, dtype=dtype))
    theirs = copied(ours, getattr(torch.nn, name)(*args, dtype=getattr(torch, dtype)))
    getattr(ours, mode)()
    getattr(theirs, mode)()
    x = np.random.RandomState(0).randn(*shape) * 2 + 1
    same_module(ours, theirs, x.astype(dtype))


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [case for case in CASES if np.prod(case[2]) <= 24 and 0 not in case[2]],
)
def test_second_derivative(name, args, shape, mode) -> None:
    layer = getattr(perturb(getattr(nn, name)(*args, dtype="float64")), mode)()
    parameters = layer.parameters()

    def function(x, *values):
        for parameter, value in zip(names, values, strict=True):
            vars(layer)[parameter] = value  # not a parameter, but an operand of the check
        return layer(x)

    names = [parameter for parameter, _ in layer.named_parameters()]
    x = ndl.Tensor(np.random.RandomState(2).randn(*shape))
    assert gradcheck(function, (x, *[ndl.Tensor(p) for p in parameters]), order=2, mode="random")


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3, affine=False), nn.LayerNorm(3, bias=False)])
def test_without_parameters(layer) -> None:
    x = ndl.init.randn(50, 3, mean=4, std=3)
    y = layer(x).numpy()
    axis = 0 if isinstance(layer, nn.BatchNorm1d) else 1
    np.testing.assert_allclose(y.mean(axis), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis), 1, atol=1e-3)
    assert layer.bias is None


def test_large_offsets_do_not_spoil_the_variance() -> None:
    x = np.random.RandomState(0).randn(256, 2).astype("float32") + 1000
    y = nn.BatchNorm1d(2)(ndl.Tensor(x)).numpy()
    np.testing.assert_allclose(y.var(0), 1, atol=1e-3)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_frozen_parameters_get_no_gradient_and_the_input_does(mode) -> None:
    layer = getattr(perturb(nn.BatchNorm1d(3, dtype="float64")), mode)()
    x = ndl.Tensor(np.random.randn(5, 3))
    g = ndl.Tensor(np.random.randn(5, 3))
    layer(x).backward(g)
    expected, of_bias = x.grad.numpy(), layer.bias.grad.numpy()
    layer.zero_grad()
    layer.weight.requires_grad = False
    layer(x).backward(g, create_graph=False)
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    np.testing.assert_array_equal(layer.bias.grad.numpy(), of_bias)
    assert layer.weight.grad is None
    x.requires_grad = layer.bias.requires_grad = False
    assert not layer(x).requires_grad


SECOND = [
    ("BatchNorm1d", (4,), (5, 4), {}),
    ("BatchNorm1d", (4,), (5, 4, 3), {"affine": False}),
    ("BatchNorm2d", (2,), (3, 2, 2, 2), {}),
    ("LayerNorm", (5,), (3, 5), {"bias": False}),
    ("GroupNorm", (2, 6), (3, 6, 2), {}),
    ("RMSNorm", (5,), (3, 5), {}),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("name", "args", "shape", "options"), SECOND)
def test_second_order_is_torchs(name, args, shape, options, lazy) -> None:
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*args, **options, dtype="float64")
    theirs = getattr(torch.nn, name)(*args, **options, dtype=torch.float64)
    x = np.asfortranarray(np.random.randn(*shape))  # not contiguous
    mine, other = ndl.Tensor.make_const(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with ndl.autograd.modes.override(ndl.autograd.modes.is_lazy, lazy):
        (ours(mine) ** 3).sum().backward()
        (mine.grad**2).sum().backward()
    (first,) = torch.autograd.grad((theirs(other) ** 3).sum(), other, create_graph=True)
    (first**2).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-9)


# --- properties


@given(
    rows=st.integers(2, 6),
    columns=st.integers(1, 6),
    offset=st.sampled_from([-100.0, 0.0, 100.0]),
    scale=st.sampled_from([0.1, 1.0, 50.0]),
)
@settings(max_examples=25, derandomize=True, deadline=None)
def test_moments_of_the_result(rows, columns, offset, scale) -> None:
    x = np.random.RandomState(rows * columns).randn(rows, columns) * scale + offset
    y = nn.BatchNorm1d(columns, eps=1e-12, dtype="float64")(ndl.Tensor(x)).numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-8)
    np.testing.assert_allclose(y.var(0), 1, atol=1e-6)
    if columns > 1:
        y = nn.LayerNorm1d(columns, eps=1e-12, dtype="float64")(ndl.Tensor(x)).numpy()
        np.testing.assert_allclose(y.mean(1), 0, atol=1e-8)
        np.testing.assert_allclose(y.var(1), 1, atol=1e-6)


@given(
    samples=st.integers(1, 3),
    groups=st.integers(1, 3),
    channels=st.integers(1, 3),
    rest=st.lists(st.integers(1, 3), max_size=2),
)
@settings(max_examples=25, derandomize=True, deadline=None)
def test_group_norm_by_formula(samples, groups, channels, rest) -> None:
    shape = (samples, groups * channels, *rest)
    x = np.random.RandomState(0).randn(*shape)
    grouped = x.reshape(samples, groups, -1)
    mean, var = grouped.mean(-1, keepdims=True), grouped.var(-1, keepdims=True)
    expected = ((grouped - mean) / np.sqrt(var + 1e-5)).reshape(shape)
    y = nn.GroupNorm(groups, groups * channels, dtype="float64")(ndl.Tensor(x))
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


@given(
    name=st.sampled_from(["BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "RMSNorm"]),
    sizes=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    groups=st.integers(1, 2),
    affine=st.booleans(),
    training=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_normalisation_is_torchs(
    same_module, name, sizes, groups, affine, training, dtype
) -> None:
    torch = pytest.importorskip("torch")
    rows, channels, height, width = sizes
    images = (rows + 1, channels * groups, height, width)
    # a large eps, for few values may be almost equal
    shape, args, options = {
        "BatchNorm1d": (images[:3], (images[1],), {"affine": affine}),
        "BatchNorm2d": (images, (images[1],), {"affine": affine, "bias": False}),
        "LayerNorm": (images, (images[groups:],), {"elementwise_affine": affine}),
        "GroupNorm": (images, (groups, images[1]), {"affine": affine, "bias": training}),
        "RMSNorm": (images, (images[groups:],), {"elementwise_affine": affine}),
    }[name]
    ours = getattr(nn, name)(*args, **options, eps=0.1, dtype=dtype)
    theirs = getattr(torch.nn, name)(*args, **options, eps=0.1, dtype=getattr(torch, dtype))
    x = np.random.RandomState(rows).randn(*shape).astype(dtype)
    same_module(perturb(ours).train(training), copied(ours, theirs).train(training), x)


# --- bad input

BAD_INPUT = {
    "features": (
        nn.BatchNorm1d(4),
        (3, 5),
        r"BatchNorm1d expected \(N, C\) or .* C = 4, got \(3, 5\)",
    ),
    "axes": (nn.BatchNorm1d(4), (4,), r"got \(4,\)"),
    "images": (nn.BatchNorm2d(4), (3, 4), r"BatchNorm2d expected \(N, C, H, W\) with C = 4"),
    "one row": (nn.BatchNorm1d(4), (1, 4), r"more than one value per channel, got shape \(1, 4\)"),
    "no rows": (nn.BatchNorm1d(4), (0, 4), "more than one value per channel"),
    "one pixel": (nn.BatchNorm2d(4), (1, 4, 1, 1), "more than one value per channel"),
    "last axis": (nn.LayerNorm(4), (4, 3), r"LayerNorm expected \(\.\.\., 4\), got \(4, 3\)"),
    "last axes": (nn.LayerNorm((2, 3)), (3, 2), r"expected \(\.\.\., 2, 3\), got \(3, 2\)"),
    "1d": (nn.LayerNorm1d(4), (4, 3), r"LayerNorm expected \(\.\.\., 4\), got \(4, 3\)"),
    "channels": (nn.GroupNorm(2, 4), (3, 6), r"GroupNorm expected \(N, C, \.\.\.\) with C = 4"),
    "rms": (nn.RMSNorm(4), (4, 3), r"RMSNorm expected \(\.\.\., 4\), got \(4, 3\)"),
}


@pytest.mark.parametrize(("layer", "shape", "text"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_input_of_a_wrong_shape(layer, shape, text) -> None:
    with pytest.raises(ValueError, match=text):
        layer(ndl.init.zeros(*shape))


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3)], ids=repr
)
def test_input_of_integers(layer) -> None:
    with pytest.raises(TypeError, match=r"expected floating-point numbers, got int64: .*float32"):
        layer(ndl.Tensor([[1, 2, 3], [4, 5, 6]]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.BatchNorm1d(3, momentum=1.5), "momentum must be from 0 to 1, got 1.5"),
        (lambda: nn.BatchNorm1d(3, momentum=None), r"got None: .* layer.momentum = 1 / n"),
        (lambda: nn.GroupNorm(2, 3), "3 channels do not split into 2 groups"),
        (lambda: nn.GroupNorm(0, 3), "do not split into 0 groups"),
        (lambda: nn.LayerNorm(()), "positive lengths"),
        (lambda: nn.LayerNorm((3, 0)), r"positive lengths, got \(3, 0\)"),
    ],
)
def test_impossible_settings(make, text) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_normalized_shape_may_be_numpys_integer() -> None:
    for layer in (nn.LayerNorm(np.int64(3)), nn.RMSNorm(np.int64(3))):
        assert layer.normalized_shape == layer.weight.shape == (3,)
    with pytest.raises(TypeError, match=r"an integer or several, got 3\.5"):
        nn.LayerNorm(3.5)


def test_settings_are_shown() -> None:
    assert repr(nn.BatchNorm1d(4)) == "BatchNorm1d(4, eps=1e-05, momentum=0.1)  # 8 parameters"
    assert "affine=False" in repr(nn.BatchNorm2d(4, affine=False))
    assert repr(nn.LayerNorm((2, 3))).startswith("LayerNorm(2, 3, eps=1e-05)")
    assert repr(nn.GroupNorm(2, 6)).startswith("GroupNorm(2, 6, eps=1e-05)")
    assert repr(nn.RMSNorm(3)).startswith("RMSNorm(3, eps=None)")


# --- layers for images


def test_running_statistics_of_instances_are_torchs():
    torch = pytest.importorskip("torch")
    ours = nn.InstanceNorm2d(3, track_running_stats=True)
    theirs = torch.nn.InstanceNorm2d(3, track_running_stats=True)
    for _ in range(3):
        x = np.random.randn(4, 3, 2, 5).astype("float32")
        ours(ndl.Tensor(x))
        theirs(torch.tensor(x))
    for name in ("running_mean", "running_var"):
        found, expected = getattr(ours, name).numpy(), getattr(theirs, name).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    x = np.random.randn(2, 3, 1, 1).astype("float32")
    found, expected = ours.eval()(ndl.Tensor(x)), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5)


def test_an_instance_of_one_element_has_no_variance():
    with pytest.raises(ValueError, match=r"more than one element per channel, got \(2, 3, 1\)"):
        nn.InstanceNorm1d(3)(ndl.init.ones(2, 3, 1))
    with pytest.raises(ValueError, match=r"InstanceNorm2d expected \(N, C, H, W\) with C = 3"):
        nn.InstanceNorm2d(3)(ndl.init.ones(2, 4, 5, 5))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 5, 3), 3),
        ((2, 7, 2, 3), 4),
        ((1, 3, 2, 2, 2), 9),
        ((0, 3, 4), 2),
        ((2, 0, 4), 2),
        ((2, 3, 0, 4), 2),
    ],
)
def test_local_response_is_torchs_to_second_order(shape, size, same_twice):
    torch = pytest.importorskip("torch")
    settings = size, 0.5, 0.6, 2.0
    same_twice(
        nn.LocalResponseNorm(*settings),
        torch.nn.LocalResponseNorm(*settings),
        np.random.randn(*shape),
    )


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (0, 2, 3, 1)])
def test_images_with_their_channels_last_in_memory(monkeypatch, same_twice, order):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(columns, "_LEAST", 1)
    monkeypatch.setattr(columns, "_LONG", 12)
    monkeypatch.setattr(columns, "_BLOCK", 24)
    inverse = np.argsort(order).tolist()

    def laid_out(x):  # the same numbers, in another order in memory
        turned = x.permute(order)
        return turned.reshape(-1).reshape(turned.shape).permute(inverse)

    x, weight, bias = np.random.randn(4, 3, 6, 5) * 3 + 10, np.random.randn(3), np.random.randn(3)
    statistics = [np.zeros(3), np.ones(3)]
    ours = [ndl.Tensor(each) for each in statistics]
    same_twice(
        lambda x, *rest: nn.functional.batch_norm(laid_out(x), None, None, *rest, training=True),
        lambda x, *rest: torch.nn.functional.batch_norm(x, None, None, *rest, training=True),
        x, weight, bias,
    )  # fmt: skip
    y = laid_out(ndl.Tensor(x))
    assert y.realize_cached_data().strides[1] == 8
    found = nn.functional.batch_norm(y, *ours, training=True)
    assert found.realize_cached_data().strides == y.realize_cached_data().strides
    np.testing.assert_allclose(ours[0].numpy(), 0.1 * x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(ours[1].numpy(), 0.9 + 0.1 * x.var((0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [
        ("BatchNorm1d", {"num_features": 3, "affine": False}),
        ("BatchNorm2d", {"num_features": 3, "track_running_stats": False}),
        ("InstanceNorm2d", {"num_features": 3, "affine": True}),
        ("GroupNorm", {"num_groups": 2, "num_channels": 6, "affine": False}),
        ("LayerNorm", {"normalized_shape": (4, 3), "elementwise_affine": False}),
        ("RMSNorm", {"normalized_shape": (3,), "eps": 1e-3}),
    ],
)
def test_settings_have_torchs_names(layer, arguments):
    torch = pytest.importorskip("torch")
    first, *others = arguments.items()
    ours = getattr(nn, layer)(first[1], **dict(others))
    theirs = getattr(torch.nn, layer)(**arguments)
    names = {"num_features", "num_groups", "num_channels", "normalized_shape", "eps", "momentum"}
    names |= {"affine", "elementwise_affine", "track_running_stats"}
    shared = [name for name in names if hasattr(theirs, name)]
    assert len(shared) >= 3
    for name in shared:
        assert getattr(ours, name) == getattr(theirs, name), name
