"""Attention against PyTorch's; blocks, masks, fully masked rows, dropout, the course's layers."""

import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.nn import functional as F

MASKS = {
    "none": None,
    "booleans": np.random.RandomState(1).rand(5, 7) < 0.7,
    "numbers": np.random.RandomState(1).randn(5, 7),
    "of each batch": np.random.RandomState(1).randn(2, 1, 1, 7),
}


def draws(*shapes, dtype="float64"):
    rng = np.random.RandomState(0)
    return [rng.randn(*shape).astype(dtype) for shape in shapes]


def torch_attention(torch):
    """PyTorch's function in its differentiable form."""

    def attention(*operands, **options):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return torch.nn.functional.scaled_dot_product_attention(*operands, **options)

    return attention


# --- the function


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", MASKS)
def test_function_is_torchs(same_as_torch, mask, dtype):
    torch = pytest.importorskip("torch")
    given = MASKS[mask]
    if given is not None and given.dtype.kind == "f":
        given = given.astype(dtype)
    arrays = draws((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6), dtype=dtype)
    theirs = None if given is None else torch.tensor(given)
    same_as_torch(
        lambda *x: F.scaled_dot_product_attention(*x, attn_mask=given),
        lambda *x: torch_attention(torch)(*x, attn_mask=theirs),
        *arrays,
    )


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        ([(2, 5, 4), (2, 5, 4), (2, 5, 4)], {"is_causal": True}),
        ([(3, 4), (5, 4), (5, 2)], {"is_causal": True, "scale": 0.3}),
        ([(5, 4), (3, 4), (3, 2)], {"is_causal": True}),
        ([(2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3)], {"enable_gqa": True}),
        ([(6, 5, 4), (1, 5, 4), (1, 5, 3)], {"enable_gqa": True, "is_causal": True}),
        ([(2, 0, 4), (2, 3, 4), (2, 3, 4)], {}),
        ([(2, 1, 4), (2, 1, 4), (2, 1, 1)], {}),
    ],
)
def test_options_are_torchs(same_as_torch, shapes, options):
    torch = pytest.importorskip("torch")
    same_as_torch(
        lambda *x: F.scaled_dot_product_attention(*x, **options),
        lambda *x: torch_attention(torch)(*x, **options),
        *draws(*shapes),
    )


@pytest.mark.parametrize("mask_shape", [(5, 7), (1, 5, 7), (6, 1, 7), (2, 6, 5, 7)])
def test_masks_of_grouped_heads(mask_shape):
    torch = pytest.importorskip("torch")
    q, k, v, mask = draws((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3), mask_shape)
    expected = torch_attention(torch)(
        *map(torch.tensor, (q, k, v)), attn_mask=torch.tensor(mask), enable_gqa=True
    )
    y = F.scaled_dot_product_attention(*map(Tensor, (q, k, v)), attn_mask=mask, enable_gqa=True)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), 1e-10, 1e-12)


@pytest.mark.parametrize("mask", ["none", "numbers"])
def test_second_derivatives_are_torchs(mask, close):
    torch = pytest.importorskip("torch")
    given = MASKS[mask]
    arrays = draws((2, 5, 4), (2, 7, 4), (2, 7, 3))
    bias = [] if given is None else [given]
    ours = [Tensor(array) for array in (*arrays, *bias)]
    theirs = [torch.tensor(array, requires_grad=True) for array in (*arrays, *bias)]
    y = F.scaled_dot_product_attention(*ours, is_causal=not bias)
    z = torch_attention(torch)(*theirs, is_causal=not bias)
    first = ndl.grad((y**3).sum(), ours, create_graph=True)
    expected = torch.autograd.grad((z**3).sum(), theirs, create_graph=True)
    for one, other in zip(first, expected, strict=True):
        close(one, other, "first")
    second = ndl.grad(sum((g**2).sum() for g in first), ours)
    expected = torch.autograd.grad(sum((g**2).sum() for g in expected), theirs)
    for one, other in zip(second, expected, strict=True):
        close(one, other, "second")


