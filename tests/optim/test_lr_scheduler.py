"""Schedules: the values of PyTorch's, step by step, and what they have beyond them."""

import itertools
import math
import pickle

import numpy as np
import pytest

import needle as ndl
from needle.optim import SGD, Adam, lr_scheduler
from needle.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


@pytest.fixture
def twin():
    """The same for PyTorch."""
    torch = pytest.importorskip("torch")
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(1))]},
        {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.5},
    ]
    return torch.optim.SGD(groups, lr=0.1)


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def follow(scheduler, optimizer, twin_scheduler, twin, steps, metrics=None):
    for step in range(steps):
        assert lrs(optimizer) == pytest.approx(lrs(twin), rel=1e-9, abs=1e-15), step
        assert scheduler.get_last_lr() == lrs(optimizer)
        optimizer.step()
        twin.step()
        arguments = () if metrics is None else (metrics[step],)
        scheduler.step(*arguments)
        twin_scheduler.step(*arguments)
    assert lrs(optimizer) == pytest.approx(lrs(twin), rel=1e-9, abs=1e-15)


SCHEDULES = {
    "step": ("StepLR", {"step_size": 7, "gamma": 0.3}),
    "multi_step": ("MultiStepLR", {"milestones": [3, 11, 11, 20], "gamma": 0.5}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "exponential_growing": ("ExponentialLR", {"gamma": 1.1}),
    "cosine": ("CosineAnnealingLR", {"T_max": 30}),
    "cosine_floor": ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.02}),
    "cosine_beyond": ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.001}),
    "warm_restarts": ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    "warm_restarts_longer": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 3, "T_mult": 2, "eta_min": 0.01},
    ),
    "linear": ("LinearLR", {}),
    "linear_down": ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 20}),
    "linear_to_0": ("LinearLR", {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 10}),
    "constant": ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    "polynomial": ("PolynomialLR", {"total_iters": 25, "power": 1.7}),
    "lambda": ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    "lambda_from_0": ("LambdaLR", {"lr_lambda": lambda epoch: min(epoch / 10, 1.0)}),
    "lambda_by_group": ("LambdaLR", {"lr_lambda": [lambda epoch: 1.0, lambda e: 1 / (1 + e)]}),
    "one_cycle": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 41}),
    "one_cycle_linear": (
        "OneCycleLR",
        {"max_lr": [0.5, 1.0], "epochs": 4, "steps_per_epoch": 11, "anneal_strategy": "linear"},
    ),
    "one_cycle_three": (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 50, "three_phase": True, "pct_start": 0.4, "div_factor": 4},
    ),
    "one_cycle_down": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 41, "pct_start": 0.0}),
}


def pair_of_schedules(name, optimizer, twin):
    """The schedule of that name on needle's optimizer, and torch's on its twin."""
    torch = pytest.importorskip("torch")
    cls, settings = SCHEDULES[name]
    theirs = getattr(torch.optim.lr_scheduler, cls)(twin, **settings)
    return getattr(lr_scheduler, cls)(optimizer, **settings), theirs


@pytest.mark.parametrize("name", SCHEDULES)
def test_follows_torch(optimizer, twin, name):
    ours, theirs = pair_of_schedules(name, optimizer, twin)
    follow(ours, optimizer, theirs, twin, steps=40)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_one_cycle_moves_momentum_like_torch(make):
    torch = pytest.importorskip("torch")
    ours = make([ndl.Tensor([1.0])], lr=0.1)
    theirs = getattr(torch.optim, make.__name__)([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    settings = {"max_lr": 1.0, "total_steps": 20, "base_momentum": 0.7, "max_momentum": 0.9}
    schedule = OneCycleLR(ours, **settings)
    twin_schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, **settings)
    for _ in range(19):
        name = "betas" if make is Adam else "momentum"
        assert ours.param_groups[0][name] == pytest.approx(theirs.param_groups[0][name], rel=1e-9)
        theirs.step()
        schedule.step()
        twin_schedule.step()


def test_one_cycle_ends_where_it_should_and_refuses_more(optimizer):
    schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, anneal_strategy="linear")
    for _ in range(4):
        schedule.step()
    assert lrs(optimizer) == pytest.approx([1 / 25 / 1e4] * 2)
    schedule.step()  # after the last batch
    assert lrs(optimizer) == pytest.approx([1 / 25 / 1e4] * 2)
    with pytest.raises(ValueError, match="5 steps is over"):
        schedule.step()


def test_one_cycle_can_leave_momentum_alone(optimizer):
    optimizer.momentum = 0.3
    OneCycleLR(optimizer, max_lr=1.0, total_steps=10, cycle_momentum=False).step()
    assert optimizer.momentum == 0.3


