"""PyTorch's attention layer, encoders and decoders, against PyTorch; the course's transformer."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, interop, nn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched")  # booleans and numbers


def draws(*shapes, dtype="float32"):
    rng = np.random.RandomState(0)
    return [rng.randn(*shape).astype(dtype) for shape in shapes]


def loaded(ours, theirs):
    """Both in double precision, with PyTorch's weights, and biases that are not 0."""
    theirs = theirs.double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    interop.load_torch_state_dict(ours.double(), theirs.state_dict())
    return ours, theirs


def gradients_agree(ours, theirs, close):
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    found = {name: p.grad for name, p in ours.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        array = gradient.numpy()
        shape = tuple(expected[name].shape)
        is_linear = "linear" in name or "out_proj" in name
        array = array.T if is_linear and array.ndim == 2 and array.shape[0] != 1 else array
        close(Tensor(array.reshape(shape)), expected[name], name)


# --- MultiheadAttention

PADDING = np.zeros((2, 7), bool)
PADDING[1, 5:] = True
CAUSAL = np.triu(np.ones((5, 7), bool), 1)
HEADS = np.random.RandomState(2).randn(6, 5, 7)
SETTINGS = {
    "plain": ({}, {}),
    "batch first": ({"batch_first": True}, {}),
    "no bias": ({"bias": False}, {}),
    "other features": ({"kdim": 4, "vdim": 5}, {}),
    "added positions": (
        {"add_bias_kv": True, "add_zero_attn": True},
        {"key_padding_mask": PADDING, "attn_mask": HEADS},
    ),
    "padding": ({}, {"key_padding_mask": PADDING}),
    "padding as numbers": ({}, {"key_padding_mask": PADDING * -3.0}),
    "mask": ({}, {"attn_mask": CAUSAL}),
    "mask of heads": ({}, {"attn_mask": HEADS}),
    "both": ({"batch_first": True}, {"attn_mask": CAUSAL, "key_padding_mask": PADDING}),
    "causal": ({}, {"attn_mask": CAUSAL, "is_causal": True}),
}


def in_torch(options):
    return {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_attention_is_torchs(name, need_weights, close):
    settings, options = SETTINGS[name]
    ours, theirs = loaded(
        nn.MultiheadAttention(6, 3, **settings), torch.nn.MultiheadAttention(6, 3, **settings)
    )
    shapes = [(5, 2, 6), (7, 2, settings.get("kdim", 6)), (7, 2, settings.get("vdim", 6))]
    arrays = draws(*shapes, dtype="float64")
    if settings.get("batch_first"):
        arrays = [array.swapaxes(0, 1).copy() for array in arrays]
    mine = [Tensor(array) for array in arrays]
    other = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, weights = ours(*mine, need_weights=need_weights, **options)
    expected, of_torch = theirs(*other, need_weights=need_weights, **in_torch(options))
    close(y, expected, "output")
    loss, other_loss = (y**2).sum(), (expected**2).sum()
    assert (weights is None) == (of_torch is None) == (not need_weights)
    if need_weights:
        close(weights, of_torch, "weights")
        loss, other_loss = loss + (weights**2).sum(), other_loss + (of_torch**2).sum()
    loss.backward()
    other_loss.backward()
    for one, each in zip(mine, other, strict=True):
        close(one.grad, each.grad, "gradient")
    gradients_agree(ours, theirs, close)


@pytest.mark.parametrize("batch_first", [False, True])
def test_self_attention_is_torchs(batch_first, close):
    settings = {"batch_first": batch_first}
    ours, theirs = loaded(
        nn.MultiheadAttention(6, 3, **settings), torch.nn.MultiheadAttention(6, 3, **settings)
    )
    for shape in [(5, 2, 6), (5, 6)]:
        (array,) = draws(shape, dtype="float64")
        x, z = Tensor(array), torch.tensor(array, requires_grad=True)
        y, weights = ours(x, x, x, average_attn_weights=False)
        expected, of_torch = theirs(z, z, z, average_attn_weights=False)
        close(y, expected, "output")
        close(weights, of_torch, "weights")
        (y**2).sum().backward()
        theirs.zero_grad()
        (expected**2).sum().backward()
        close(x.grad, z.grad, "gradient")
        gradients_agree(ours, theirs, close)


def test_a_sequence_alone_with_masks(close):
    ours, theirs = loaded(nn.MultiheadAttention(6, 3), torch.nn.MultiheadAttention(6, 3))
    q, k = draws((5, 6), (7, 6), dtype="float64")
    masks = {"key_padding_mask": PADDING[1], "attn_mask": HEADS[:3]}
    y, weights = ours(Tensor(q), Tensor(k), Tensor(k), **masks)
    expected, of_torch = theirs(*map(torch.tensor, (q, k, k)), **in_torch(masks))
    close(y, expected, "output")
    close(weights, of_torch, "weights")


def test_causal_needs_no_mask(close):
    layer = nn.MultiheadAttention(6, 3, dtype="float64")
    x = Tensor(draws((5, 2, 6), dtype="float64")[0])
    y, _ = layer(x, x, x, is_causal=True)
    expected, _ = layer(x, x, x, attn_mask=np.triu(np.ones((5, 5), bool), 1))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), 1e-12)
    layer = nn.MultiheadAttention(6, 3, add_bias_kv=True, dtype="float64")
    y, _ = layer(x, x, x, is_causal=True)
    expected, _ = layer(x, x, x, attn_mask=np.triu(np.ones((5, 5), bool), 1))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), 1e-12)


