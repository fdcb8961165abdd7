import re

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adagrad, Adam, AdamW, Lion, Optimizer, RMSprop


def test_a_parameter_without_gradient_stays(make_params, give_gradients):
    params = make_params()
    give_gradients(params)
    params[1].grad = None
    before = [param.numpy() for param in params]
    SGD(params, lr=0.1, weight_decay=0.5).step()
    changed = [
        not np.array_equal(param.numpy(), old) for param, old in zip(params, before, strict=True)
    ]
    assert changed == [True, False, True, True, True]


@pytest.mark.parametrize("method", ["reset_grad", "zero_grad"])
def test_gradients_are_forgotten(make_params, give_gradients, method):
    params = make_params()
    give_gradients(params)
    getattr(SGD(params), method)()
    assert all(param.grad is None for param in params)


def test_a_step_sees_a_replaced_array(make_params, give_gradients):
    (weight,) = make_params([(3, 2)])
    optimizer = SGD([weight], lr=1.0)
    give_gradients([weight])
    optimizer.step()
    weight.data = ndl.Tensor(np.zeros((3, 2), "float32"))
    (gradient,) = give_gradients([weight], seed=1)
    optimizer.step()
    np.testing.assert_array_equal(weight.numpy(), -gradient)


def test_empty_parameter_list():
    with pytest.raises(ValueError, match="at least one parameter"):
        SGD([])


@pytest.mark.parametrize(
    "single",
    [ndl.Tensor([1.0]), ndl.nn.Linear(2, 2), {"params": [ndl.Tensor([1.0])]}, None],
    ids=lambda single: type(single).__name__,
)
def test_what_is_no_list_is_refused(single):
    text = rf"got one {type(single).__name__}: .*model\.parameters.*\[tensor\].*\[group\]"
    with pytest.raises(TypeError, match=text):
        SGD(single)


def test_things_that_are_not_tensors():
    with pytest.raises(TypeError, match="ndarray at position 1"):
        SGD([ndl.Tensor([1.0]), np.ones(2)])


def test_a_generator_of_parameters_is_read_once(make_params, give_gradients):
    params = make_params()
    optimizer = SGD((param for param in params), lr=0.1)
    before = [param.numpy() for param in params]
    give_gradients(params)
    optimizer.step()
    assert not any(np.array_equal(p.numpy(), b) for p, b in zip(params, before, strict=True))


def test_an_optimizer_of_the_user_with_its_own_step():
    class Sign(Optimizer):
        def __init__(self, params, lr):
            super().__init__(params)
            self.lr = lr

        def step(self):
            for param in self.params:
                param.data = param.data - self.lr * ndl.Tensor(np.sign(param.grad.numpy()))

    weight = ndl.Tensor([1.0, 2.0])
    weight.grad = ndl.Tensor([3.0, -4.0])
    Sign([weight], lr=0.5).step()
    np.testing.assert_array_equal(weight.numpy(), [0.5, 2.5])


