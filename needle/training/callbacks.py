"""What happens beside the training: hooks of a Trainer."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor
from ..distributed import from_rank_0
from ..io import save
from .representation import shown

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["EVENTS", "Callback", "EarlyStopping", "SaveBest", "check_callbacks"]

EVENTS = ("on_fit_start", "on_epoch_start", "on_batch_end", "on_epoch_end", "on_fit_end")


class Callback:
    """Base of callbacks: override what is needed. `trainer.stop()` ends the training.

    A class need not inherit from it, and a plain function is called as `on_epoch_end`. What
    `state_dict` returns is part of checkpoints.

    Example:
        >>> import needle as ndl
        >>> class Rates(ndl.training.Callback):
        ...     def __init__(self):
        ...         self.rates = []
        ...
        ...     def on_batch_end(self, trainer, loss):
        ...         self.rates.append(trainer.optimizer.lr)
    """

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Before the first epoch of `fit`."""

    def on_epoch_start(self, trainer: "Trainer") -> None:
        """Before an epoch, and before the rest of one that is resumed."""

    def on_batch_end(self, trainer: "Trainer", loss: float) -> None:
        """After the step of a batch with this mean loss."""

    def on_epoch_end(self, trainer: "Trainer", epoch: dict[str, Any]) -> None:
        """After a complete epoch: its number, losses, metrics and seconds by name."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the last epoch of `fit`, or when it was stopped."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs of it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


def check_callbacks(callbacks: Iterable[Any]) -> list[Any]:
    """The callbacks as a list, unless one of them would never be called."""
    checked = list(callbacks)
    for callback in checked:
        hooks = [name for name in dir(callback) if name.startswith("on_")]
        unknown = [name for name in hooks if name not in EVENTS]
        if unknown or not (hooks or callable(callback)):
            what = f"has {', '.join(unknown)}" if unknown else "is neither"
            raise TypeError(
                f"a callback is a function (trainer, epoch), or an object with some of "
                f"{', '.join(EVENTS)}; {type(callback).__name__} {what}"
            )
    return checked


class _Best(Callback):
    """Follows the best value of a metric of the epochs."""

    def __init__(self, metric: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta is 0 or more, got {min_delta}")
        self.metric, self.mode, self.min_delta = metric, mode, min_delta
        self.best: float | None = None

    def __repr__(self) -> str:
        return shown(self, best=self.best)

    def _improves(self, epoch: dict[str, Any]) -> bool:
        if self.metric not in epoch:
            raise ValueError(
                f"{type(self).__name__}: an epoch has no {self.metric!r}, but {', '.join(epoch)}"
            )
        value = epoch[self.metric]
        sign = 1 if self.mode == "min" else -1
        if self.best is not None and not sign * (self.best - value) > self.min_delta:
            return False
        self.best = value
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class EarlyStopping(_Best):
    """Stops the training when a metric has not improved for `patience` epochs.

    Args:
        patience: epochs without an improvement before the training ends.
        min_delta: an improvement is larger than this.
        metric: an entry of the epochs, such as "validation_loss" or "validation_accuracy".
        mode: "min" if smaller is better, else "max".
        restore_best: give the model the parameters of the best epoch when `fit` ends.

    Example:
        >>> import needle as ndl
        >>> ndl.training.EarlyStopping(patience=3, metric="validation_accuracy", mode="max").best
    """

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 0.0,
        metric: str = "validation_loss",
        mode: str = "min",
        restore_best: bool = False,
    ) -> None:
        super().__init__(metric, mode, min_delta)
        if patience < 1:
            raise ValueError(f"patience is a number of epochs, 1 or more, got {patience}")
        self.patience, self.restore_best = patience, restore_best
        self.waited = 0
        self.weights: dict[str, Tensor] | None = None

    def on_epoch_end(self, trainer: "Trainer", epoch: dict[str, Any]) -> None:
        if self._improves(epoch):
            self.waited = 0
            if self.restore_best:
                state = trainer.model.state_dict()
                self.weights = {name: tensor.detach().clone() for name, tensor in state.items()}
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stop()

    def on_fit_end(self, trainer: "Trainer") -> None:
        if self.weights is not None:
            trainer.model.load_state_dict(self.weights)
            trainer.print(f"the weights are those with the best {self.metric}, {self.best:.4f}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self.weights}


class SaveBest(_Best):
    """Writes the model's `state_dict` to a safetensors file after each epoch that is the best.

    Args:
        path: the file; see `needle.save`.
        metric: an entry of the epochs.
        mode: "min" if smaller is better, else "max".

    Example:
        >>> import needle as ndl
        >>> ndl.training.SaveBest("best.safetensors", "validation_accuracy", mode="max").mode
        'max'
    """

    def __init__(
        self, path: str | os.PathLike[str], metric: str = "validation_loss", mode: str = "min"
    ) -> None:
        super().__init__(metric, mode)
        self.path = Path(path)

    def on_epoch_end(self, trainer: "Trainer", epoch: dict[str, Any]) -> None:
        if self._improves(epoch):
            from_rank_0(partial(self._save, trainer.model.state_dict()))

    def _save(self, state: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save(state, self.path)


def hooks_of(callbacks: list[Any], event: str) -> list[Callable[..., None]]:
    """What the callbacks have for an event."""
    found = []
    for callback in callbacks:
        hook = getattr(callback, event, None)
        if hook is None and event == "on_epoch_end" and callable(callback):
            hook = callback
        if hook is not None and getattr(hook, "__func__", None) is not getattr(Callback, event):
            found.append(hook)
    return found
