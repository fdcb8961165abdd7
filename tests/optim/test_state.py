"""state_dict, load_state_dict, and copies of an optimizer."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adagrad, Adam


def values_of(params):
    return [param.numpy() for param in params]


@pytest.mark.parametrize("layouts", [("together", "pieces"), ("alone", "together")])
def test_a_round_trip_continues_to_the_bit(any_optimizer, make_params, train, lay_out, layouts):
    lay_out(layouts[0])
    params = make_params()
    optimizer = any_optimizer(params)
    optimizer.lr = 0.03
    train(optimizer, range(4))
    state = pickle.loads(pickle.dumps(optimizer.state_dict()))
    resumed_params = [ndl.Tensor(param) for param in params]
    train(optimizer, range(4, 8))

    lay_out(layouts[1])
    resumed = any_optimizer(resumed_params)
    resumed.load_state_dict(state)
    train(resumed, range(4, 8))
    for expected, value in zip(values_of(params), values_of(resumed_params), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert resumed.lr == 0.03


def test_a_state_is_loaded_in_the_middle_of_a_training(make_params, train):
    params = make_params()
    optimizer = Adam(params)
    train(optimizer, range(3))
    state, start = optimizer.state_dict(), [ndl.Tensor(param) for param in params]
    train(optimizer, range(3, 6))
    expected = values_of(params)
    for param, old in zip(params, start, strict=True):
        param.data = old
    optimizer.load_state_dict(state)
    train(optimizer, range(3, 6))
    for value, wanted in zip(values_of(params), expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_each_parameter_resumes_from_its_own_step(make_params, train, give_gradients):
    params = make_params()
    optimizer = Adam(params)
    for step in range(6):
        give_gradients(params, seed=step)
        for position in range(step % 4):
            params[position].grad = None
        optimizer.step()
    resumed_params = [ndl.Tensor(param) for param in params]
    resumed = Adam(resumed_params)
    resumed.load_state_dict(optimizer.state_dict())
    assert [resumed.state[param]["step"] for param in resumed_params] == [2, 4, 5, 6, 6]
    train(optimizer, range(6, 9))
    train(resumed, range(6, 9))
    for value, expected in zip(values_of(resumed_params), values_of(params), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_states_that_differ_in_their_arrays_are_kept_apart(make_params, give_gradients, train):
    first, second = make_params([(2, 3), (3,)])
    optimizer = Adam([first, second])
    for amsgrad, with_gradient in ((True, first), (False, second)):
        optimizer.param_groups[0]["amsgrad"] = amsgrad
        optimizer.reset_grad()
        give_gradients([with_gradient])
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    train(optimizer, [0])
    assert "max_exp_avg_sq" in optimizer.state[first]
    assert "max_exp_avg_sq" not in optimizer.state[second]
    assert [optimizer.state[param]["step"] for param in (first, second)] == [2, 2]


def test_a_float64_state_fits_a_float32_model(make_params, train):
    double, single = Adam(make_params(dtype="float64")), Adam(make_params(dtype="float32"))
    train(double, [0])
    single.load_state_dict(double.state_dict())
    train(single, [1])
    arrays = [entry["exp_avg"] for entry in single.state.values()]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}


def test_layout_of_the_state(make_params, train):
    params = make_params([(2, 3), (4,)])
    optimizer = Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}])
    assert optimizer.state_dict()["state"] == {}
    train(optimizer, range(3))
    state = optimizer.state_dict()
    assert list(state["state"]) == [0, 1]
    assert state["state"][1].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][1]["step"] == 3
    assert state["state"][0]["exp_avg"].shape == (2, 3)
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in state["param_groups"]] == [0.01, 0.5]
    assert optimizer.state[params[1]]["exp_avg"].shape == (4,)


def test_a_state_is_a_copy(make_params, train):
    optimizer = Adam(make_params())
    train(optimizer, [0])
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    train(optimizer, [1])
    optimizer.load_state_dict(kept)
    train(optimizer, [1])
    for entry, wanted in zip(state["state"].values(), kept["state"].values(), strict=True):
        np.testing.assert_array_equal(entry["exp_avg"], wanted["exp_avg"])


def test_text_keys_and_tensors_are_taken(make_params, train):
    params = make_params()
    optimizer = Adam(params)
    train(optimizer, range(2))
    state = optimizer.state_dict()
    as_read = {
        str(position): {name: ndl.Tensor(value) for name, value in entry.items()}
        for position, entry in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": as_read})
    for param, entry in zip(params, state["state"].values(), strict=True):
        assert optimizer.state[param]["step"] == 2
        np.testing.assert_array_equal(optimizer.state[param]["exp_avg"], entry["exp_avg"])


def test_a_state_in_a_file(make_params, train, tmp_path):
    pytest.importorskip("safetensors")
    params = make_params()
    optimizer = Adam(params)
    train(optimizer, range(2))
    ndl.save(optimizer.state_dict(), tmp_path / "state.safetensors")
    resumed_params = [ndl.Tensor(param) for param in params]
    resumed = Adam(resumed_params)
    resumed.load_state_dict(ndl.load(tmp_path / "state.safetensors"))
    train(optimizer, [2])
    train(resumed, [2])
    for value, expected in zip(values_of(resumed_params), values_of(params), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]
)
def test_a_copy_of_model_and_optimizer_trains_alike(any_optimizer, make_params, train, duplicate):
    params = make_params()
    optimizer = any_optimizer(params)
    train(optimizer, range(2))
    for param in params:
        param.grad = None
    other_params, other = duplicate((params, optimizer))
    assert all(a is b for a, b in zip(other.params, other_params, strict=True))
    before = values_of(params)
    train(other, range(2, 5))
    for value, old in zip(values_of(params), before, strict=True):
        np.testing.assert_array_equal(value, old)
    train(optimizer, range(2, 5))
    for value, expected in zip(values_of(other_params), values_of(params), strict=True):
        np.testing.assert_array_equal(value, expected)


def refused(optimizer, state, *texts):
    before = pickle.dumps(optimizer.state_dict())
    with pytest.raises(ValueError) as caught:
        optimizer.load_state_dict(state)
    for text in texts:
        assert text in str(caught.value)
    assert pickle.dumps(optimizer.state_dict()) == before


def test_a_state_of_another_architecture_is_refused(make_params, train):
    optimizer = Adam(make_params([(2, 3), (3,), (3, 1)]))
    train(optimizer, [0])
    other = Adam(make_params([(2, 4), (4,), (3, 1)]))
    train(other, [0])
    refused(
        optimizer,
        other.state_dict(),
        "another model",
        "group 0, parameter 0: shape (2, 4) in the state, (2, 3) here",
        "parameter 1: shape (4,) in the state, (3,) here",
    )
    fewer = Adam(make_params([(2, 3)]))
    refused(optimizer, fewer.state_dict(), "group 0: 1 parameters in the state, 3 here")
    groups = Adam([{"params": [param]} for param in make_params([(2, 3), (3,)])])
    refused(optimizer, groups.state_dict(), "2 parameter groups in the state, 1 here")


def test_a_state_of_a_plain_sgd_of_another_architecture_is_refused(make_params):
    refused(SGD(make_params([(2, 3)])), SGD(make_params([(3, 2)])).state_dict(), "(3, 2)", "(2, 3)")


def test_a_state_of_another_optimizer_is_refused(make_params, train):
    adagrad = Adagrad(make_params())
    train(adagrad, [0])
    refused(Adam(make_params()), adagrad.state_dict(), "lr_decay", "beta1", "amsgrad")


def test_a_damaged_state_is_refused(make_params, train):
    optimizer = Adam(make_params([(2, 3), (3,)]))
    train(optimizer, [0])
    refused(optimizer, {"lr": 0.1}, '"state" and "param_groups"')
    refused(optimizer, None, '"state" and "param_groups"')
    state = optimizer.state_dict()
    del state["state"][1]["exp_avg_sq"]
    refused(optimizer, state, "parameter 1: the state lacks ['exp_avg_sq']")
    state = optimizer.state_dict()
    state["state"][1]["exp_avg"] = np.zeros((3, 3))
    refused(optimizer, state, "parameter 1: exp_avg of shape (3, 3) in the state, (3,) here")
    state = optimizer.state_dict()
    state["state"][1]["step"] = -3
    refused(optimizer, state, "step must be a whole number of at least 0, got -3")
    state = optimizer.state_dict()
    state["state"][7] = state["state"].pop(1)
    refused(optimizer, state, "parameter 7: there are 2 here")
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = -1.0
    refused(optimizer, state, "lr must be", "-1.0")
