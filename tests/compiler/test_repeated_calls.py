"""What a call does before and after its work: checks that a recording still fits, and effects."""

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn
from needle.autograd import modes
from needle.compiler import captured
from needle.compiler.native.addresses import address_of
from needle.compiler.recording import nodes_left
from needle.compiler.unrolled import unrolled
from needle.device import draw_instead, note_array
from tests.interruption import interrupted, is_needles


def large_layers(optimizer):
    """A training step of layers that are too large to be updated together."""

    def build():
        model = nn.Sequential(*[nn.Linear(100, 100) for _ in range(3)])
        rule = optimizer(model.parameters())

        def step(x):
            loss = (model(x) ** 2).mean()
            rule.reset_grad()
            loss.backward(create_graph=False)
            rule.step()
            return loss

        return step, (model, rule)

    return build


X = [np.random.default_rng(i).normal(size=(5, 100)).astype(np.float32) for i in range(4)]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda params: ndl.optim.SGD(params, lr=0.1, momentum=0.9),
        lambda params: ndl.optim.Adam(params, lr=0.01),
    ],
)
def test_parameters_of_one_group_share_the_numbers_of_their_rule(optimizer, agree):
    step = agree(large_layers(optimizer), [[x] for x in X])
    (update,) = step._last.actions
    assert len(update.buckets) == 4  # three weights, and all biases
    assert step.recordings == 1


def test_parameters_whose_counts_of_steps_differ_have_numbers_of_their_own(agree):
    """An eager step without the gradient of one weight lets its count of steps stay behind."""

    def between(number, model, rule):
        if number == 2:
            rule.reset_grad()
            (model[1:](Tensor(X[0])) ** 2).mean().backward()
            rule.step()
            rule.reset_grad()

    step = agree(
        large_layers(lambda params: ndl.optim.Adam(params, lr=0.01)),
        [[x] for x in X],
        between=between,
    )
    assert len(step._last.actions) > 1
    assert step.recordings == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_groups_and_dtypes_have_numbers_of_their_own(dtype, agree):
    def build():
        weights = [
            Tensor(np.ones((100, 100), dtype)),
            Tensor(np.ones((100, 100), np.float64)),
            Tensor(np.ones((100, 100), np.float64)),
        ]
        groups = [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.5}]
        rule = ndl.optim.SGD(groups, lr=0.25)

        def step(x):
            rule.reset_grad()
            loss = sum((weight * x).sum() for weight in weights)
            loss.backward(create_graph=False)
            rule.step()
            return loss

        return step, (*weights, rule)

    x = np.arange(100).astype(dtype) / 4  # all sums are exact
    step = agree(build, [[x], [x]])
    assert len(step._last.actions) == (3 if dtype == np.float32 else 2)


def test_a_variable_that_is_deleted_and_set_again():
    weight, scale = Tensor([1.0, 2.0]), 2.0

    @ndl.compile(executor="numpy")
    def double(x):
        return weight * x * (scale if "scale" else 0)

    x = Tensor([1.0, 1.0], requires_grad=False)
    assert double(x).numpy().tolist() == [2.0, 4.0]
    del scale
    with pytest.raises(NameError, match="scale"):
        double(x)
    scale = 3.0
    assert double(x).numpy().tolist() == [3.0, 6.0]


def test_tensors_whose_arrays_are_replaced_or_frozen(executor):
    weight = Tensor([1.0, 2.0])

    @ndl.compile(executor=executor)
    def product(x):
        y = weight * x
        return y, Tensor(float(y.requires_grad))

    x = Tensor([3.0, 3.0], requires_grad=False)
    for array in ([1.0, 2.0], [5.0, 6.0], [7.0, 8.0]):
        weight.data = Tensor(array)
        assert product(x)[0].numpy().tolist() == [3 * number for number in array]
    assert product.recordings == 1
    weight.requires_grad = False
    assert product(x)[1].item() == 0
    assert product.recordings == 2


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(6.0)[::-2],
        np.zeros((0, 3)),
        np.frombuffer(bytes(16), np.float32),
        np.array(3, np.int8),
        np.zeros(3, bool),
    ],
    ids=["contiguous", "transposed", "backwards", "empty", "read-only", "scalar", "booleans"],
)
def test_address_of(array):
    assert address_of(array) == array.__array_interface__["data"][0]


def test_unrolled_functions_see_changed_entries():
    function = unrolled("if {0} != {1}: return False", [1, 2], [1, 2], last="return True")
    assert function()
    function.__globals__["x1_1"] = 3
    assert not function()
    assert unrolled("", last="return 5")() == 5


def test_equal_numbers_in_other_objects_are_no_change(monkeypatch):
    """A variable that is set anew before each call costs no new code."""
    model, scale = nn.Linear(2, 2), 1.0

    @ndl.compile(executor="numpy")
    def scaled(x):
        return model(x) * scale

    x = Tensor(np.ones((1, 2), np.float32), requires_grad=False)
    expected = scaled(x).numpy()
    monkeypatch.setattr(captured, "unrolled", lambda *args, **options: pytest.fail("written anew"))
    for number in range(1, 4):
        scale = number / number
        np.testing.assert_array_equal(scaled(x).numpy(), expected)
    assert scaled.recordings == 1
    monkeypatch.undo()
    scale = 2.0
    np.testing.assert_allclose(scaled(x).numpy(), 2 * expected)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_while_recording_leaves_all_modes():
    x = Tensor([1.0, 2.0], requires_grad=False)
    variables = [modes.observers, modes.is_lazy, modes.effects, draw_instead, note_array]

    def state():
        return [variable.get() for variable in variables], nodes_left.get(None)

    before, at, was = state(), 0, True
    while was:
        at += 23
        step = ndl.compile(lambda x: x * 2, executor="numpy")
        was = interrupted(lambda step=step: step(x), at, is_inside=is_needles)
        assert state() == before, f"at bytecode {at}"
        assert step(x).numpy().tolist() == [2.0, 4.0]
    assert at > 1_000