def test_examples_without_a_key_give_the_bias():
    layer = nn.MultiheadAttention(6, 3)
    x = Tensor(draws((5, 2, 6))[0])
    hidden = np.zeros((2, 5), bool)
    hidden[1] = True
    y, weights = layer(x, x, x, key_padding_mask=hidden)
    assert not y.numpy()[:, 1].any()  # the bias is 0
    assert not weights.numpy()[1].any()
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_dropout_of_the_weights():
    layer = nn.MultiheadAttention(6, 3, dropout=0.5)
    x = ndl.init.randn(5, 2, 6)
    assert (layer(x, x, x)[1].numpy() != layer.eval()(x, x, x)[1].numpy()).any()
    np.testing.assert_allclose(layer(x, x, x)[1].numpy().sum(-1), 1, 1e-6)


def test_initial_values_are_torchs():
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bounds = {"in_proj_weight": np.sqrt(6 / 256), "out_proj.weight": 1 / 8}
    state = layer.state_dict()
    for name, bound in bounds.items():
        assert 0.95 * bound < abs(state[name].numpy()).max() <= bound
    assert not state["in_proj_bias"].numpy().any()
    assert not state["out_proj.bias"].numpy().any()
    np.testing.assert_allclose(state["bias_k"].numpy().std(), 1 / 8, 0.4)
    encoder = nn.TransformerEncoderLayer(64, 4, 16)
    assert abs(encoder.linear1.weight.numpy()).max() <= 1 / 8
    assert abs(encoder.linear2.bias.numpy()).max() <= 1 / 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attn_mask": CAUSAL[:, :5]}, ValueError, r"attn_mask of shape \(5, 5\), expected \(5, 7"),
        ({"attn_mask": HEADS[:3]}, ValueError, r"or \(6, 5, 7\)"),
        ({"key_padding_mask": PADDING.T}, ValueError, r"key_padding_mask of shape \(7, 2\)"),
        (
            {"attn_mask": CAUSAL.astype(int)},
            TypeError,
            "holds booleans, true where a key is hidden",
        ),
    ],
)
def test_bad_masks(options, error, message):
    layer = nn.MultiheadAttention(6, 3)
    q, k = map(Tensor, draws((5, 2, 6), (7, 2, 6)))
    with pytest.raises(error, match=message):
        layer(q, k, k, **options)


