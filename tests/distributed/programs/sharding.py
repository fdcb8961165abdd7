"""wrap() with a sharded state, and with gradients in 16 bits."""

import numpy as np

import needle as ndl
from needle import Tensor, distributed, nn, optim
from tests.distributed.programs.alike import (
    OPTIMIZERS,
    RANK,
    SCHEDULE,
    SIZE,
    assert_same,
    assert_same_state,
    batches,
    new_model,
    part,
    step_of,
    train,
)


def check_sharded_state():
    """The same numbers; a share of the memory; a state_dict of the whole optimizer."""
    options = {"shard_state": True}
    for make in OPTIMIZERS.values():
        plain, wrapped = assert_same(make, options=options, steps=3)
        assert_same_state(wrapped.state_dict(), plain.state_dict())
    assert_same(OPTIMIZERS["groups"], options=options, clip=0.05, schedule=SCHEDULE["step"])
    assert_same(OPTIMIZERS["Adam"], options=options, accumulate=2)
    plain, wrapped = assert_same(OPTIMIZERS["Adam"], options=options, is_compiled=True)
    assert_same_state(wrapped.state_dict(), plain.state_dict())
    own = wrapped._executor.own_state
    nbytes = sum(
        array.nbytes for each in own.values() for array in (each["exp_avg"], each["exp_avg_sq"])
    )
    whole = 2 * sum(param.cached_data.nbytes for param in plain.params)
    assert nbytes <= whole / SIZE + 2 * 8


def check_sharded_state_is_resumed():
    """Saved by one process, loaded by shards, and the other way round."""
    x, y = next(batches(1))
    states, results = [None, None], [[], []]
    for steps in range(2):
        former = states.copy()
        for is_wrapped in (False, True):
            model = new_model(0)
            optimizer = OPTIMIZERS["groups"](list(model.parameters()))
            if is_wrapped:
                optimizer = distributed.wrap(optimizer, shard_state=True)
            if steps:
                optimizer.load_state_dict(former[1 - is_wrapped])
            rows = (part(x), part(y)) if is_wrapped else (x, y)
            step = step_of(model, optimizer)
            for _ in range(2):
                step(*[Tensor(each, requires_grad=False) for each in rows])
            states[is_wrapped] = optimizer.state_dict()
            results[is_wrapped] += [param.numpy() for param in model.parameters()]
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    assert_same_state(states[1], states[0])


def check_sharded_parameters_that_change():
    """New arrays, groups added later, few parameters, other tensors that read them."""
    params = [nn.Parameter(ndl.ones(1)), nn.Parameter(ndl.ones(2, 2))]
    optimizer = distributed.wrap(optim.SGD(params[:1], lr=0.5, momentum=0.5), shard_state=True)
    for step in range(4):
        if step == 1:
            optimizer.add_param_group({"params": params[1:]})
        if step == 2:
            params[1].data = ndl.ones(2, 2) * 3.0
        sum((param * param).sum() for param in params).backward()
        with ndl.lazy_mode():
            before = params[0] * 1.0
        value = params[0].item()
        optimizer.step()
        assert before.item() == value
        optimizer.reset_grad()
    plain = [nn.Parameter(ndl.ones(1)), nn.Parameter(ndl.ones(2, 2))]
    expected = optim.SGD(plain[:1], lr=0.5, momentum=0.5)
    for step in range(4):
        if step == 1:
            expected.add_param_group({"params": plain[1:]})
        if step == 2:
            plain[1].data = ndl.ones(2, 2) * 3.0
        sum((param * param).sum() for param in plain).backward()
        expected.step()
        expected.reset_grad()
    for one, other in zip(params, plain, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)


def check_compressed_gradients():
    """Near the means; the sum over steps stays near, since what was lost is sent later."""
    for compress in ("float16", "bfloat16"):
        sizes = [(7, 5), (3,), (), (0,), (1000,)]
        params = [nn.Parameter(Tensor(np.zeros(shape, np.float32))) for shape in sizes]
        distributed.wrap(optim.SGD(params, lr=0.1), compress=compress)
        for scale in (1.0, 1e-9, 1e6):
            rng = np.random.default_rng(5)
            every = [
                [(rng.normal(size=(SIZE, *shape)) * scale).astype("float32") for shape in sizes]
                for _ in range(20)
            ]
            totals = [np.zeros(shape) for shape in sizes]
            exact = [np.zeros(shape) for shape in sizes]
            for arrays in every:
                own = [Tensor(array[RANK], requires_grad=False) for array in arrays]
                loss = sum((a * b).sum() for a, b in zip(params, own, strict=True))
                loss.backward(create_graph=False)
                if compress == "bfloat16":  # the upper 16 bits of a float32
                    assert not any((p.grad.numpy().view(np.uint32) & 0xFFFF).any() for p in params)
                for i, (param, array) in enumerate(zip(params, arrays, strict=True)):
                    if compress == "float16" and scale == 1.0:
                        np.testing.assert_allclose(param.grad.numpy(), array.mean(0), atol=4e-3)
                    totals[i] += param.grad.numpy()
                    exact[i] += array.mean(0)
            tolerance = 4e-3 if compress == "float16" else 4e-2  # of one step, not of 20
            if scale == 1.0:
                for one, other in zip(totals, exact, strict=True):
                    np.testing.assert_allclose(one, other, atol=tolerance)
            for param in params:
                gathered = distributed.all_gather(param.grad).numpy()
                assert (gathered == gathered[0]).all()
                param.grad = None


def check_compressed_training():
    """Losses beside those of plain gradients, also compiled, sharded and in double precision."""
    for options in ({"compress": "float16"}, {"compress": "bfloat16", "shard_state": True}):
        for is_compiled in (False, True):
            settings = {"options": options, "is_compiled": is_compiled, "steps": 10}
            (losses, *_), _ = train(OPTIMIZERS["momentum"], True, **settings)
            (expected, *_), _ = train(OPTIMIZERS["momentum"], False, steps=10)
            np.testing.assert_allclose(losses, expected, rtol=2e-2)


def check_compressed_gradients_that_are_not_finite():
    weight = nn.Parameter(ndl.ones(3))
    distributed.wrap(optim.SGD([weight], lr=0.1), compress="float16")
    wrong = Tensor(np.array([np.inf, 1.0, np.nan], np.float32), requires_grad=False)
    (weight * wrong).sum().backward()
    assert np.isinf(weight.grad.numpy()[0])
    assert np.isnan(weight.grad.numpy()[2])
    weight.grad = None
    (weight * 2.0).sum().backward()
    assert weight.grad.numpy().tolist() == [2.0, 2.0, 2.0]
