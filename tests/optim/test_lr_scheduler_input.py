"""Schedules that cannot be: settings out of range, what is no optimizer, what is no function."""

import math

import pytest

import needle as ndl
from needle.optim import SGD
from needle.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: StepLR(o, 0), "step_size must be .*at least 1, got 0"),
        (lambda o: StepLR(o, 2.5), "step_size must be a whole number"),
        (lambda o: StepLR(o, 3, -0.1), "gamma must be .*got -0.1"),
        (lambda o: ExponentialLR(o, math.nan), "gamma must be .*got nan"),
        (lambda o: MultiStepLR(o, [3, -1]), "milestones must be .*got -1"),
        (lambda o: LinearLR(o, start_factor=0), r"start_factor must be .*\(0, 1\], got 0"),
        (lambda o: LinearLR(o, end_factor=2), r"end_factor must be .*\[0, 1\], got 2"),
        (lambda o: LinearLR(o, total_iters=0), "total_iters must be"),
        (lambda o: ConstantLR(o, factor=2), "factor must be .*got 2"),
        (lambda o: PolynomialLR(o, power=0), "power must be .*above 0, got 0"),
        (lambda o: CosineAnnealingLR(o, -5), "T_max must be .*got -5"),
        (lambda o: CosineAnnealingLR(o, 5, -1), "eta_min must be .*got -1"),
        (lambda o: CosineAnnealingWarmRestarts(o, 0), "T_0 must be .*at least 1, got 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2, 1.5), "T_mult must be .*got 1.5"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2).step(-1), "epoch must be .*got -1"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2).step(math.nan), "epoch must be .*got nan"),
        (lambda o: LambdaLR(o, [lambda e: 1]), "lr_lambda has 1 entries for 2 parameter groups"),
        (lambda o: OneCycleLR(o, 0.1), "total_steps, or epochs"),
        (lambda o: OneCycleLR(o, 0.1, epochs=3), "total_steps, or epochs"),
        (lambda o: OneCycleLR(o, 0.1, total_steps=0), "total_steps must be"),
        (lambda o: OneCycleLR(o, [0.1], 9), "max_lr has 1 entries"),
        (lambda o: OneCycleLR(o, -0.1, 9), "max_lr must be .*got -0.1"),
        (lambda o: OneCycleLR(o, 0.1, 9, pct_start=2), "pct_start must be .*got 2"),
        (lambda o: OneCycleLR(o, 0.1, 9, anneal_strategy="sin"), "one of .*cos.*got 'sin'"),
        (lambda o: OneCycleLR(o, 0.1, 9, max_momentum=1), "max_momentum must be .*got 1"),
        (lambda o: OneCycleLR(o, 0.1, 9, div_factor=0), "div_factor must be .*got 0"),
        (lambda o: ReduceLROnPlateau(o, "low"), "mode must be one of .*got 'low'"),
        (lambda o: ReduceLROnPlateau(o, factor=1), r"factor must be .*\[0, 1\), got 1"),
        (lambda o: ReduceLROnPlateau(o, patience=-1), "patience must be .*at least 0, got -1"),
        (lambda o: ReduceLROnPlateau(o, cooldown=False), "cooldown must be .*got False"),
        (lambda o: ReduceLROnPlateau(o, min_lr=[1]), "min_lr has 1 entries"),
        (lambda o: SequentialLR(o, [], []), "one milestone between"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [3]), "1 schedulers and milestones"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [5, 3]), "milestones must grow"),
        (lambda o: SequentialLR(o, [ReduceLROnPlateau(o)], []), "cannot run ReduceLROnPlateau"),
        (
            lambda o: SequentialLR(o, [StepLR(SGD([ndl.Tensor([1.0])]), 1)], []),
            "another optimizer",
        ),
        (
            lambda o: OneCycleLR(ndl.optim.Adagrad([ndl.Tensor([1.0])]), 0.1, 9),
            "Adagrad has no momentum to cycle",
        ),
    ],
)
def test_impossible_settings_are_refused(optimizer, make, text):
    with pytest.raises(ValueError, match=text):
        make(optimizer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: StepLR([0.1], 3),
        lambda: LambdaLR(None, lambda epoch: 1.0),
        lambda: OneCycleLR(None, 0.1, 9),
        lambda: ReduceLROnPlateau(None),
        lambda: SequentialLR(None, [], []),
    ],
)
def test_only_optimizers_have_schedules(make):
    with pytest.raises(TypeError, match="takes an Optimizer, got"):
        make()


def test_lambdas_are_functions(optimizer):
    with pytest.raises(TypeError, match=r"functions, got 0\.5"):
        LambdaLR(optimizer, 0.5)
