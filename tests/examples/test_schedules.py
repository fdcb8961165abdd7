"""Schedules of the learning rate in a config."""

import pytest
from train_mnist import build, read

from needle import data, optim
from needle.training.config import SOURCES, Part, Schedule

pytestmark = pytest.mark.usefixtures("no_curve")


@pytest.fixture
def run_of():
    """run_of(scheduler, epochs): a run on the digits, 23 batches an epoch."""

    def make(scheduler, epochs=3, **others):
        entries = {"scheduler": scheduler, "epochs": epochs, "batch_size": 64, **others}
        config = read("digits.yaml", list(entries.items()))
        return build(config, SOURCES["digits"], data.Digits())

    return make


def test_digits_yaml_without_one(run_of):
    assert run_of(None).scheduler is None


@pytest.mark.parametrize(
    ("scheduler", "cls", "settings"),
    [
        ({"name": "StepLR", "step_size": 4}, optim.StepLR, {"step_size": 4, "gamma": 0.1}),
        ({"name": "ExponentialLR", "gamma": 0.7}, optim.ExponentialLR, {"gamma": 0.7}),
        ({"name": "CosineAnnealingLR", "T_max": "epochs"}, optim.CosineAnnealingLR, {"T_max": 3}),
        ({"name": "MultiStepLR", "milestones": [1, "epochs"]}, None, {"milestones": [1, 3]}),
        ({"name": "ReduceLROnPlateau", "patience": 0}, optim.ReduceLROnPlateau, {"patience": 0}),
        (
            {"name": "OneCycleLR", "per": "batch", "max_lr": 0.1, "total_steps": "batches"},
            optim.OneCycleLR,
            {"total_steps": 69, "base_lrs": [0.004]},
        ),
    ],
)
def test_they_are_built_from_their_signatures(run_of, scheduler, cls, settings):
    run = run_of(scheduler)
    assert type(run.scheduler) is (cls or getattr(optim, scheduler["name"]))
    assert run.scheduler.optimizer is run.optimizer
    assert {name: getattr(run.scheduler, name) for name in settings} == settings


def test_one_after_another(run_of):
    run = run_of(
        {
            "name": "SequentialLR",
            "milestones": [1],
            "schedulers": [
                {"name": "LinearLR", "start_factor": 0.1, "total_iters": 1},
                {"name": "CosineAnnealingLR", "T_max": "epochs"},
            ],
        }
    )
    first, second = run.scheduler.schedulers
    assert isinstance(first, optim.LinearLR)
    assert isinstance(second, optim.CosineAnnealingLR)
    assert run.optimizer.lr == pytest.approx(0.03)
    run.scheduler.step()
    assert run.optimizer.lr == pytest.approx(0.3)


@pytest.mark.parametrize(("per", "steps"), [("epoch", 2), ("batch", 46)])
def test_they_step_after_every_epoch_or_every_batch(train, monkeypatch, per, steps):
    rates = []

    def watched(self, step=optim.ExponentialLR.step):
        step(self)
        rates.append(self.optimizer.lr)

    monkeypatch.setattr(optim.ExponentialLR, "step", watched)
    options = ("--epochs", "2", "--set", "batch_size=64")
    scheduler = f"scheduler={{name: ExponentialLR, gamma: 0.5, per: {per}}}"
    assert train("--config", "digits.yaml", *options, "--set", scheduler)[0] == 0
    assert rates == pytest.approx([0.3 * 0.5 ** (step + 1) for step in range(steps)])


def test_a_plateau_is_one_of_the_training_loss(train, empty_machine, monkeypatch):
    losses = []
    monkeypatch.setattr(optim.ReduceLROnPlateau, "step", lambda self, loss: losses.append(loss))
    options = ("--epochs", "2", "--set", "scheduler={name: ReduceLROnPlateau}")
    _, out, _ = train("--config", "digits.yaml", *options)
    lines = out.splitlines()[1:3]
    for line, loss in zip(lines, losses, strict=True):
        assert f"train loss {loss:.4f}" in line


