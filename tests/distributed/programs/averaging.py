"""wrap(): the same training as one process does with the batches of all ranks joined."""

import gc

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, distributed, nn, optim
from needle.distributed import shared_memory
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


def check_every_optimizer():
    for make in OPTIMIZERS.values():
        assert_same(make)


def check_schedules_clipping_and_accumulation():
    for name in ("momentum", "Adam", "groups"):
        make = OPTIMIZERS[name]
        assert_same(make, schedule=SCHEDULE["step"])
        assert_same(make, schedule=SCHEDULE["cosine"], clip=0.05)
        assert_same(make, accumulate=3)
        assert_same(make, accumulate=2, clip=0.05, schedule=SCHEDULE["step"])


def check_single_precision():
    x, y = next(batches(1, "float32"))
    gradients = []
    for is_wrapped in (False, True):
        model = new_model(0, "float32")
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        if is_wrapped:
            distributed.wrap(optimizer)
        rows = (part(x), part(y)) if is_wrapped else (x, y)
        step_of(model, optimizer)(*[Tensor(each, requires_grad=False) for each in rows])
        gradients.append([param.grad.numpy() for param in model.parameters()])
        assert {gradient.dtype.name for gradient in gradients[-1]} == {"float32"}
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def check_halves():
    weight = nn.Parameter(Tensor(np.array([1.0, 1.0], np.float16)))
    distributed.wrap(optim.SGD([weight], lr=0.1))
    (weight * (40_000.0 if RANK else 30_000.0))[:1].backward()  # beyond halves in sum
    assert weight.grad.dtype == np.float16
    mean = [(30_000 + 40_000 * (SIZE - 1)) / SIZE, 0]
    np.testing.assert_allclose(weight.grad.numpy(), mean, rtol=1e-3)


def check_lbfgs():
    x, y = next(batches(1))
    results = []
    for is_wrapped in (False, True):
        model = new_model(0)
        optimizer = optim.LBFGS(model.parameters(), max_iter=5, line_search_fn="strong_wolfe")
        if is_wrapped:
            optimizer = distributed.wrap(optimizer)
        rows = (part(x), part(y)) if is_wrapped else (x, y)
        inputs, labels = (Tensor(each, requires_grad=False) for each in rows)

        def closure(model=model, optimizer=optimizer, inputs=inputs, labels=labels):
            optimizer.reset_grad()
            loss = nn.functional.softmax_loss(model(inputs), labels)
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(3)]
        results.append([losses, *[param.numpy() for param in model.parameters()]])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def check_starts_as_rank_0():
    np.random.seed(RANK)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model(ndl.randn(10, 3))  # changes running statistics
    arrays = [param.cached_data for param in model.parameters()]
    optimizer = optim.Adam(model.parameters())
    (model(ndl.randn(10, 3)) ** 2).sum().backward()
    optimizer.step()  # with a state of its own on each rank
    distributed.wrap(optimizer, model)
    tensors = [*model.parameters(), *model.buffers()]
    tensors += [Tensor(each["exp_avg"]) for each in optimizer.state.values()]
    assert len(tensors) == 4 + 3 + 4 or len(tensors) == 4 + 2 + 4
    for tensor in tensors:
        gathered = distributed.all_gather(tensor).numpy()
        assert (gathered == gathered[0]).all()
    assert all(a is p.cached_data for a, p in zip(arrays, model.parameters(), strict=True))


def check_parameters_without_a_gradient():
    """Branches not taken count as zeros; what no rank reaches has no gradient."""
    params = [nn.Parameter(ndl.ones(2)) for _ in range(3)]
    common, own, unused = params
    optimizer = distributed.wrap(optim.SGD(params, lr=1.0, weight_decay=0.5))
    loss = (common * 2.0).sum()
    if RANK == 0:
        loss = loss + (own * SIZE).sum()
    loss.backward()
    assert common.grad.numpy().tolist() == [2.0, 2.0]
    assert own.grad.numpy().tolist() == [1.0, 1.0]
    assert unused.grad is None
    optimizer.step()
    assert unused.numpy().tolist() == [1.0, 1.0]
    assert own.numpy().tolist() == [-0.5, -0.5]
    optimizer.reset_grad()
    (common * (own if RANK else 1.0)).sum().backward()  # others than before
    mean = common.numpy() * (SIZE - 1) / SIZE
    np.testing.assert_allclose(own.grad.numpy(), mean, rtol=1e-6)