@pytest.mark.parametrize("options", [{}, {"diagonal": 0}, {"diagonal": -40}, {"mask": True}])
def test_blocks_compute_the_same(options, monkeypatch):
    monkeypatch.setitem(ndl.attention.__globals__, "_BLOCK", 7 * 60)  # 7 queries
    q, k, v, g, mask = draws((2, 3, 50, 4), (2, 3, 60, 4), (2, 3, 60, 5), (2, 3, 50, 5), (3, 1, 60))
    if options.pop("mask", False):
        options["mask"] = Tensor(mask)
    results = []
    for in_blocks in (False, True):
        operands = [Tensor(array) for array in (q, k, v)]
        y = ndl.attention(*operands, **options, in_blocks=in_blocks)
        y.backward(Tensor(g))
        of_mask = [options["mask"].grad.numpy()] if options.get("mask") is not None else []
        results.append([y.numpy(), *[x.grad.numpy() for x in operands], *of_mask])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, 1e-9, 1e-12)


def test_memory_grows_with_the_length_not_its_square():
    peaks = []
    for length in (1024, 2048):
        q, k, v = [Tensor(x) for x in draws(*[(2, 4, length, 8)] * 3, dtype="float32")]
        tracemalloc.start()
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y.backward(ndl.init.ones_like(y))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # the scores would take 32 and 128 MiB
    assert peaks[1] < 16 * 2**20
    assert peaks[1] < 2.2 * peaks[0]


