"""Hooks around forward and backward, and their handles."""

import numpy as np
import pytest

import needle as ndl
from needle import nn


def numbers(tensors) -> list:
    return [None if tensor is None else tensor.numpy().tolist() for tensor in tensors]


def test_forward_hooks_see_arguments_and_output_in_order() -> None:
    layer, calls = nn.ReLU(), []
    layer.register_forward_pre_hook(lambda module, args: calls.append(("before", module, args)))
    layer.register_forward_hook(lambda module, args, y: calls.append(("first", module, args, y)))
    layer.register_forward_hook(lambda module, args, y: calls.append(("second", module, args, y)))
    x = ndl.Tensor([-1.0, 2.0])
    y = layer(x)
    assert [call[0] for call in calls] == ["before", "first", "second"]
    assert all(call[1] is layer and call[2] == (x,) for call in calls)
    assert calls[1][3] is calls[2][3] is y


def test_what_forward_hooks_return_takes_the_place() -> None:
    layer = nn.ReLU()
    layer.register_forward_pre_hook(lambda module, args: args[0] * -1)
    layer.register_forward_hook(lambda module, args, y: y + 10)
    np.testing.assert_array_equal(layer(ndl.Tensor([-1.0, 2.0])).numpy(), [11.0, 10.0])


def test_a_handle_takes_its_own_hook_away() -> None:
    layer, calls = nn.ReLU(), []
    handles = [layer.register_forward_hook(lambda *_, k=k: calls.append(k)) for k in range(3)]
    handles[1].remove()
    handles[1].remove()  # no second time
    layer(ndl.Tensor([1.0]))
    with handles[0]:
        layer(ndl.Tensor([1.0]))
    layer(ndl.Tensor([1.0]))
    assert calls == [0, 2, 0, 2, 2]


def test_hooks_whose_handles_are_dropped_stay() -> None:
    layer, x, calls = nn.ReLU(), ndl.Tensor([1.0]), []
    for k in range(3):
        layer.register_forward_hook(lambda *_, k=k: calls.append(k))
        x.register_hook(lambda _, k=k: calls.append(-k))
    layer(x).backward()
    assert calls == [0, 1, 2, 0, -1, -2]


def test_a_hook_may_remove_itself() -> None:
    layer, calls = nn.ReLU(), []

    def once(*_) -> None:
        calls.append("called")
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer(ndl.Tensor([1.0]))
    layer(ndl.Tensor([1.0]))
    assert calls == ["called"]


def test_hooks_of_a_layer_inside_a_model() -> None:
    model, shapes = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, args, y, name=name: shapes.update({name: y.shape}))
    model(ndl.init.rand(5, 3))
    assert shapes == {"": (5, 2), "0": (5, 4), "1": (5, 4), "2": (5, 2)}


# --- backward


class Pair(nn.Module):
    """Two inputs, two outputs, one input unused by the second output."""

    def forward(self, a, b):
        return a * b, a * 3


def test_backward_hook_sees_both_sides() -> None:
    layer, seen = nn.Residual(nn.ReLU()), []
    layer.fn.register_full_backward_hook(lambda *call: seen.append(call))
    x = ndl.Tensor([-1.0, 2.0])
    (layer(x) * ndl.Tensor([5.0, 7.0])).backward()
    ((module, inputs, outputs),) = seen
    assert module is layer.fn
    # the layer's own share: the residual's share of x's adjoint is not in it
    assert numbers(inputs) == [[0.0, 7.0]]
    assert numbers(outputs) == [[5.0, 7.0]]
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 14.0])


def test_what_a_backward_hook_returns_takes_the_place() -> None:
    layer = nn.Linear(2, 3)
    handle = layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 10,))
    x = ndl.init.rand(4, 2, requires_grad=True)
    layer(x).sum().backward()
    changed, of_weight = x.grad.numpy(), layer.weight.grad.numpy()
    handle.remove()
    layer(x).sum().backward()
    np.testing.assert_allclose(changed, x.grad.numpy() * 10, rtol=1e-6)
    np.testing.assert_array_equal(of_weight, layer.weight.grad.numpy())


def test_backward_hook_of_several_inputs_and_outputs() -> None:
    layer, seen = Pair(), []
    layer.register_full_backward_hook(lambda module, *grads: seen.extend(map(numbers, grads)))
    a, b = ndl.Tensor([2.0]), ndl.Tensor([5.0])
    first, second = layer(a, b)
    (first * 4 + second).backward()
    assert seen == [[[23.0], [8.0]], [[4.0], [1.0]]]
    assert (a.grad.item(), b.grad.item()) == (23.0, 8.0)


