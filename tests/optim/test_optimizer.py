import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Optimizer


def test_parameters_keep_their_identity_their_memory_and_requires_grad(make_params, give_gradients):
    params = make_params()
    arrays = [param.realize_cached_data() for param in params]
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
    for step in range(3):
        give_gradients(params, seed=step)
        optimizer.step()
    for param, array in zip(params, arrays, strict=True):
        assert param.realize_cached_data() is array
        assert param.requires_grad
        assert param.is_leaf()


def test_gradient_arrays_are_never_changed(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    copies = [gradient.copy() for gradient in gradients]
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    optimizer.step()
    for param, gradient, copy in zip(params, gradients, copies, strict=True):
        assert param.grad.realize_cached_data() is gradient
        np.testing.assert_array_equal(gradient, copy)


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


def test_a_single_tensor_is_no_list():
    with pytest.raises(TypeError, match=r"\[tensor\]"):
        SGD(ndl.Tensor([1.0]))


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


def test_clip_grad_norm_scales_all_gradients_together(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    copies = [gradient.copy() for gradient in gradients]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    assert SGD(params).clip_grad_norm(max_norm=0.25) == pytest.approx(norm, rel=1e-6)
    clipped = [param.grad.numpy() for param in params]
    assert np.sqrt(sum((gradient**2).sum() for gradient in clipped)) == pytest.approx(
        0.25, rel=1e-5
    )
    for gradient, copy, new in zip(gradients, copies, clipped, strict=True):
        np.testing.assert_array_equal(gradient, copy)
        assert new.dtype == "float32"
        np.testing.assert_allclose(new, copy * (0.25 / norm), rtol=1e-5)


def test_clip_grad_norm_leaves_small_gradients(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    SGD(params).clip_grad_norm(1e6)
    assert all(p.grad.realize_cached_data() is g for p, g in zip(params, gradients, strict=True))