def test_bad_shapes():
    layer = nn.MultiheadAttention(6, 3, batch_first=True)
    q, k = map(Tensor, draws((2, 5, 6), (7, 2, 6)))
    with pytest.raises(
        ValueError, match=r"value \(N, L, 6\), \(N, S, 6\), \(N, S, 6\), or without"
    ):
        layer(q, k, k)
    with pytest.raises(ValueError, match=r"\(L, N, 6\).*got \(2, 5, 6\), \(7, 6\)"):
        nn.MultiheadAttention(6, 3)(q, k[:, 0], k[:, 0])
    with pytest.raises(ValueError, match="4 heads do not divide embed_dim 6"):
        nn.MultiheadAttention(6, 4)


# --- encoders and decoders

LAYERS = {
    "post-norm": {},
    "pre-norm": {"norm_first": True, "batch_first": True, "activation": "gelu"},
    "no bias": {"bias": False, "layer_norm_eps": 1e-3},
}


def layers(kind, name, size=(6, 3, 8)):
    settings = {"dropout": 0.0, **LAYERS[name]}
    return [getattr(library, kind)(*size, **settings) for library in (nn, torch.nn)]


def agree(ours, theirs, arrays, options, close):
    mine = [Tensor(array) for array in arrays]
    other = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, expected = ours(*mine, **options), theirs(*other, **in_torch(options))
    close(y, expected, "output")
    (y**2).sum().backward()
    (expected**2).sum().backward()
    for one, each in zip(mine, other, strict=True):
        close(one.grad, each.grad, "gradient")
    gradients_agree(ours, theirs, close)


@pytest.mark.parametrize("name", LAYERS)
def test_encoder_is_torchs(name, close):
    pair = layers("TransformerEncoderLayer", name)
    norms = [library.LayerNorm(6) for library in (nn, torch.nn)]
    ours = nn.TransformerEncoder(pair[0], 2, norms[0])
    theirs = torch.nn.TransformerEncoder(pair[1], 2, norms[1], enable_nested_tensor=False)
    loaded(ours, theirs)
    shape = (2, 7, 6) if LAYERS[name].get("batch_first") else (7, 2, 6)
    mask = np.triu(np.ones((7, 7), bool), 1)
    options = {"mask": mask, "src_key_padding_mask": PADDING}
    agree(ours, theirs, draws(shape, dtype="float64"), options, close)
    (x,) = draws(shape, dtype="float64")
    causal = ours(Tensor(x), is_causal=True)
    np.testing.assert_allclose(causal.numpy(), ours(Tensor(x), mask=mask).numpy(), 1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_decoder_is_torchs(name, close):
    pair = layers("TransformerDecoderLayer", name)
    ours, theirs = nn.TransformerDecoder(pair[0], 2), torch.nn.TransformerDecoder(pair[1], 2)
    loaded(ours, theirs)
    arrays = draws((5, 2, 6), (7, 2, 6), dtype="float64")
    if LAYERS[name].get("batch_first"):
        arrays = [array.swapaxes(0, 1).copy() for array in arrays]
    options = {
        "tgt_mask": np.triu(np.ones((5, 5), bool), 1),
        "memory_key_padding_mask": PADDING,
        "memory_mask": HEADS[0],
    }
    agree(ours, theirs, arrays, options, close)


def test_copies_start_equal_and_are_not_shared():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = (layer.linear1.weight for layer in encoder.layers)
    assert first is not second
    np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_activations():
    x = ndl.init.randn(3, 2, 4)
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation=ndl.tanh).eval()
    named = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu").eval()
    named.load_state_dict(layer.state_dict())
    assert (layer(x).numpy() != named(x).numpy()).any()
    with pytest.raises(ValueError, match="activation 'swish': expected 'relu', 'gelu' or a funct"):
        nn.TransformerEncoderLayer(4, 2, 8, activation="swish")