def check_two_optimizers():
    """One backward that reaches both, and one that reaches a single one."""
    first, second = (nn.Parameter(ndl.ones(2)) for _ in range(2))
    optimizers = [distributed.wrap(optim.SGD([each], lr=1.0)) for each in (first, second)]
    (first * second * float(RANK)).sum().backward()
    mean = (SIZE - 1) / 2
    assert first.grad.numpy().tolist() == second.grad.numpy().tolist() == [mean, mean]
    for optimizer in optimizers:
        optimizer.reset_grad()
    (first * 2.0).sum().backward()
    assert first.grad.numpy().tolist() == [2.0, 2.0]
    assert second.grad is None
    if RANK == 0:  # a rank that reaches none of an optimizer's
        (first * 2.0).sum().backward()
    else:
        (second * 2.0).sum().backward()
    np.testing.assert_allclose(first.grad.numpy(), 2 / SIZE, rtol=1e-6)
    np.testing.assert_allclose(second.grad.numpy(), 2 * (SIZE - 1) / SIZE, rtol=1e-6)
    other = ndl.Tensor([1.0])
    (other * RANK).sum().backward()  # which is no optimizer's, and averaged with nobody
    assert other.grad.item() == RANK


def check_groups_added_later():
    params = [nn.Parameter(ndl.ones(2) * (RANK + 1)) for _ in range(2)]
    optimizer = distributed.wrap(optim.SGD(params[:1], lr=1.0))
    optimizer.add_param_group({"params": params[1:], "lr": 0.1})
    assert params[1].numpy().tolist() == [1.0, 1.0]
    (params[0] * params[1] * float(RANK)).sum().backward()
    for param in params:
        assert param.grad.numpy().tolist() == [(SIZE - 1) / 2] * 2


def check_many_buckets():
    """Larger than a bucket, of two dtypes, in one backward."""
    np.random.seed(0)
    layers = [nn.Linear(300, 300) for _ in range(8)]
    wide = nn.Parameter(Tensor(np.ones(300)))
    params = [*(param for layer in layers for param in layer.parameters()), wide]
    optimizer = distributed.wrap(optim.SGD(params, lr=0.1))
    assert len(optimizer._averager.buckets) > 3
    x = Tensor(np.random.default_rng(0).normal(size=(SIZE, 300)).astype("float32"))

    def loss(x):
        for layer in layers:
            x = ndl.tanh(layer(x))
        return (x.astype("float64") * wide).sum()

    (loss(x[RANK : RANK + 1]) * SIZE).backward(create_graph=False)
    found = [param.grad.numpy() for param in params]
    for param in params:
        param.grad = param._shared = None
    loss(x).backward(create_graph=False)
    for one, param in zip(found, params, strict=True):
        np.testing.assert_allclose(one, param.grad.numpy(), rtol=1e-3, atol=1e-4)


def check_gradients_have_own_memory():
    weight = nn.Parameter(ndl.ones(3))
    distributed.wrap(optim.SGD([weight], lr=0.1))
    weight.sum().backward()
    kept = weight.grad
    (weight * 5.0).sum().backward()
    assert kept.numpy().tolist() == [1.0] * 3
    assert weight.grad.numpy().tolist() == [5.0] * 3
    with ndl.accumulate_gradients():
        (weight * float(RANK)).sum().backward()
    assert weight.grad.numpy().tolist() == [5 + (SIZE - 1) / 2] * 3


