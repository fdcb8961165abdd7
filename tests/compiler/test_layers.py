"""Layers, losses and whole networks: compiled training steps and inference against eager ones."""

import numpy as np
import pytest

import needle as ndl
from needle import nn
from needle.compiler import recorded_step

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


LAYERS = {
    "linear": (lambda: nn.Linear(4, 3), (5, 4)),
    "bilinear": (lambda: nn.Bilinear(4, 4, 3), (5, 4), (5, 4)),
    "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), (4, 2, 3)),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.3)), (5, 4)),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), (5, 4)),
    "batch norm of images": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4)),
    "layer norm": (lambda: nn.LayerNorm(4), (5, 4)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (5, 4, 3)),
    "rms norm": (lambda: nn.RMSNorm(4), (5, 4)),
    "convolution": (lambda: nn.Conv(2, 3, 3), (2, 2, 5, 5)),
    "few channels": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 2, 5, 5)),
    "many channels": (lambda: nn.Conv2d(32, 3, 3, padding=1), (2, 32, 5, 5)),
    "strides and groups": (lambda: nn.Conv2d(4, 6, 3, 2, dilation=2, groups=2), (2, 4, 9, 8)),
    "pixels alone": (lambda: nn.Conv2d(4, 6, 1), (2, 4, 3, 3)),
    "depthwise": (lambda: nn.Conv1d(4, 8, 3, groups=4), (2, 4, 9)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2), (2, 3, 4, 4)),
    "LSTM": (lambda: nn.Sequential(nn.LSTM(4, 3)), (5, 2, 4)),
    "attention": (lambda: nn.AttentionLayer(4, 2, 3, dropout=0.1), (2, 3, 4)),
    "transformer": (lambda: nn.TransformerLayer(4, 2, 3, 5, dropout=0.1), (2, 3, 4)),
    "residual": (lambda: nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), (5, 4)),
    **{
        kind.__name__: (lambda kind=kind: nn.Sequential(nn.Linear(4, 3), kind()), (5, 4))
        for kind in (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid,
                     nn.Tanh, nn.Hardtanh, nn.Softmax, nn.LogSoftmax)
    },
}  # fmt: skip


def first_of(result):
    return first_of(result[0]) if isinstance(result, tuple | ndl.TensorTuple) else result


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_training_and_evaluation(name, agree, executor, request):
    make, *shapes = LAYERS[name]
    if executor == "numba" and name not in {"linear", "dropout", "batch norm"}:
        request.getfixturevalue("interpreted")

    def build():
        model = make()
        # a small rate: the steps of norms over few elements amplify rounding
        optimizer = ndl.optim.SGD(model.parameters(), lr=0.01) if [*model.parameters()] else None

        def step(*inputs):
            y = first_of(model(*inputs))
            if not model.training:
                return y
            loss = (y * y).mean()
            if optimizer is not None:
                optimizer.reset_grad()
                loss.backward(create_graph=False)
                optimizer.step()
            return loss

        return step, [model]

    def between(number, model):
        model.train(number < 3)

    batches = [tuple(floats(*shape) for shape in shapes) for _ in range(4)]
    step = agree(build, batches, between=between)
    assert step.recordings == 2


CLASSES = np.array([0, 2, 1, 1])
LOSSES = {
    "softmax": (nn.SoftmaxLoss(), CLASSES),
    "cross entropy": (nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=2), CLASSES),
    "nll": (nn.NLLLoss(), CLASSES),
    "mse": (nn.MSELoss(), floats(4, 3)),
    "l1": (nn.L1Loss(), floats(4, 3)),
    "smooth l1": (nn.SmoothL1Loss(), floats(4, 3)),
    "huber": (nn.HuberLoss(), floats(4, 3)),
    "bce": (nn.BCEWithLogitsLoss(), RNG.uniform(size=(4, 3)).astype("float32")),
    "kl": (nn.KLDivLoss(), RNG.uniform(size=(4, 3)).astype("float32")),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient(name, agree, executor, request):
    if executor == "numba" and name not in {"softmax", "mse"}:
        request.getfixturevalue("interpreted")
    loss_function, target = LOSSES[name]

    def step(x, target):
        x = x * 1
        x.requires_grad = True
        loss = loss_function(x, target)
        return loss, ndl.grad(lambda x: loss_function(x, target))(x.detach())

    agree(lambda: (step, []), [(floats(4, 3), target)] * 2)