SEQUENCES = {
    "warm-up and cosine": (
        [("LinearLR", {"start_factor": 0.1}), ("CosineAnnealingLR", {"T_max": 30})],
        [5],
    ),
    "three": (
        [
            ("ConstantLR", {"factor": 0.1, "total_iters": 4}),
            ("StepLR", {"step_size": 3, "gamma": 0.5}),
            ("ExponentialLR", {"gamma": 0.9}),
        ],
        [4, 17],
    ),
    "lambda last": (
        [("ExponentialLR", {"gamma": 0.8}), ("LambdaLR", {"lr_lambda": lambda e: 1 / (2 + e)})],
        [10],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_follow_torch(optimizer, twin, name):
    torch = pytest.importorskip("torch")
    parts, milestones = SEQUENCES[name]
    theirs = torch.optim.lr_scheduler
    ours = SequentialLR(
        optimizer, [getattr(lr_scheduler, c)(optimizer, **s) for c, s in parts], milestones
    )
    twins = theirs.SequentialLR(twin, [getattr(theirs, c)(twin, **s) for c, s in parts], milestones)
    follow(ours, optimizer, twins, twin, steps=40)


@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "cooldown": 3},
        {"mode": "max", "patience": 1, "threshold": 0.1},
        {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "min_lr": [0.01, 0.2]},
        {"patience": 0, "min_lr": 0.004, "eps": 0.002},
    ],
)
def test_plateau_follows_torch(optimizer, twin, settings):
    torch = pytest.importorskip("torch")
    metrics = 1 / np.arange(1, 41) + np.random.default_rng(0).normal(size=40) / 10
    metrics[7] = math.nan
    follow(
        ReduceLROnPlateau(optimizer, **settings),
        optimizer,
        torch.optim.lr_scheduler.ReduceLROnPlateau(twin, **settings),
        twin,
        steps=40,
        metrics=metrics,
    )


def test_plateau_takes_a_tensor(optimizer):
    schedule = ReduceLROnPlateau(optimizer, patience=0)
    for loss in (1.0, 2.0):
        schedule.step(ndl.Tensor([loss]))
    assert lrs(optimizer) == pytest.approx([0.01, 0.05])


TOGETHER = {
    "step": lambda module, o: module.StepLR(o, 4, 0.5),
    "warm-up": lambda module, o: module.LinearLR(o),
    "cosine": lambda module, o: module.CosineAnnealingLR(o, 30),
    "sequence": lambda module, o: module.SequentialLR(
        o, [module.ConstantLR(o), module.ExponentialLR(o, 0.9)], [20]
    ),
}


@pytest.mark.parametrize("names", list(itertools.permutations(TOGETHER, 3)), ids="-".join)
def test_schedules_on_one_optimizer_multiply_like_torch(optimizer, twin, names):
    torch = pytest.importorskip("torch")
    ours = [TOGETHER[name](lr_scheduler, optimizer) for name in names]
    twins = [TOGETHER[name](torch.optim.lr_scheduler, twin) for name in names]
    twin.step()
    for _ in range(25):
        assert lrs(optimizer) == pytest.approx(lrs(twin), rel=1e-9)
        for schedule in ours + twins:
            schedule.step()


def test_a_schedule_made_in_the_middle_starts_from_the_learning_rate_there_is(optimizer):
    first = ExponentialLR(optimizer, 0.5)
    first.step()
    second = StepLR(optimizer, 1, 0.1)
    assert lrs(optimizer) == [0.05, 0.25]
    second.step()
    assert lrs(optimizer) == pytest.approx([0.005, 0.025])


@pytest.mark.parametrize("name", ["step", "exponential", "cosine_floor", "linear_down", "constant"])
def test_a_group_added_later_goes_along_like_torch(optimizer, twin, name):
    torch = pytest.importorskip("torch")
    ours, theirs = pair_of_schedules(name, optimizer, twin)
    follow(ours, optimizer, theirs, twin, steps=3)
    optimizer.add_param_group({"params": [ndl.Tensor([1.0])], "lr": 0.3})
    twin.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    follow(ours, optimizer, theirs, twin, steps=20)


def test_a_group_added_later_takes_the_last_function(optimizer):
    schedule = LambdaLR(optimizer, [lambda epoch: 1.0, lambda epoch: 0.5**epoch])
    optimizer.add_param_group({"params": [ndl.Tensor([1.0])], "lr": 0.3})
    schedule.step()
    assert lrs(optimizer) == [0.1, 0.25, 0.15]


def test_a_group_added_later_waits_on_the_plateau_like_torch(optimizer, twin):
    torch = pytest.importorskip("torch")
    ours = ReduceLROnPlateau(optimizer, patience=0, min_lr=0.02)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(twin, patience=0, min_lr=0.02)
    optimizer.add_param_group({"params": [ndl.Tensor([1.0])], "lr": 0.3})
    twin.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    follow(ours, optimizer, theirs, twin, steps=4, metrics=[1.0, 1.0, 1.0, 1.0])


def test_a_learning_rate_changed_by_hand_stays_changed(optimizer):
    schedule = CosineAnnealingLR(optimizer, T_max=10)
    schedule.step()
    before = lrs(optimizer)
    optimizer.param_groups[0]["lr"] /= 2
    schedule.step()
    plain = [0.1 * (1 + math.cos(math.pi * 0.2)) / 2, 0.5 * (1 + math.cos(math.pi * 0.2)) / 2]
    assert lrs(optimizer) == pytest.approx([plain[0] / 2, plain[1]])
    assert before == pytest.approx([x * (1 + math.cos(math.pi * 0.1)) / 2 for x in (0.1, 0.5)])