def test_an_optimizer_of_the_user_by_its_rule(make_params, give_gradients, lay_out):
    class Sign(Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        def update(self, theta, g, state, settings, step):
            return theta - settings.lr * np.sign(g), state

    for layout in ("together", "pieces"):
        lay_out(layout)
        params = make_params()
        before = [param.numpy() for param in params]
        gradients = give_gradients(params)
        Sign(params).step()
        for param, old, gradient in zip(params, before, gradients, strict=True):
            np.testing.assert_allclose(param.numpy(), old - 0.5 * np.sign(gradient))


def test_an_optimizer_without_a_rule_says_so(make_params, train):
    with pytest.raises(NotImplementedError, match=r"update\(\)"):
        train(Optimizer(make_params()), [0])


def test_integer_parameters_are_refused():
    with pytest.raises(TypeError, match=r"int64 at position 1 of group 0.*astype"):
        SGD([ndl.Tensor([1.0]), ndl.Tensor([1])])


SQUARING = ["Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW"]


@pytest.mark.parametrize("name", SQUARING)
def test_squares_of_gradients_in_float16_are_a_warning(name):
    half, single = ndl.Tensor([1.0], dtype="float16"), ndl.Tensor([1.0], dtype="float32")
    rule = getattr(ndl.optim, name)
    lost = "of 256 on: keep" if name == "Adadelta" else "eps=.* becomes 0: keep"
    with pytest.warns(UserWarning, match=f"{name} .* overflow in float16 .*{lost}") as caught:
        rule([single, half])
    assert [warning.filename for warning in caught] == [__file__]
    optimizer = rule([single])  # without a warning, as what follows
    with pytest.warns(UserWarning, match="float16"):
        optimizer.add_param_group({"params": [half]})
    SGD([half], momentum=0.9)
    Lion([half])


def test_a_tensor_that_an_op_made_is_refused():
    with pytest.raises(ValueError, match=r"MulScalar.*never gets a gradient"):
        SGD([ndl.Tensor([1.0]) * 0.01])


def test_the_same_parameter_twice_is_refused():
    weight = ndl.Tensor([1.0])
    with pytest.raises(ValueError, match="position 1 of group 0 is also in position 0"):
        SGD([weight, weight])
    with pytest.raises(ValueError, match="position 0 of group 1 is also in another group"):
        SGD([{"params": [weight]}, {"params": [weight]}])


def test_groups_have_their_own_settings(make_params, give_gradients):
    params = make_params([(2, 3), (3,), (3, 2)])
    before = [param.numpy() for param in params]
    optimizer = SGD(
        [{"params": params[:2]}, {"params": params[2], "lr": 0.5, "weight_decay": 0.1}], lr=0.25
    )
    first, second, third = give_gradients(params)
    optimizer.step()
    np.testing.assert_allclose(params[0].numpy(), before[0] - 0.25 * first, rtol=1e-6)
    np.testing.assert_allclose(params[1].numpy(), before[1] - 0.25 * second, rtol=1e-6)
    decayed = third + np.float32(0.1) * before[2]
    np.testing.assert_allclose(params[2].numpy(), before[2] - 0.5 * decayed, rtol=1e-6)


def test_groups_like_torch(make_params, give_gradients):
    torch = pytest.importorskip("torch")
    params = make_params(dtype="float64")
    twins = [torch.nn.Parameter(torch.from_numpy(param.numpy())) for param in params]

    def groups(tensors):
        return [
            {"params": tensors[:2], "betas": (0.5, 0.9)},
            {"params": tensors[2:], "lr": 0.3, "weight_decay": 0.1},
        ]

    ours = Adam(groups(params), lr=0.01)
    theirs = torch.optim.Adam(groups(twins), lr=0.01)
    for step in range(20):
        gradients = give_gradients(params, seed=step)
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = torch.from_numpy(gradient)
        ours.step()
        theirs.step()
    for param, twin in zip(params, twins, strict=True):
        np.testing.assert_allclose(param.numpy(), twin.detach().numpy(), rtol=1e-10, atol=1e-10)


def test_a_group_added_later_starts_afresh(make_params, train, give_gradients):
    old, new = make_params([(2, 3), (4,)])
    optimizer = Adam([old], lr=0.1)
    train(optimizer, range(3))
    optimizer.add_param_group({"params": [new], "lr": 0.5})
    before = new.numpy()
    gradient = give_gradients(optimizer.params)[1]
    optimizer.step()
    assert optimizer.params == [old, new]
    assert [optimizer.state[param]["step"] for param in (old, new)] == [4, 1]
    # the first step of Adam is lr in the direction of the gradient's sign
    np.testing.assert_allclose(new.numpy(), before - 0.5 * np.sign(gradient), rtol=1e-5)


def test_lr_of_all_groups_is_read_and_set(make_params):
    first, second = make_params([(2,), (3,)])
    optimizer = SGD([{"params": [first]}, {"params": [second], "lr": 0.5}], lr=0.1)
    with pytest.raises(ValueError, match=r"differ in lr \(\[0.1, 0.5\]\).*param_groups"):
        _ = optimizer.lr
    optimizer.lr = 0.2
    assert optimizer.lr == 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]
    optimizer.momentum = 0.5
    assert [group["momentum"] for group in optimizer.param_groups] == [0.5, 0.5]


