"""Losses as modules. Arguments, shapes and errors are those of the functions that they call."""

from dataclasses import dataclass

from ..autograd import Tensor
from . import functional
from .checks import check_fraction, check_reduction
from .module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "NLLLoss", "SmoothL1Loss", "SoftmaxLoss",
]  # fmt: skip


class SoftmaxLoss(Module):
    """Softmax cross-entropy of logits (N, C) and class numbers (N,): mean of logsumexp(z) - z_y.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[0.0, 0.0]])
        >>> round(ndl.nn.SoftmaxLoss()(logits, ndl.Tensor([1])).item(), 4)
        0.6931
    """

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return functional.softmax_loss(logits, y)


class _Loss(Module):
    """Checks `reduction`, and makes the weights buffers."""

    reduction: str
    _reductions: tuple[str, ...] = ()  # allowed beside "mean", "sum" and "none"

    def __post_init__(self) -> None:
        check_reduction(self.reduction, *self._reductions)
        self._buffers = {name: True for name in ("weight", "pos_weight") if hasattr(self, name)}
        for name in self._buffers:
            self.register_buffer(name, getattr(self, name))


@dataclass(eq=False, repr=False)
class MSELoss(_Loss):
    """Squared error, (x - t)², of x and t of one shape."""

    reduction: str = "mean"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(x, target, self.reduction)


@dataclass(eq=False, repr=False)
class L1Loss(_Loss):
    """Absolute error, |x - t|, of x and t of one shape."""

    reduction: str = "mean"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(x, target, self.reduction)


@dataclass(eq=False, repr=False)
class SmoothL1Loss(_Loss):
    """(x - t)²/(2β) where |x - t| < β, else |x - t| - β/2.

    Less sensitive to outliers than the squared error; beta=0 gives |x - t|.
    """

    reduction: str = "mean"
    beta: float = 1.0

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(x, target, self.reduction, self.beta)


@dataclass(eq=False, repr=False)
class CrossEntropyLoss(_Loss):
    """Softmax cross-entropy of logits (N, C) with class numbers (N,) or probabilities (N, C).

    `weight` (C,) weighs the classes; see `functional.cross_entropy`.
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("label_smoothing", self.label_smoothing)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


@dataclass(eq=False, repr=False)
class NLLLoss(_Loss):
    """Negative log-likelihood, -l_y for log-probabilities l (N, C) and class numbers y (N,).

    `weight` (C,) weighs the classes; see `functional.nll_loss`.
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"

    def forward(self, log_probabilities: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(
            log_probabilities, target, self.weight, self.ignore_index, self.reduction
        )


@dataclass(eq=False, repr=False)
class BCELoss(_Loss):
    """Binary cross-entropy of probabilities, -(t·ln p + (1 - t)·ln(1 - p)), finite at 0 and 1.

    `weight` weighs the elements; see `functional.binary_cross_entropy`.
    """

    weight: Tensor | None = None
    reduction: str = "mean"

    def forward(self, p: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(p, target, self.weight, self.reduction)


@dataclass(eq=False, repr=False)
class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of σ(z), finite for any logit z.

    `weight` weighs the elements, `pos_weight` the positive class; see
    `functional.binary_cross_entropy_with_logits`.
    """

    weight: Tensor | None = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits, target, self.weight, self.reduction, self.pos_weight
        )


@dataclass(eq=False, repr=False)
class KLDivLoss(_Loss):
    """Kullback-Leibler divergence, t·(ln t - x), given log-probabilities x.

    `reduction` may also be "batchmean"; see `functional.kl_div`.
    """

    reduction: str = "mean"
    log_target: bool = False

    _reductions = ("batchmean",)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.kl_div(x, target, self.reduction, self.log_target)