def test_a_model_for_inference(executor, close):
    np.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    model.eval()
    compiled = ndl.compile(model, executor=executor)
    for rows in (5, 5, 2):
        x = ndl.Tensor(floats(rows, 4), requires_grad=False)
        close(compiled(x), model(x).detach())
    assert compiled.recordings == 2
    model.train()
    model(ndl.Tensor(floats(6, 4)))
    model.eval()
    x = ndl.Tensor(floats(5, 4), requires_grad=False)
    close(compiled(x), model(x).detach())


def test_a_model_stays_what_it_is():
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    compiled = ndl.compile(model, executor="numpy")
    assert [name for name, _ in compiled.named_parameters()] == ["0.weight", "0.bias"]
    assert compiled.eval() is compiled  # not the model, which is slower
    assert not compiled.training


def test_backward_of_a_compiled_model_says_what_to_compile():
    model = nn.Linear(4, 3)
    with pytest.raises(RuntimeError, match="compile the whole step"):
        ndl.compile(model, executor="numpy")(ndl.Tensor(floats(5, 4))).sum().backward()


def test_modes_of_a_lone_dropout(executor, close):
    layer = nn.Dropout(0.5)
    compiled = ndl.compile(layer, executor=executor)
    x = ndl.Tensor(np.ones((20, 20)), requires_grad=False)
    np.random.seed(0)
    first = compiled(x)
    np.random.seed(0)
    close(first, layer(x))
    layer.eval()
    close(compiled(x), x)


def test_draws_of_a_generator(agree):
    def build():
        generator = ndl.Generator(3)
        layer = nn.Dropout(0.5, generator=generator)

        def step(x):
            return layer(x), ndl.init.randn(3, generator=generator), ndl.init.rand(2)

        return step, []

    agree(build, [(np.ones((3, 4)),)] * 3)


def test_running_statistics_are_those_of_eager_steps(agree):
    def build():
        layer = nn.BatchNorm1d(3)
        return lambda x: (layer(x) * x).sum(), [layer]

    agree(build, [(floats(5, 3),) for _ in range(3)])


def test_executors_have_names():
    assert list(recorded_step.EXECUTORS) == ["numba", "numpy"]


PADDED = ndl.init.randn(4, 2, 3)


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (
            lambda lengths: nn.utils.rnn.pack_padded_sequence(PADDED, lengths).data.sum(),
            r"layer\(x, lengths=lengths\)",
        ),
        (
            lambda starts: nn.functional.embedding_bag(ndl.Tensor([1, 0, 1]), PADDED[0], starts),
            "EmbeddingBag .* indices, with a padding_idx",
        ),
        (
            lambda lengths: nn.functional.ctc_loss(
                PADDED, ndl.Tensor([1, 2, 1]), ndl.Tensor([4, 4]), lengths
            ),
            r"targets of CTCLoss as a matrix, \(2, longest\)",
        ),
    ],
)
def test_shapes_that_depend_on_numbers_are_errors_that_say_what_to_do(call, instead):
    for transformed, numbers in ((ndl.compile(call), [2, 1]), (ndl.vmap(call), [[2, 1]])):
        with pytest.raises(TypeError, match=f"Here a shape depends on them: .*{instead}"):
            transformed(ndl.Tensor(numbers))


@pytest.mark.parametrize("channels", [2, 32])
def test_convolutions_stay_calls_that_write_where_they_are_told_to(channels):
    weight = ndl.Tensor(floats(3, channels, 3, 3), requires_grad=True)

    @ndl.compile
    def step(x):
        ndl.convolution(x, weight, padding=1).sum().backward(create_graph=False)
        return weight.grad

    x = ndl.Tensor(floats(2, channels, 5, 5))
    for _ in range(2):
        found = step(x)
    calls = step.report().partition("not opened")[2]
    assert "ConvolutionOfWeights " in calls
    assert "it computes into the memory that it is given" in calls
    ndl.convolution(x, weight, padding=1).sum().backward()
    np.testing.assert_allclose(found.numpy(), weight.grad.numpy(), rtol=1e-4, atol=1e-4)