def test_the_causal_mask_takes_no_memory_of_float64() -> None:
    q, k, v = [Tensor(x) for x in draws(*[(1, 512, 8)] * 3, dtype="float32")]
    tracemalloc.start()
    F.scaled_dot_product_attention(q, k, v, is_causal=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.8 * 4 * 512**2  # the scores, the mask of numbers, and that of booleans


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("kind", ["booleans", "numbers"])
def test_rows_without_a_key_give_zeros(kind, in_blocks):
    mask = np.ones((4, 3), bool)
    mask[1] = False
    given = Tensor(mask if kind == "booleans" else np.where(mask, 0.0, -np.inf))
    operands = [Tensor(x) for x in draws((2, 4, 3), (2, 3, 3), (2, 3, 2))]
    y = ndl.attention(*operands, given, in_blocks=in_blocks)
    assert not y.numpy()[:, 1].any()
    assert y.numpy()[:, [0, 2, 3]].all()
    first = ndl.grad((y**2).sum(), operands, create_graph=True)
    second = ndl.grad(sum((g**2).sum() for g in first), operands)
    for gradient in (*first, *second):
        assert np.isfinite(gradient.numpy()).all()
    assert not first[0].numpy()[:, 1].any()


def test_no_keys_give_zeros():
    q, k, v = [Tensor(x) for x in draws((2, 4, 3), (2, 0, 3), (2, 0, 2))]
    y = F.scaled_dot_product_attention(q, k, v)
    assert y.shape == (2, 4, 2)
    assert not y.numpy().any()
    y.sum().backward()
    assert not q.grad.numpy().any()


def test_large_scores_are_finite():
    x = Tensor([[1e4, 0.0], [0.0, 1e4]], dtype="float32")
    y = F.scaled_dot_product_attention(x, x, x)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert np.isfinite(x.grad.numpy()).all()


def test_half_precision_is_computed_in_single():
    q, k, v = draws((3, 2), (4, 2), (4, 2), dtype="float16")
    y = F.scaled_dot_product_attention(*[Tensor(x * 100) for x in (q, k, v)])
    expected = F.scaled_dot_product_attention(
        *[Tensor((x * 100).astype("float32")) for x in (q, k, v)]
    )
    assert y.dtype == "float16"
    np.testing.assert_array_equal(y.numpy(), expected.numpy().astype("float16"))


def test_dropout_drops_weights():
    """With equal weights and values of one, results count the weights that are left."""
    np.random.seed(0)
    q, v = ndl.init.zeros(20, 50, 4), ndl.init.ones(20, 50, 4)
    y = F.scaled_dot_product_attention(q, q, v, dropout_p=0.2).numpy()
    np.testing.assert_allclose(y * 40, (y * 40).round(), atol=1e-3)  # 50 weights of 1/(50·0.8)
    assert abs(y.mean() - 1) < 0.02
    assert y.std() > 0.02
    np.random.seed(0)
    again = F.scaled_dot_product_attention(q, q, v, dropout_p=0.2).numpy()
    np.testing.assert_array_equal(y, again)
    assert not F.scaled_dot_product_attention(q, q, v, dropout_p=1.0).numpy().any()


@pytest.mark.parametrize(
    ("shapes", "options", "error", "message"),
    [
        ([(5, 4), (7, 3), (7, 4)], {}, ValueError, r"key \(..., S, E\).*got \(5, 4\), \(7, 3\)"),
        ([(5, 4), (7, 4), (6, 4)], {}, ValueError, r"\(7, 4\) and \(6, 4\)"),
        ([(4,), (7, 4), (7, 4)], {}, ValueError, r"expected a query .*got \(4,\)"),
        ([(2, 5, 4), (3, 7, 4), (3, 7, 4)], {}, ValueError, "leading axes do not broadcast"),
        ([(5, 4)] * 3, {"attn_mask": np.ones((5, 4), bool)}, ValueError, r"mask of shape \(5, 4\)"),
        ([(5, 4)] * 3, {"attn_mask": np.ones((2, 5, 5), bool)}, ValueError, "5 queries, 5 keys"),
        ([(5, 4)] * 3, {"attn_mask": np.ones((5, 5), int)}, TypeError, "holds booleans"),
        ([(5, 4)] * 3, {"dropout_p": 1.5}, ValueError, "dropout must be from 0 to 1"),
        ([(4, 5, 2), (3, 5, 2), (3, 5, 2)], {"enable_gqa": True}, ValueError, "4 heads .* 3 of"),
    ],
)
def test_bad_operands(shapes, options, error, message):
    with pytest.raises(error, match=message):
        F.scaled_dot_product_attention(*map(Tensor, draws(*shapes)), **options)


def test_operands_are_floating_point_tensors():
    x = Tensor(np.ones((3, 4), int))
    with pytest.raises(TypeError, match="attention: query expected floating-point numbers"):
        F.scaled_dot_product_attention(x, x, x)
    with pytest.raises(TypeError, match="attention: query expected a Tensor"):
        F.scaled_dot_product_attention(np.ones((3, 4)), x, x)


# --- the course's layers


def softmax(scores):
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize("keys", [5, 8])
@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention(causal, keys):
    q, k, v = draws((2, 3, 5, 4), (2, 3, keys, 4), (2, 3, keys, 4))
    result, weights = nn.MultiHeadAttention(causal=causal)(*map(Tensor, (q, k, v)))
    scores = q @ k.swapaxes(-1, -2) / 2
    if causal:
        scores = scores - np.finfo("float32").max * np.triu(np.ones((5, keys)), keys - 5 + 1)
    np.testing.assert_allclose(weights.numpy(), softmax(scores), 1e-12)
    np.testing.assert_allclose(result.numpy(), softmax(scores) @ v, 1e-12)


def test_multi_head_attention_drops_weights_in_training():
    (q,) = draws((2, 3, 5, 4), dtype="float32")
    layer, x = nn.MultiHeadAttention(dropout=0.3), Tensor(q)
    np.random.seed(3)
    result, weights = layer(x, x, x)
    np.random.seed(3)
    kept = np.random.rand(2, 3, 5, 5) <= 0.7
    expected = softmax(q @ q.swapaxes(-1, -2) / 2) * kept / 0.7
    np.testing.assert_allclose(weights.numpy(), expected, 1e-5, 1e-7)
    np.testing.assert_allclose(result.numpy(), expected @ q, 1e-5, 1e-6)
    layer.eval()
    np.testing.assert_allclose(layer(x, x, x)[1].numpy().sum(-1), 1, 1e-6)


def test_gradients_pass_through_the_weights(close):
    torch = pytest.importorskip("torch")
    q, k, g = draws((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 5, 7))
    ours, theirs = [Tensor(q), Tensor(k)], [torch.tensor(x, requires_grad=True) for x in (q, k)]
    result, weights = nn.MultiHeadAttention()(*ours, ours[1])
    ((weights * Tensor(g)).sum() + result.sum()).backward()
    expected = torch.softmax(theirs[0] @ theirs[1].transpose(-1, -2) / 2, -1)
    ((expected * torch.tensor(g)).sum() + (expected @ theirs[1]).sum()).backward()
    for one, other in zip(ours, theirs, strict=True):
        close(one.grad, other.grad, "gradient")


def test_attention_layer_by_hand():
    q, k, v = draws((2, 5, 6), (2, 7, 3), (2, 7, 2), dtype="float32")
    layer = nn.AttentionLayer(6, 2, 4, k_features=3, v_features=2, out_features=5, causal=False)
    assert [name for name, _ in layer.named_children()] == [
        "prenorm_q", "prenorm_k", "prenorm_v", "q_projection", "k_projection", "v_projection",
        "attn", "out_projection",
    ]  # fmt: skip
    result = layer(Tensor(q), Tensor(k), Tensor(v))

    def heads(x, projection):
        normalized = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        projected = normalized @ projection.weight.numpy()
        return projected.reshape(2, -1, 2, 4).transpose(0, 2, 1, 3)

    a, b, c = (
        heads(x, projection)
        for x, projection in [
            (q, layer.q_projection),
            (k, layer.k_projection),
            (v, layer.v_projection),
        ]
    )
    joined = (softmax(a @ b.swapaxes(-1, -2) / 2) @ c).transpose(0, 2, 1, 3).reshape(2, 5, 8)
    expected = joined @ layer.out_projection.weight.numpy()
    assert result.shape == (2, 5, 5)
    np.testing.assert_allclose(result.numpy(), expected, 1e-4, 1e-5)


def test_attention_layer_draws_its_projections_in_order():
    np.random.seed(5)
    layer = nn.AttentionLayer(6, 2, 4)
    np.random.seed(5)
    for projection in (layer.q_projection, layer.k_projection, layer.v_projection):
        np.testing.assert_array_equal(
            projection.weight.numpy(), ndl.init.kaiming_uniform(6, 8).numpy()
        )
    expected = ndl.init.kaiming_uniform(8, 6).numpy()
    np.testing.assert_array_equal(layer.out_projection.weight.numpy(), expected)


def test_layers_check_their_inputs():
    with pytest.raises(ValueError, match=r"MultiHeadAttention expected \(batch, heads, positions"):
        nn.MultiHeadAttention()(*[ndl.init.ones(2, 3, 4)] * 3)
    with pytest.raises(ValueError, match=r"AttentionLayer expected \(batch, positions, features"):
        nn.AttentionLayer(4, 1, 4)(ndl.init.ones(3, 4))
    with pytest.raises(ValueError, match=r"LayerNorm expected \(..., 4\), got \(2, 3, 5\)"):
        nn.AttentionLayer(4, 1, 4)(ndl.init.ones(2, 3, 5))


# --- the cache


def test_steps_with_a_cache_are_the_whole():
    x = Tensor(draws((2, 9, 6), dtype="float32")[0])
    layer, cache = nn.AttentionLayer(6, 2, 4), nn.KeyValueCache(9)
    with ndl.no_grad():
        pieces = [layer(x[:, a:b], cache=cache) for a, b in [(0, 4), (4, 5), (5, 9)]]
        np.testing.assert_allclose(
            np.concatenate([each.numpy() for each in pieces], 1), layer(x).numpy(), 1e-4, 1e-5
        )
    assert cache.length == 9
    assert repr(cache) == "KeyValueCache(9 of 9 positions)"
    with pytest.raises(ValueError, match="9 positions and 1 more exceed the context of 9"):
        layer(x[:, :1], cache=cache)
    cache.clear()
    assert cache.length == 0
    layer(x[:1], cache=cache)


def test_a_cache_is_for_one_batch():
    layer, cache = nn.AttentionLayer(6, 2, 4), nn.KeyValueCache(9)
    layer(ndl.init.ones(2, 3, 6), cache=cache)
    with pytest.raises(ValueError, match=r"clear\(\) it before another batch"):
        layer(ndl.init.ones(1, 3, 6), cache=cache)
    with pytest.raises(ValueError, match="context must be positive"):
        nn.KeyValueCache(0)


def test_vectors_of_length_0_have_equal_weights() -> None:
    q, k, v = draws((2, 3, 0), (2, 4, 0), (2, 4, 5))
    y = F.scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v)).numpy()
    np.testing.assert_allclose(y, np.broadcast_to(v.mean(1, keepdims=True), (2, 3, 5)))