def test_an_output_that_is_not_used_has_adjoint_zero() -> None:
    layer, seen = Pair(), []
    layer.register_full_backward_hook(lambda module, *grads: seen.extend(map(numbers, grads)))
    layer(ndl.Tensor([2.0]), ndl.Tensor([5.0]))[0].backward()
    assert seen == [[[5.0], [2.0]], [[1.0], [0.0]]]


def test_backward_hook_of_the_first_layer() -> None:
    layer, seen = nn.Linear(2, 1, bias=False), []
    layer.register_full_backward_hook(lambda module, *grads: seen.extend(map(numbers, grads)))
    layer(ndl.init.ones(1, 2)).backward()
    assert seen == [[None], [[[1.0]]]]
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[1.0], [1.0]])


def test_backward_hook_of_a_layer_that_takes_integers() -> None:
    layer, seen = nn.Embedding(3, 2), []
    layer.register_full_backward_hook(lambda module, *grads: seen.extend(map(numbers, grads)))
    layer(ndl.Tensor([1, 2])).sum().backward()  # which require a gradient, and get none
    assert seen == [[None], [[[1.0, 1.0], [1.0, 1.0]]]]
    assert layer.weight.grad.numpy().sum() == 4


def test_a_list_takes_the_place_too() -> None:
    layer, x = nn.ReLU(), ndl.Tensor([1.0])
    layer.register_full_backward_hook(lambda *_: [ndl.Tensor([7.0])])
    layer(x).backward()
    assert x.grad.item() == 7


@pytest.mark.parametrize("result", [np.ones(1), (ndl.Tensor([1.0]),) * 2, ("text",)])
def test_what_no_backward_hook_can_return(result) -> None:
    layer, x = nn.ReLU(), ndl.Tensor([1.0])
    layer.register_full_backward_hook(lambda *_: result)
    with pytest.raises(ValueError, match=r"hook of ReLU returned .* return a tuple of 1"):
        layer(x).backward()


@pytest.mark.parametrize("create_graph", [True, False])
def test_backward_hooks_change_no_gradients(create_graph) -> None:
    x = ndl.init.randn(4, 3, requires_grad=True)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Residual(nn.Linear(4, 4)))
    model(x).sum().backward(create_graph=create_graph)
    expected = [x.grad.numpy()] + [parameter.grad.numpy() for parameter in model.parameters()]
    calls = []
    for _, module in model.named_modules():
        module.register_full_backward_hook(lambda module, *_: calls.append(type(module).__name__))
    model(x).sum().backward(create_graph=create_graph)
    found = [x.grad.numpy()] + [parameter.grad.numpy() for parameter in model.parameters()]
    for gradient, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(gradient, other)
    assert calls == ["Linear", "Residual", "Tanh", "Linear", "Sequential"]


def test_second_derivatives_go_through_backward_hooks() -> None:
    layer, calls = nn.Tanh(), []
    layer.register_full_backward_hook(lambda *_: calls.append(1))
    x = ndl.Tensor([0.5])
    layer(x).backward()
    x.grad.backward()
    t = np.tanh(0.5)
    assert x.grad.item() == pytest.approx(-2 * t * (1 - t * t), rel=1e-12)
    assert calls


@pytest.mark.parametrize("mode", ["jvp", "jacobian"])
def test_backward_hooks_do_not_run_in_forward_mode(mode) -> None:
    calls = []
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4))
    x, tangent = ndl.init.rand(1, 2), ndl.init.rand(1, 2)

    def derivative():
        if mode == "jvp":
            return ndl.jvp(model, (x,), (tangent,))[1].numpy()
        return ndl.jacobian(model, mode="forward")(x).numpy()

    expected = derivative()
    for module in model:
        module.register_full_backward_hook(lambda *call: calls.append(call))
    np.testing.assert_allclose(derivative(), expected, rtol=1e-6)
    assert calls == []
    y, dy = ndl.jvp(model, (x,), (tangent,))
    assert calls == []
    model[0].weight.grad = None
    (y.sum() + dy.sum()).backward()  # a backward pass, in which they do
    assert len(calls) >= 3
    assert model[0].weight.grad is not None