CHANGES = [
    ("StepLR", "scheduler: found 'StepLR', allowed: a mapping with the name of a scheduler and"),
    ("{gamma: 1}", "scheduler.name: missing, allowed: ConstantLR, CosineAnnealingLR, "),
    ("{name: StepLr}", "scheduler.name: unknown scheduler 'StepLr' (did you mean StepLR?), allo"),
    ("{name: LambdaLR}", "scheduler.name: unknown scheduler 'LambdaLR'"),
    ("{name: LRScheduler}", "scheduler.name: unknown scheduler 'LRScheduler'"),
    ("{name: SGD}", "scheduler.name: unknown scheduler 'SGD'"),
    ("{name: StepLR}", "scheduler.step_size: missing, allowed: a whole number of at least 0, ep"),
    ("{name: StepLR, step_size: pixels}", "scheduler.step_size: found 'pixels', allowed: a who"),
    ("{name: StepLR, step_size: 0}", "scheduler: step_size must be a whole number of at least"),
    ("{name: StepLR, step_size: 1, gamma: -1}", "scheduler: gamma must be a finite number of "),
    ("{name: StepLR, step_size: 1, every: 2}", "scheduler: unknown key 'every', allowed: per, s"),
    ("{name: StepLR, step_size: 1, per: day}", "scheduler.per: found 'day', allowed: epoch or b"),
    ("{name: MultiStepLR, milestones: 3}", "scheduler.milestones: found 3, allowed: a list, ea"),
    ("{name: MultiStepLR, milestones: [2, x]}", "scheduler.milestones.1: found 'x', allowed: "),
    (
        "{name: SequentialLR, milestones: [], schedulers: [{name: StepLR}]}",
        "scheduler.schedulers.0.step_size: missing, allowed: ",
    ),
    (
        "{name: SequentialLR, milestones: [], schedulers: [StepLR]}",
        "scheduler.schedulers.0: found 'StepLR', allowed: a mapping with the name of a scheduler",
    ),
    (
        "{name: SequentialLR, milestones: [1], schedulers: [{name: StepLR, step_size: 1}]}",
        "scheduler: SequentialLR needs one milestone between two schedulers",
    ),
    (
        "{name: SequentialLR, milestones: [], schedulers: []}",
        "scheduler: SequentialLR needs one milestone between two schedulers",
    ),
]


@pytest.mark.parametrize(("scheduler", "text"), CHANGES, ids=[change for change, _ in CHANGES])
def test_entries_that_are_not_allowed(train, empty_machine, scheduler, text):
    code, out, err = train("--config", "digits.yaml", "--set", f"scheduler={scheduler}")
    assert (code, out) == (1, "")
    assert err.startswith(f"train_mnist: digits.yaml: {text}")
    assert err.count("\n") == 1
    assert not (empty_machine / "runs").exists()


def test_a_cycle_that_is_too_short_is_refused_before_training(train):
    scheduler = "scheduler={name: OneCycleLR, max_lr: 0.1, total_steps: 29}"
    code, out, err = train("--config", "digits.yaml", "--set", scheduler)
    assert (code, out) == (1, "")
    assert err == (
        "train_mnist: scheduler.total_steps: found 29, allowed: at least 30, as it takes a step "
        "per epoch\n"
    )


def test_a_cycle_that_ends_inside_another_schedule_is_told_in_one_line(train):
    scheduler = (
        "scheduler={name: SequentialLR, milestones: [], schedulers: ["
        "{name: OneCycleLR, max_lr: 0.1, total_steps: 1}]}"
    )
    code, _, err = train("--config", "digits.yaml", "--epochs", "2", "--set", scheduler)
    assert code == 1
    assert err == "train_mnist: scheduler: the cycle of 1 steps is over: step() has no next\n"


def test_a_rate_beyond_all_numbers_is_told_in_one_line(train):
    scheduler = "scheduler={name: ExponentialLR, per: batch, gamma: 1e+308}"
    code, _, err = train("--config", "digits.yaml", "--set", scheduler)
    assert code == 1
    assert err in (
        "train_mnist: scheduler: Numerical result out of range\n",
        "train_mnist: the loss became nan after 96 images of Digits epoch 1/30: try a smaller "
        "learning rate\n",
    )


def test_the_same_settings_read_the_same():
    spelled = {"name": "StepLR", "step_size": 2, "gamma": "1e-1", "per": "epoch"}
    short = {"name": "StepLR", "step_size": 2}
    one, other = (
        read("digits.yaml", [("scheduler", scheduler)]).scheduler for scheduler in (spelled, short)
    )
    assert isinstance(one, Schedule)
    assert isinstance(one, Part)
    assert one == other