def check_state_dict_is_that_of_the_plain_optimizer():
    plain, wrapped = assert_same(OPTIMIZERS["Adam"])
    assert type(wrapped).__name__ == "Adam"
    assert isinstance(wrapped, optim.Adam)
    assert repr(wrapped) == repr(plain)
    assert_same_state(wrapped.state_dict(), plain.state_dict())
    other = OPTIMIZERS["Adam"](list(new_model(0).parameters()))
    other.load_state_dict(wrapped.state_dict())
    assert_same_state(other.state_dict(), plain.state_dict())
    wrapped.load_state_dict(plain.state_dict())


def check_means_by_mpi():
    """As between machines, where ranks share no memory."""
    shared_memory._MOST_RANKS, former = 1, shared_memory._MOST_RANKS
    try:
        weight = nn.Parameter(ndl.ones(3))
        (bucket,) = distributed.wrap(optim.SGD([weight], lr=0.1))._averager.buckets
        assert type(bucket._transport).__name__ == "SumByMPI"
        for check in (
            check_parameters_without_a_gradient, check_two_optimizers, check_many_buckets,
            check_gradients_have_own_memory, check_halves, check_runs_are_the_same_to_the_bit,
        ):  # fmt: skip
            check()
        assert_same(OPTIMIZERS["groups"], accumulate=2, clip=0.05)
        assert_same(OPTIMIZERS["momentum"], is_compiled=True)
    finally:
        shared_memory._MOST_RANKS = former


def check_no_memory_to_share():
    """One rank that cannot reserve memory, or not open that of another: all sum by MPI."""
    for name in ("_created", "_opened"):
        working = getattr(shared_memory, name)

        def fail(*args):
            raise OSError("no space left on device")

        if RANK == SIZE - 1:
            setattr(shared_memory, name, fail)
        try:
            weight = nn.Parameter(ndl.ones(3))
            (bucket,) = distributed.wrap(optim.SGD([weight], lr=0.1))._averager.buckets
        finally:
            setattr(shared_memory, name, working)
        assert type(bucket._transport).__name__ == "SumByMPI"
        (weight * float(RANK)).sum().backward()
        assert weight.grad.numpy().tolist() == [(SIZE - 1) / 2] * 3


def check_checkpoints_and_several_backwards():
    """Layers that are computed again in `backward`, and two losses of one graph."""
    x, y = next(batches(1))
    results = []
    for is_wrapped in (False, True):
        model = new_model(0)
        if is_wrapped:
            distributed.wrap(optim.SGD(model.parameters(), lr=0.1))
        rows = (part(x), part(y)) if is_wrapped else (x, y)
        inputs, labels = (Tensor(each, requires_grad=False) for each in rows)
        hidden = ndl.checkpoint(model[1], ndl.checkpoint(model[0], inputs))
        logits = model[3](model[2](hidden))
        nn.functional.softmax_loss(logits, labels).backward()
        with ndl.accumulate_gradients():
            (logits * logits).mean().backward(create_graph=False)
        results.append([param.grad.numpy() for param in model.parameters()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)


def check_optimizers_are_let_go_at_different_times():
    """Ranks collect garbage when they like."""
    weight, other = nn.Parameter(ndl.ones(3)), nn.Parameter(ndl.ones(3))
    distributed.wrap(optim.SGD([weight], lr=0.1))
    del weight
    if RANK:
        gc.collect()
    optimizer = distributed.wrap(optim.SGD([other], lr=0.1))
    (other * float(RANK)).sum().backward()
    assert other.grad.numpy().tolist() == [(SIZE - 1) / 2] * 3
    numbers = distributed.all_gather(Tensor(optimizer._averager.number, dtype="int64")).numpy()
    assert (numbers == numbers[0]).all()


def check_models_that_differ():
    np.random.seed(RANK)
    wide = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2 + min(RANK, 1)))
    match = r"rank 0 has 1\.weight: float32 \(4, 2\), rank 1 has 1\.weight: float32 \(4, 3\)"
    for model in (None, wide):
        text = match if model else match.replace(r"1\.weight", "parameter 2")
        with pytest.raises(distributed.DistributedError, match=text):
            distributed.wrap(optim.SGD(wide.parameters(), lr=0.1), model)
    longer = nn.Sequential(*[nn.Linear(3, 3) for _ in range(1 + min(RANK, 1))])
    with pytest.raises(
        distributed.DistributedError, match=r"no more tensors, rank 1 has 1\.weight"
    ):
        distributed.wrap(optim.SGD(longer.parameters(), lr=0.1), longer)
    distributed.barrier()


