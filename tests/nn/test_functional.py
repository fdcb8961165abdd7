"""The functional forms: each module has one, with the same numbers; details of their own."""

import ast
import inspect

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.nn import functional as F


def draw(*shape: int) -> ndl.Tensor:
    return ndl.Tensor(np.random.RandomState(len(shape)).randn(*shape), dtype="float32")


LABELS = ndl.Tensor([1, 0, 2, 1])
PAIR = (draw(4, 3), draw(4, 3) * 0.5)
P = (ndl.sigmoid(draw(4, 3)), ndl.sigmoid(draw(4, 3) * 2))
LINEAR, BILINEAR, EMBEDDING = nn.Linear(3, 2), nn.Bilinear(3, 3, 2), nn.Embedding(5, 2)
BATCH, LAYER, GROUP, RMS = nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(3, 3), nn.RMSNorm(3)

# module, function, inputs, further arguments of the function
FORMS = [
    (nn.ReLU(), F.relu, [draw(4, 3)], {}),
    (nn.LeakyReLU(0.2), F.leaky_relu, [draw(4, 3)], {"negative_slope": 0.2}),
    (nn.PReLU(1, 0.3), F.prelu, [draw(4, 3)], {"weight": ndl.Tensor([0.3], dtype="float32")}),
    (nn.ELU(0.5), F.elu, [draw(4, 3)], {"alpha": 0.5}),
    (nn.GELU("tanh"), F.gelu, [draw(4, 3)], {"approximate": "tanh"}),
    (nn.SiLU(), F.silu, [draw(4, 3)], {}),
    (nn.Softplus(2.0), F.softplus, [draw(4, 3)], {"beta": 2.0}),
    (nn.Sigmoid(), F.sigmoid, [draw(4, 3)], {}),
    (nn.Tanh(), F.tanh, [draw(4, 3)], {}),
    (nn.Softmax(0), F.softmax, [draw(4, 3)], {"dim": 0}),
    (nn.LogSoftmax(), F.log_softmax, [draw(4, 3)], {}),
    (nn.Hardtanh(-0.5), F.hardtanh, [draw(4, 3)], {"min_val": -0.5}),
    (nn.Flatten(), F.flatten, [draw(4, 3, 2)], {"start_dim": 1}),
    (nn.Unflatten(1, (3, 1)), F.unflatten, [draw(4, 3)], {"dim": 1, "sizes": (3, 1)}),
    (LINEAR, F.linear, [draw(4, 3)], {"weight": LINEAR.weight, "bias": LINEAR.bias}),
    (BILINEAR, F.bilinear, [*PAIR], {"weight": BILINEAR.weight, "bias": BILINEAR.bias}),
    (EMBEDDING, F.embedding, [LABELS], {"weight": EMBEDDING.weight}),
    (
        BATCH,
        F.batch_norm,
        [draw(4, 3)],
        {
            "running_mean": None,
            "running_var": None,
            "weight": BATCH.weight,
            "bias": BATCH.bias,
            "training": True,
        },
    ),
    (LAYER, F.layer_norm, [draw(4, 3)], {"normalized_shape": (3,)}),
    (GROUP, F.group_norm, [draw(4, 3, 2)], {"num_groups": 3}),
    (RMS, F.rms_norm, [draw(4, 3)], {"normalized_shape": 3}),
    (nn.Dropout(0.0), F.dropout, [draw(4, 3)], {"p": 0.0}),
    (nn.CrossEntropyLoss(), F.cross_entropy, [draw(4, 3), LABELS], {}),
    (nn.SoftmaxLoss(), F.softmax_loss, [draw(4, 3), LABELS], {}),
    (nn.NLLLoss(reduction="sum"), F.nll_loss, [draw(4, 3), LABELS], {"reduction": "sum"}),
    (nn.MSELoss(), F.mse_loss, PAIR, {}),
    (nn.L1Loss(), F.l1_loss, PAIR, {}),
    (nn.SmoothL1Loss(beta=0.5), F.smooth_l1_loss, PAIR, {"beta": 0.5}),
    (nn.HuberLoss(delta=0.5), F.huber_loss, PAIR, {"delta": 0.5}),
    (nn.BCELoss(), F.binary_cross_entropy, P, {}),
    (nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits, (PAIR[0], P[0]), {}),
    (nn.KLDivLoss("batchmean"), F.kl_div, (PAIR[0], P[0]), {"reduction": "batchmean"}),
]


@pytest.mark.parametrize(("module", "function", "inputs", "options"), FORMS)
def test_a_function_gives_what_its_module_gives(module, function, inputs, options) -> None:
    np.testing.assert_array_equal(function(*inputs, **options).numpy(), module(*inputs).numpy())


