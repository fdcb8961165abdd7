"""Sinusoids and rotations against their formulas; what makes them of use; bad input."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn


@pytest.mark.parametrize("batch_first", [False, True])
def test_sinusoids(batch_first):
    layer = nn.SinusoidalPositions(6, context=20, base=100.0, batch_first=batch_first)
    x = np.random.randn(2, 5, 6).astype("float32")
    if not batch_first:
        x = x.swapaxes(0, 1)
    y = layer(Tensor(x), offset=3).numpy() - x
    if not batch_first:
        y = y.swapaxes(0, 1)
    for t in range(5):
        for i in range(3):
            angle = (t + 3) / 100.0 ** (2 * i / 6)
            np.testing.assert_allclose(y[:, t, 2 * i], np.sin(angle), atol=1e-5)
            np.testing.assert_allclose(y[:, t, 2 * i + 1], np.cos(angle), atol=1e-5)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation(interleaved):
    """Pairs of features are complex numbers, multiplied by e^(i·angle)."""
    layer = nn.RotaryEmbedding(6, context=20, interleaved=interleaved, dtype="float64")
    x = np.random.randn(2, 3, 5, 6)
    angles = np.arange(4, 9)[:, None] * 10_000.0 ** (-np.arange(0, 6, 2) / 6)

    def pairs(a):
        return a[..., 0::2] + 1j * a[..., 1::2] if interleaved else a[..., :3] + 1j * a[..., 3:]

    operand = Tensor(x)
    y = layer(operand, offset=4)
    np.testing.assert_allclose(pairs(y.numpy()), pairs(x) * np.exp(1j * angles), 1e-9, 1e-12)
    (y * Tensor(x)).sum().backward()
    expected = pairs(x) * np.exp(-1j * angles)  # the transposed rotation
    np.testing.assert_allclose(pairs(operand.grad.numpy()), expected, 1e-9, 1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_rotated_vectors_depend_on_the_difference_of_positions(interleaved):
    rotate = nn.RotaryEmbedding(8, interleaved=interleaved, dtype="float64")
    q, k = Tensor(np.random.randn(1, 8)), Tensor(np.random.randn(1, 8))
    products = [
        (rotate(q, offset=at + 3) * rotate(k, offset=at)).sum().item() for at in (0, 5, 1000)
    ]
    np.testing.assert_allclose(products, products[0], 1e-9)


def test_tables_are_not_trained_and_not_saved():
    for layer in (nn.SinusoidalPositions(4), nn.RotaryEmbedding(4)):
        assert layer.parameters() == []
        assert dict(layer.state_dict()) == {}
        assert not any(buffer.requires_grad for buffer in layer.buffers())
        assert layer.double()(ndl.init.ones(2, 4, dtype="float64")).dtype == "float64"


@pytest.mark.parametrize("kind", [nn.SinusoidalPositions, nn.RotaryEmbedding])
def test_bad_input(kind):
    with pytest.raises(ValueError, match="dim must be even, got 5"):
        kind(5)
    with pytest.raises(TypeError, match="must be one of floating-point numbers, got int64"):
        kind(4, dtype="int64")
    layer = kind(4, context=6)
    with pytest.raises(ValueError, match="positions 4 to 6, the context ends with 5"):
        layer(ndl.init.ones(3, 4), offset=4)
    with pytest.raises(ValueError, match="positions -1 to 1"):
        layer(ndl.init.ones(3, 4), offset=-1)
    with pytest.raises(ValueError, match=r"expected \(..., 4\), got \(3, 5\)"):
        layer(ndl.init.ones(3, 5))
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        layer(ndl.init.ones(4))