def test_encoder_and_decoder_generate_with_a_cache():
    layer = nn.TransformerDecoderLayer(6, 3, 8, batch_first=True)
    decoder = nn.TransformerDecoder(layer, 2).eval()
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 3, 8, batch_first=True), 2).eval()
    x, memory = map(Tensor, draws((2, 5, 6), (2, 7, 6)))
    for whole, step in [
        (encoder(x, is_causal=True), lambda *a: encoder(a[0], is_causal=True, cache=a[1])),
        (
            decoder(x, memory, tgt_is_causal=True),
            lambda *a: decoder(a[0], memory, tgt_is_causal=True, cache=a[1]),
        ),
    ]:
        cache = nn.KeyValueCache(5)
        pieces = [step(x[:, a:b], cache).numpy() for a, b in [(0, 2), (2, 3), (3, 5)]]
        np.testing.assert_allclose(np.concatenate(pieces, 1), whole.numpy(), 1e-4, 1e-5)


# --- models in both libraries


def gpt(library, functional, tokens=11, width=8, heads=2, context=6):
    """In nanoGPT's structure, without biases."""

    class Block(library.Module):
        def __init__(self):
            super().__init__()
            self.ln_1 = library.LayerNorm(width)
            self.c_attn = library.Linear(width, 3 * width)
            self.c_proj = library.Linear(width, width)
            self.ln_2 = library.LayerNorm(width)
            self.mlp = library.Sequential(
                library.Linear(width, 4 * width), library.GELU(), library.Linear(4 * width, width)
            )

        def forward(self, x):
            batch, length, _ = x.shape
            parts = self.c_attn(self.ln_1(x)).reshape((batch, length, 3, heads, width // heads))
            q, k, v = (parts[:, :, i].permute((0, 2, 1, 3)) for i in range(3))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.c_proj(y.permute((0, 2, 1, 3)).reshape((batch, length, width)))
            return x + self.mlp(self.ln_2(x))

    class GPT(library.Module):
        def __init__(self):
            super().__init__()
            self.wte = library.Embedding(tokens, width)
            self.wpe = library.Embedding(context, width)
            self.blocks = library.ModuleList([Block() for _ in range(2)])
            self.ln_f = library.LayerNorm(width)
            self.lm_head = library.Linear(width, tokens, bias=False)

        def forward(self, ids):
            x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
            for block in self.blocks:
                x = block(x)
            return self.lm_head(self.ln_f(x))

    return GPT()


def test_gpt_in_both_libraries():
    ours, theirs = gpt(nn, nn.functional), gpt(torch.nn, torch.nn.functional)
    ids = np.random.RandomState(0).randint(0, 11, (3, 6))
    interop.load_torch_state_dict(ours, theirs.state_dict())
    expected = theirs(torch.tensor(ids)).detach().numpy()
    np.testing.assert_allclose(ours(Tensor(ids)).numpy(), expected, 1e-5, 1e-5)
    again = gpt(torch.nn, torch.nn.functional)
    again.load_state_dict(interop.to_torch_state_dict(ours))
    np.testing.assert_allclose(again(torch.tensor(ids)).detach().numpy(), expected, 1e-6, 1e-6)


def test_swiglu_is_its_formula(close):
    layer = nn.SwiGLU(4, 6, 3, bias=True, dtype="float64")
    (x,) = draws((2, 5, 4), dtype="float64")
    theirs = [torch.nn.Linear(*sizes).double() for sizes in ((4, 6), (4, 6), (6, 3))]
    for linear, own in zip(theirs, (layer.gate, layer.up, layer.down), strict=True):
        linear.load_state_dict(interop.to_torch_state_dict(own))
    gate, up, down = theirs
    z = torch.tensor(x)
    expected = down(torch.nn.functional.silu(gate(z)) * up(z))
    close(layer(Tensor(x)), expected, "output")