def test_a_changed_setting_acts_from_the_next_step(make_params, give_gradients):
    (weight,) = make_params([(3,)])
    optimizer = SGD([weight], lr=0.1)
    for lr in (0.1, 0.7):
        optimizer.param_groups[0]["lr"] = lr
        before = weight.numpy()
        (gradient,) = give_gradients([weight])
        optimizer.step()
        np.testing.assert_allclose(weight.numpy(), before - lr * gradient, rtol=1e-5)


def test_momentum_turned_on_in_the_middle_starts_from_zero(make_params, give_gradients):
    (weight,) = make_params([(3,)])
    optimizer = SGD([weight], lr=1.0, dampening=0)
    give_gradients([weight])
    optimizer.step()
    optimizer.momentum = 0.5
    before = weight.numpy()
    (gradient,) = give_gradients([weight])
    optimizer.step()
    np.testing.assert_allclose(weight.numpy(), before - gradient, rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "name", "value", "allowed"),
    [
        (SGD, "lr", -0.1, "at least 0"),
        (SGD, "lr", float("nan"), "finite"),
        (SGD, "lr", "1e-3", "number"),
        (SGD, "lr", True, "number"),
        (SGD, "lr", None, "number"),
        (SGD, "momentum", 1.0, r"\[0, 1\)"),
        (SGD, "dampening", -1, "None or a number"),
        (SGD, "nesterov", 1, "True or False"),
        (Adam, "beta1", 1.0, r"\[0, 1\)"),
        (Adam, "beta1", (0.9, 0.99), r"\[0, 1\)"),
        (Adam, "beta2", -0.1, r"\[0, 1\)"),
        (Adam, "betas", 0.9, "pair"),
        (Adam, "eps", -1e-8, "at least 0"),
        (Adam, "amsgrad", "yes", "True or False"),
        (AdamW, "weight_decay", float("inf"), "finite"),
        (RMSprop, "alpha", 2, r"\[0, 1\)"),
        (Adagrad, "lr_decay", -1, "at least 0"),
        (Lion, "lr", np.nan, "finite"),
        (Lion, "maximize", None, "True or False"),
    ],
)
def test_impossible_settings_say_name_value_and_range(make_params, optimizer, name, value, allowed):
    text = f"^{name} must be .*{allowed}.*got {re.escape(repr(value))}$"
    with pytest.raises(ValueError, match=text):
        optimizer(make_params(), **{name: value})
    with pytest.raises(ValueError, match=text):
        optimizer([{"params": make_params(), name: value}])
    good = optimizer(make_params())
    before = dict(good.param_groups[0])
    with pytest.raises(ValueError, match=text):
        good.param_groups[0][name] = value
    with pytest.raises(ValueError, match=text):
        good.param_groups[0].update({name: value})
    assert dict(good.param_groups[0]) == before


def test_an_unknown_setting_of_a_group_is_refused(make_params):
    with pytest.raises(ValueError, match=r"group 0 has unknown settings \['learning_rate'\].*lr"):
        SGD([{"params": make_params(), "learning_rate": 0.1}])
    with pytest.raises(ValueError, match="unknown settings"):
        SGD([{"params": make_params(), "betas": (0.9, 0.9)}])


def test_a_group_needs_params(make_params):
    with pytest.raises(TypeError, match='"params"'):
        SGD([{"lr": 0.1}])
    with pytest.raises(TypeError, match='"params"'):
        SGD(make_params()).add_param_group(make_params())