# attention modules have projections, and give weights, too; functions of a recurrent layer are
# those of its cells; layers of images are compared with PyTorch's, as are their functions
ELSEWHERE = {
    "test_attention.py": {"scaled_dot_product_attention"},
    "test_convolution.py": {f"conv{kind}{n}d" for n in (1, 2, 3) for kind in ("", "_transpose")},
    "test_ctc.py": {"ctc_loss"},
    "test_dropout.py": {f"dropout{n}d" for n in (1, 2, 3)},
    "test_embedding.py": {"embedding_bag"},
    "test_normalization.py": {"instance_norm", "local_response_norm"},
    "test_pooling.py": {
        f"{kind}{n}d"
        for n in (1, 2, 3)
        for kind in (
            "avg_pool", "max_pool", "max_unpool", "lp_pool", "adaptive_avg_pool",
            "adaptive_max_pool",
        )
    },
    "test_recurrence.py": {"rnn", "lstm", "gru"},
    "test_resizing.py": {
        "channel_shuffle", "fold", "interpolate", "pad", "pixel_shuffle", "pixel_unshuffle",
        "unfold", "upsample",
    },
}  # fmt: skip


def test_every_function_and_every_module_is_compared() -> None:
    public = {getattr(F, name).__name__ for name in F.__all__}
    elsewhere = {name for names in ELSEWHERE.values() for name in names}
    assert {function.__name__ for _, function, _, _ in FORMS} == public - elsewhere
    compared = {type(module).__name__ for module, *_ in FORMS}
    families = ("activation", "layer", "loss", "normalization")
    modules = {
        name
        for name in nn.__all__
        if getattr(getattr(nn, name), "__module__", "").removeprefix("needle.nn.") in families
    }
    of_images = {
        f"{kind}{n}d" for n in (1, 2, 3) for kind in ("BatchNorm", "Dropout", "InstanceNorm")
    }
    others = {"Identity", "LayerNorm1d", "LocalResponseNorm"}
    assert modules - compared == (of_images | others) - {"BatchNorm1d"}


def test_batch_norm_outside_training_needs_running_statistics() -> None:
    with pytest.raises(ValueError, match="expected running statistics"):
        F.batch_norm(draw(4, 3), None, None)
    y = F.batch_norm(draw(4, 3), ndl.init.zeros(3), ndl.init.ones(3), eps=0.0)
    np.testing.assert_array_equal(y.numpy(), draw(4, 3).numpy())


def test_group_norm_of_channels_that_do_not_split() -> None:
    with pytest.raises(ValueError, match="3 channels do not split into 2 groups"):
        F.group_norm(draw(4, 3), 2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: F.layer_norm(x, 4), r"LayerNorm expected \(\.\.\., 4\), got \(4, 3\)"),
        (lambda x: F.layer_norm(x, (2, 4, 3)), r"expected \(\.\.\., 2, 4, 3\), got \(4, 3\)"),
        (lambda x: F.rms_norm(x, 4), r"RMSNorm expected \(\.\.\., 4\), got \(4, 3\)"),
        (lambda x: F.group_norm(x.sum(0), 1), r"GroupNorm expected \(N, C, \.\.\.\), got \(3,\)"),
        (
            lambda x: F.batch_norm(x.sum(0), None, None),
            r"BatchNorm expected \(N, C, \.\.\.\), got \(3,\)",
        ),
    ],
)
def test_normalisation_of_another_shape(call, text) -> None:
    with pytest.raises(ValueError, match=text):
        call(draw(4, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.layer_norm(x, 3),
        lambda x: F.rms_norm(x, 3),
        lambda x: F.group_norm(x, 1),
        lambda x: F.dropout(x, 0.5),
        lambda x: F.linear(x, ndl.init.rand(3, 2)),
        lambda x: F.bilinear(x, x, ndl.init.rand(2, 3, 3)),
        lambda x: F.batch_norm(x, None, None, training=True),
    ],
)
def test_functions_of_integers(call) -> None:
    with pytest.raises(TypeError, match="expected floating-point numbers, got int64"):
        call(ndl.Tensor([[1, 2, 3]]))


def test_dropout_outside_training() -> None:
    x = draw(3, 4)
    assert F.dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize(
    ("weight", "bias", "text"),
    [
        ((4, 2), (2,), r"Linear expected \(\.\.\., 4\), got \(4, 3\)"),
        ((3, 2), (5,), r"a bias of shape \(5,\) does not fit 2 outputs"),
        ((1, 3, 2), (2,), "the weight is a matrix"),
    ],
)
def test_linear_with_parameters_that_do_not_fit(weight, bias, text) -> None:
    with pytest.raises(ValueError, match=text):
        F.linear(draw(4, 3), ndl.init.ones(*weight), ndl.init.ones(*bias))


@pytest.mark.parametrize("family", [nn.function, nn.layer, nn.loss, nn.normalization])
def test_modules_leave_checks_to_the_functions(family) -> None:
    forwards = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(family)))
        if isinstance(node, ast.FunctionDef) and node.name == "forward"
    ]
    assert forwards
    assert not any(isinstance(node, ast.Raise) for each in forwards for node in ast.walk(each))


def test_weights_may_be_arrays() -> None:
    array = np.array([1.0, 2.0, 0.5])
    for function in (F.cross_entropy, F.nll_loss):
        expected = function(draw(4, 3), LABELS, ndl.Tensor(array)).numpy()
        np.testing.assert_array_equal(function(draw(4, 3), LABELS, array).numpy(), expected)
    with pytest.raises(ValueError, match=r"a weight for each of 3 classes, got \(2,\)"):
        F.cross_entropy(draw(4, 3), LABELS, np.ones(2))
