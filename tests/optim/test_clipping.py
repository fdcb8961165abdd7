import math
import tracemalloc

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, clip_grad_norm_, clip_grad_value_


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, math.inf, "inf"])
@pytest.mark.parametrize(("max_norm", "size"), [(0.5, 1), (1e6, 1), (1e-5, 1e-6)])
def test_norm_like_torch(make_params, give_gradients, norm_type, max_norm, size):
    torch = pytest.importorskip("torch")
    params = make_params()
    twins = [torch.nn.Parameter(torch.from_numpy(param.numpy())) for param in params]
    for param, twin, gradient in zip(params, twins, give_gradients(params), strict=True):
        gradient *= np.float32(size)
        param.grad, twin.grad = ndl.Tensor(gradient), torch.from_numpy(gradient.copy())
    norm = clip_grad_norm_(params, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(twins, max_norm, norm_type)
    assert norm == pytest.approx(expected.item(), rel=1e-5)
    for param, twin in zip(params, twins, strict=True):
        assert param.grad.dtype == "float32"
        np.testing.assert_allclose(param.grad.numpy(), twin.grad.numpy(), rtol=1e-5)


def test_clipping_replaces_gradients_and_leaves_arrays(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    copies = [gradient.copy() for gradient in gradients]
    clip_grad_norm_(params, 0.1)
    clip_grad_value_(params, 0.001)
    for param, gradient, before in zip(params, gradients, copies, strict=True):
        np.testing.assert_array_equal(gradient, before)
        assert param.grad.realize_cached_data() is not gradient
        assert np.abs(param.grad.numpy()).max() <= 0.001


def test_small_gradients_stay_the_same_arrays(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    clip_grad_norm_(params, 1e6)
    assert all(p.grad.realize_cached_data() is g for p, g in zip(params, gradients, strict=True))


def test_value_like_torch(make_params, give_gradients):
    torch = pytest.importorskip("torch")
    params = make_params()
    twins = [torch.nn.Parameter(torch.from_numpy(param.numpy())) for param in params]
    for twin, gradient in zip(twins, give_gradients(params), strict=True):
        twin.grad = torch.from_numpy(gradient.copy())
    clip_grad_value_(params, 0.5)
    torch.nn.utils.clip_grad_value_(twins, 0.5)
    for param, twin in zip(params, twins, strict=True):
        np.testing.assert_array_equal(param.grad.numpy(), twin.grad.numpy())


def test_the_method_clips_all_parameters_to_a_quarter_by_default(make_params, give_gradients):
    params = make_params()
    gradients = give_gradients(params)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    optimizer = SGD([{"params": params[:2]}, {"params": params[2:]}])
    assert optimizer.clip_grad_norm() == pytest.approx(norm, rel=1e-5)
    clipped = math.sqrt(sum(float((param.grad.numpy() ** 2).sum()) for param in params))
    assert clipped == pytest.approx(0.25, rel=1e-5)


def test_a_single_tensor_and_parameters_without_gradient():
    weight, frozen = ndl.Tensor([3.0, 4.0]), ndl.Tensor([1.0])
    weight.grad = ndl.Tensor([3.0, 4.0])
    assert clip_grad_norm_(weight, 1.0) == 5.0
    np.testing.assert_allclose(weight.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    assert clip_grad_norm_([weight, frozen], 10.0) == pytest.approx(1.0, rel=1e-6)
    assert frozen.grad is None
    assert clip_grad_norm_([frozen], 1.0) == 0.0


@pytest.mark.parametrize(("norm_type", "expected"), [(2, 5e30), (3, 91 ** (1 / 3) * 1e30)])
def test_a_norm_beyond_float32_is_found(norm_type, expected):
    weight = ndl.Tensor(np.ones(2, "float32"))
    weight.grad = ndl.Tensor(np.array([3e30, 4e30], "float32"))
    assert clip_grad_norm_([weight], 1.0, norm_type) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(weight.grad.numpy(), np.array([3e30, 4e30]) / expected, rtol=1e-6)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_new_gradients_do_not_pile_up_beside_the_old(make_params, give_gradients, clip):
    params = make_params([(100, 100)] * 10)
    tracemalloc.start()
    try:
        give_gradients(params)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        clip(params, 0.01)
        rise = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert rise < 3 * 40_000  # where all ten together have 400,000 bytes


@pytest.mark.parametrize("norm_type", [2.0, 3.0, math.inf])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_refused_on_request(bad, norm_type):
    params = [ndl.Tensor([1.0]), ndl.Tensor([1.0, 2.0])]
    params[0].grad, params[1].grad = ndl.Tensor([1.0]), ndl.Tensor([bad, 1.0])
    with pytest.raises(RuntimeError, match=rf"norm {bad}.*learning rate"):
        clip_grad_norm_(params, 1.0, norm_type, error_if_nonfinite=True)


def test_a_norm_that_is_not_a_number_spreads():
    params = [ndl.Tensor([1.0]), ndl.Tensor([1.0, 2.0])]
    params[0].grad, params[1].grad = ndl.Tensor([1.0]), ndl.Tensor([math.nan, 1.0])
    assert math.isnan(clip_grad_norm_(params, 1.0))
    assert np.isnan(params[0].grad.numpy()).all()


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_impossible_bounds_are_refused(bad):
    with pytest.raises(ValueError, match=rf"max_norm must be .*{bad}"):
        clip_grad_norm_([], bad)
    with pytest.raises(ValueError, match=rf"norm_type must be .*{bad}"):
        clip_grad_norm_([], 1.0, norm_type=bad)
    with pytest.raises(ValueError, match=rf"clip_value must be .*{bad}"):
        clip_grad_value_([], bad)


@pytest.mark.parametrize("norm_type", [2.0, 3.0, math.inf])
def test_arrays_of_another_library_give_one_number(
    make_params, give_gradients, strict_array, monkeypatch, norm_type
):
    reads = []
    monkeypatch.setattr(
        strict_array, "get", lambda self: (reads.append(self.shape), self._data)[1], raising=False
    )
    params = make_params()
    twins = [ndl.Tensor.make_const(strict_array(p.numpy()), requires_grad=True) for p in params]
    for twin, gradient in zip(twins, give_gradients(params), strict=True):
        twin.grad = ndl.Tensor.make_const(strict_array(gradient))
    norm = clip_grad_norm_(params, 0.5, norm_type)
    assert clip_grad_norm_(twins, 0.5, norm_type) == norm
    assert reads == [()]
    clip_grad_value_(params, 0.01)
    clip_grad_value_(twins, 0.01)
    assert reads == [()]
    for param, twin in zip(params, twins, strict=True):
        np.testing.assert_array_equal(twin.grad.cached_data._data, param.grad.numpy())