def build(optimizer):
    """One schedule of each kind, by name."""
    built = {
        name: (lambda c=cls, s=settings: getattr(lr_scheduler, c)(optimizer, **s))
        for name, (cls, settings) in SCHEDULES.items()
    }
    for name, (parts, milestones) in SEQUENCES.items():
        built[name] = lambda p=parts, m=milestones: SequentialLR(
            optimizer, [getattr(lr_scheduler, c)(optimizer, **s) for c, s in p], m
        )
    built["plateau"] = lambda: ReduceLROnPlateau(optimizer, patience=1)
    return built


@pytest.mark.parametrize("name", [*SCHEDULES, *SEQUENCES, "plateau"])
def test_a_resumed_schedule_continues_to_the_bit(optimizer, name):
    arguments = (1.0,) if name == "plateau" else ()
    schedule = build(optimizer)[name]()
    for _ in range(13):
        schedule.step(*arguments)
    state = pickle.loads(pickle.dumps((optimizer.state_dict(), schedule.state_dict())))
    expected = []
    for _ in range(13):
        schedule.step(*arguments)
        expected.append(lrs(optimizer))

    tensors = [group["params"] for group in optimizer.param_groups]
    fresh = SGD([{"params": tensors[0]}, {"params": tensors[1], "lr": 0.7}], lr=0.9)
    resumed = build(fresh)[name]()
    fresh.load_state_dict(state[0])
    resumed.load_state_dict(state[1])
    for wanted in expected:
        resumed.step(*arguments)
        assert lrs(fresh) == wanted


def test_the_state_restores_settings_and_is_a_copy(optimizer):
    state = MultiStepLR(optimizer, [2], gamma=0.5).state_dict()
    other = MultiStepLR(optimizer, [7])
    other.load_state_dict(state)
    state["milestones"].append(1)
    assert (other.milestones, other.gamma) == ([2], 0.5)


def test_the_state_of_another_schedule_is_refused(optimizer):
    state = StepLR(optimizer, 3).state_dict()
    with pytest.raises(ValueError, match=r"not that of a CosineAnnealingLR.*step_size.*T_max"):
        CosineAnnealingLR(optimizer, 3).load_state_dict(state)
    with pytest.raises(ValueError, match="0 schedulers, expected 1"):
        SequentialLR(optimizer, [StepLR(optimizer, 3)], []).load_state_dict(state)


def test_a_schedule_of_the_user(optimizer):
    class Inverse(LRScheduler):
        def multiplier(self, epoch, group):
            return 1 / (1 + epoch)

    schedule = Inverse(optimizer)
    for epoch in range(5):
        assert schedule.get_last_lr() == pytest.approx([0.1 / (1 + epoch), 0.5 / (1 + epoch)])
        schedule.step()
    with pytest.raises(NotImplementedError, match="multiplier"):
        LRScheduler(optimizer)


def test_modules_names():
    assert set(lr_scheduler.__all__) <= set(ndl.optim.__all__)
    assert ndl.optim.StepLR is ndl.optim.lr_scheduler.StepLR


@pytest.mark.parametrize("T_mult", [1, 2, 3])
def test_warm_restarts_at_fractions_of_epochs_are_torchs(twin, T_mult) -> None:
    torch = pytest.importorskip("torch")
    optimizer = SGD([ndl.Tensor([1.0])], lr=0.1)
    settings = {"T_0": 3, "T_mult": T_mult, "eta_min": 0.02}
    schedule = CosineAnnealingWarmRestarts(optimizer, **settings)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(twin, **settings)
    for epoch in [0, 0.25, 2.9999, 3, 3.5, 17.25, 9.5, 40]:
        schedule.step(epoch)
        theirs.step(epoch)
        assert schedule.get_last_lr()[0] == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
    state = schedule.state_dict()
    other = CosineAnnealingWarmRestarts(SGD([ndl.Tensor([1.0])], lr=0.1), **settings)
    other.load_state_dict(state)
    schedule.step()
    other.step()
    assert other.get_last_lr() == schedule.get_last_lr()


def test_repr_shows_settings_epoch_and_lr() -> None:
    optimizer = SGD([ndl.Tensor([1.0])], lr=0.1)
    warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    warm_up.step()
    expected = "start_factor=0.5, end_factor=1.0, total_iters=2, last_epoch=1, lr=[0.07"
    assert repr(warm_up).startswith(f"LinearLR({expected}")
    assert repr(LambdaLR(optimizer, math.exp)).startswith("LambdaLR(lr_lambda=exp, last_epoch=0")
    plateau = ReduceLROnPlateau(SGD([ndl.Tensor([1.0])]), patience=3)
    assert "mode='min', factor=0.1, patience=3" in repr(plateau)
    both = SequentialLR(optimizer, [warm_up, StepLR(optimizer, 3)], [4])
    assert "schedulers=[LinearLR(" in repr(both)
    assert ", StepLR(step_size=3, gamma=0.1, last_epoch=0, lr=[" in repr(both)
