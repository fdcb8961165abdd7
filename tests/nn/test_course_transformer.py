"""The course's transformer by its formulas, in PyTorch."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

torch = pytest.importorskip("torch")


def draws(*shapes, dtype="float32"):
    rng = np.random.RandomState(0)
    return [rng.randn(*shape).astype(dtype) for shape in shapes]


def drawn(shape, bound):
    return ((np.random.rand(*shape) * 2 - 1) * bound).astype("float32")


def test_transformer_in_torch(close):
    """The formulas and the order in which parameters are drawn: the positions' come first."""
    np.random.seed(7)
    model = nn.Transformer(6, 8, 2, num_head=2, dim_head=4, sequence_len=10, batch_first=True)
    np.random.seed(7)
    positions = np.random.randn(10, 6).astype("float32")
    weights = []
    for _ in range(2):
        shapes = [(6, 8), (6, 8), (6, 8), (8, 6), (6, 8), (1, 8), (8, 6), (1, 6)]
        fans = [6, 6, 6, 8, 6, 8, 8, 6]  # the bias's is its length
        weights.append(
            [drawn(shape, np.sqrt(6 / fan)) for shape, fan in zip(shapes, fans, strict=True)]
        )
    (array,) = draws((3, 5, 6))
    x, z = Tensor(array), torch.tensor(array, requires_grad=True)
    y, h = model(x)
    assert not h.numpy().any()
    assert h.shape == y.shape
    expected = z + torch.tensor(positions[:5])

    def norm(a):
        return torch.nn.functional.layer_norm(a, (6,))

    for q, k, v, out, up, up_bias, down, down_bias in weights:
        heads = [
            (norm(expected) @ torch.tensor(w)).view(3, 5, 2, 4).transpose(1, 2) for w in (q, k, v)
        ]
        attended = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        attended = attended.transpose(1, 2).reshape(3, 5, 8)
        expected = expected + attended @ torch.tensor(out)
        hidden = torch.relu(norm(expected) @ torch.tensor(up) + torch.tensor(up_bias))
        expected = expected + hidden @ torch.tensor(down) + torch.tensor(down_bias)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), 1e-4, 1e-4)
    (y**2).sum().backward()
    (expected**2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), 1e-3, 1e-3)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_transformer_of_sequences_first():
    model = nn.Transformer(6, 8, 1, num_head=2, dim_head=4, dropout=0.1).eval()
    x = Tensor(draws((5, 3, 6))[0])
    y, _ = model(x, None)
    model.batch_first = True
    expected = model(x.transpose((0, 1)))[0].transpose((0, 1))
    np.testing.assert_array_equal(y.numpy(), expected.numpy())


def test_transformer_drops_in_training_in_the_courses_order():
    np.random.seed(1)
    layer = nn.TransformerLayer(6, 2, 4, 8, dropout=0.4)
    x = Tensor(draws((2, 3, 6))[0])
    np.random.seed(2)
    y = layer(x)
    np.random.seed(2)
    masks = [np.random.rand(*shape) <= 0.6 for shape in [(2, 2, 3, 3), (2, 3, 6), (2, 3, 8)]]
    masks.append(np.random.rand(2, 3, 6) <= 0.6)
    layer.eval()
    attention = layer.attention
    normalized = attention.prenorm_q(x)
    q, k, v = (
        projection(normalized).reshape((2, 3, 2, 4)).permute((0, 2, 1, 3))
        for projection in (
            attention.q_projection, attention.k_projection, attention.v_projection,
        )
    )  # fmt: skip
    weights = attention.attn(q, k, v)[1] * masks[0] / 0.6
    joined = (weights @ v).permute((0, 2, 1, 3)).reshape((2, 3, 8))
    z = x + attention.out_projection(joined) * masks[1] / 0.6
    hidden = ndl.relu(layer.linear1(layer.norm(z))) * masks[2] / 0.6
    z = z + layer.linear2(hidden) * masks[3] / 0.6
    np.testing.assert_allclose(y.numpy(), z.numpy(), 1e-4, 1e-5)


def test_transformer_generates_with_a_cache():
    model = nn.Transformer(
        6, 8, 2, num_head=2, dim_head=4, sequence_len=7, batch_first=True, activation="gelu"
    )
    x, cache = Tensor(draws((2, 7, 6))[0]), nn.KeyValueCache(7)
    whole = model(x)[0].numpy()
    pieces = [model(x[:, a:b], cache=cache)[0].numpy() for a, b in [(0, 3), (3, 4), (4, 7)]]
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole, 1e-4, 1e-5)
    with pytest.raises(ValueError, match="8 positions, sequence_len is 7"):
        model(x[:, :1], cache=cache)
    for wrong in (x[0], x[:, :, :5]):
        with pytest.raises(ValueError, match=r"expected \(batch, positions, 6\), got \("):
            model(wrong)


def test_mask_of_later_positions():
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    expected = torch.nn.Transformer.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(mask.numpy(), expected.numpy())
    assert mask.dtype == "float32"