def test_the_parameters_of_a_group_cannot_be_replaced(make_params):
    optimizer = SGD(make_params())
    with pytest.raises(ValueError, match="add_param_group"):
        optimizer.param_groups[0]["params"] = []


def test_groups_without_parameters_are_refused_only_if_all_are(make_params):
    assert len(SGD([{"params": []}, {"params": make_params()}]).params) == 5
    with pytest.raises(ValueError, match="at least one parameter"):
        SGD([{"params": []}])


def test_a_setting_that_an_optimizer_lacks(make_params):
    with pytest.raises(AttributeError, match="no setting 'lr'"):
        _ = Optimizer(make_params()).lr


def test_repr_names_settings_and_sizes(make_params):
    assert repr(SGD(make_params(), lr=0.5)).startswith("SGD(lr=0.5, momentum=0.0")
    assert "5 parameters" in repr(SGD(make_params()))


def test_pairs_of_name_and_parameter():
    model = ndl.nn.Linear(2, 3)
    optimizer = SGD(model.named_parameters(), lr=0.1)
    assert optimizer.params == [model.weight, model.bias]
    grouped = SGD([{"params": model.named_parameters(), "lr": 1.0}])
    assert grouped.params == [model.weight, model.bias]


def test_a_closure_computes_the_loss():
    x = ndl.Tensor([3.0])
    optimizer = SGD([x], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with ndl.no_grad():
        assert optimizer.step(closure).item() == 9
    assert x.item() == 0
    assert optimizer.step() is None


def test_gradients_become_zeros_on_request(make_params, give_gradients):
    params = make_params()
    give_gradients(params)
    params[0].grad = None
    optimizer = SGD(params)
    optimizer.zero_grad(set_to_none=False)
    assert params[0].grad is None
    for param in params[1:]:
        assert param.grad.shape == param.shape
        assert not param.grad.numpy().any()
    optimizer.zero_grad(set_to_none=True)
    assert all(param.grad is None for param in params)


MODELS = {
    "sequential": lambda: ndl.nn.Sequential(ndl.nn.Linear(2, 3)),
    "module list": lambda: ndl.nn.ModuleList([ndl.nn.Linear(2, 3)]),
    "module dict": lambda: ndl.nn.ModuleDict({"a": ndl.nn.Linear(2, 3)}),
    "layer": lambda: ndl.nn.Linear(2, 3),
}
TAKERS = {
    "Adam": ndl.optim.Adam,
    "group": lambda given: ndl.optim.SGD([{"params": given}]),
    "clip_grad_norm_": lambda given: ndl.optim.clip_grad_norm_(given, 1.0),
    "clip_grad_value_": lambda given: ndl.optim.clip_grad_value_(given, 1.0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("taker", TAKERS)
def test_a_model_in_place_of_its_parameters(model, taker) -> None:
    given = MODELS[model]()
    with pytest.raises(
        TypeError, match=rf"got one {type(given).__name__}: write model\.parameters"
    ):
        TAKERS[taker](given)
    with pytest.raises(TypeError, match=r"at position 0.*: pass its parameters\(\)"):
        TAKERS[taker]([given])


@pytest.mark.parametrize("taker", TAKERS)
def test_what_else_is_no_tensor(taker) -> None:
    with pytest.raises(TypeError, match=r"got (one )?int"):
        TAKERS[taker](3)
    with pytest.raises(TypeError, match=r"got ndarray at position 1.*: convert with Tensor\(x\)"):
        TAKERS[taker]([ndl.Tensor([1.0]), np.ones(3)])


def test_clipping_takes_names_too() -> None:
    layer = ndl.nn.Linear(2, 3)
    layer(ndl.init.ones(4, 2)).sum().backward()
    assert ndl.optim.clip_grad_norm_(layer.named_parameters(), 1.0) > 1