def check_ranks_that_do_other_things():
    weight = nn.Parameter(ndl.ones(3))
    distributed.wrap(optim.SGD([weight], lr=0.1))
    with pytest.raises(distributed.DistributedError, match=r"rank 0: backward\(\) to parameters"):
        distributed.barrier() if RANK else weight.sum().backward()
    distributed.barrier()


def check_wrong_arguments():
    weight = nn.Parameter(ndl.ones(3))
    with pytest.raises(TypeError, match="wrap takes an optimizer, got Linear"):
        distributed.wrap(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="model must be a Module or None, got list"):
        distributed.wrap(optim.SGD([weight], lr=0.1), [weight])
    with pytest.raises(ValueError, match=r"compress must be None or one of \['float16'"):
        distributed.wrap(optim.SGD([weight], lr=0.1), compress="float8")
    with pytest.raises(ValueError, match="the state of LBFGS cannot be sharded"):
        distributed.wrap(optim.LBFGS([weight]), shard_state=True)
    optimizer = distributed.wrap(optim.SGD([weight], lr=0.1))
    if SIZE > 1:
        with pytest.raises(ValueError, match="was already given to wrap"):
            distributed.wrap(optimizer)


def check_runs_are_the_same_to_the_bit():
    """Twice in this process; the parameters are the same on all ranks, too."""
    runs = [train(OPTIMIZERS["Adam"], True, steps=3)[0][1:] for _ in range(2)]
    for one, other in zip(*runs, strict=True):
        assert (one == other).all()
        gathered = distributed.all_gather(Tensor(one)).numpy()
        assert (gathered == gathered[0]).all()


def check_dropout_masks_are_those_of_the_seed():
    """As documented at `wrap`; whichever they are, all ranks have the means of all gradients."""
    weight = nn.Parameter(ndl.ones(200))
    distributed.wrap(optim.SGD([weight], lr=0.1))
    for seed, is_same in ((1, True), (1 + RANK, SIZE == 1)):
        ndl.manual_seed(seed)
        mask = nn.Dropout(0.5)(weight)
        mask.sum().backward()
        masks = distributed.all_gather(mask.detach()).numpy()
        assert (masks == masks[0]).all() == is_same
        np.testing.assert_allclose(weight.grad.numpy(), masks.mean(0), rtol=1e-6)


def check_compiled_steps():
    assert_same(OPTIMIZERS["momentum"], is_compiled=True)
    assert_same(OPTIMIZERS["Adam"], is_compiled=True, clip=0.05, schedule=SCHEDULE["step"])
    assert_same(OPTIMIZERS["groups"], is_compiled=True, accumulate=2, clip=0.05)


def check_compiled_steps_with_branches():
    """Ranks record at different times, and not the same."""

    def train(is_compiled):
        params = [nn.Parameter(ndl.ones(2)) for _ in range(4)]
        optimizer = distributed.wrap(optim.SGD(params, lr=0.5, momentum=0.5, weight_decay=0.1))

        def step(x, is_own, is_both):
            optimizer.reset_grad()
            loss = (params[0] * x).sum()
            if is_own:
                loss = loss + (params[1] * x).sum()
            loss.backward(create_graph=False)
            if is_both:
                (params[2] * x).sum().backward(create_graph=False, accumulate=True)
            optimizer.step()
            return loss

        function = ndl.compile(step) if is_compiled else step
        for i in range(8):
            is_own = i in (2, 3, 6) and RANK == 0
            x = ndl.ones(2, requires_grad=False) * (i + 1.0 + RANK)
            rows = 2 if i % 3 or RANK else 3  # of other lengths: this rank records alone
            x = ndl.broadcast_to(x, (rows, 2)) if i > 3 else x
            function(x, is_own, i in (3, 5))
        return [param.numpy() for param in params]

    for one, other in zip(train(True), train(False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
