"""Losses as modules. Arguments, shapes and errors are those of the functions that they call."""

from typing import ClassVar

from ..autograd import Tensor
from . import functional
from .checks import check_fraction, check_reduction
from .function import FunctionOfSettings

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss",
    "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss", "SoftmaxLoss",
]  # fmt: skip


class SoftmaxLoss(FunctionOfSettings, function=functional.softmax_loss):
    """Softmax cross-entropy of logits (N, C) and class numbers (N,): mean of logsumexp(z) - z_y.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[0.0, 0.0]])
        >>> round(ndl.nn.SoftmaxLoss()(logits, ndl.Tensor([1])).item(), 4)
        0.6931
    """


class Loss(FunctionOfSettings):
    """Checks `reduction`, and makes the weights buffers."""

    _reductions: ClassVar[tuple[str, ...]] = ()  # allowed beside "mean", "sum" and "none"

    def __post_init__(self) -> None:
        settings = vars(self)
        check_reduction(settings["reduction"], *self._reductions)
        self._buffers = {name: True for name in ("weight", "pos_weight") if name in settings}
        for name in self._buffers:
            self.register_buffer(name, settings[name])

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return self._function(x, target, *self._settings(self))


class MSELoss(Loss, function=functional.mse_loss):
    """The squared error, (x - t)², of x and t of one shape.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> ndl.nn.MSELoss()(x, target).item()
        2.0
    """

    reduction: str = "mean"


class L1Loss(Loss, function=functional.l1_loss):
    """The absolute error, |x - t|, of x and t of one shape.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> ndl.nn.L1Loss()(x, target).item()
        1.0
    """

    reduction: str = "mean"


class SmoothL1Loss(Loss, function=functional.smooth_l1_loss):
    """(x - t)²/(2β) where |x - t| < β, else |x - t| - β/2.

    Less sensitive to outliers than the squared error; beta=0 gives |x - t|.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([1.0, 2.0]), ndl.Tensor([1.0, 4.0])
        >>> ndl.nn.SmoothL1Loss()(x, target).item()
        0.75
    """

    reduction: str = "mean"
    beta: float = 1.0


class HuberLoss(Loss, function=functional.huber_loss):
    """(x - t)²/2 where |x - t| < δ, else δ·(|x - t| - δ/2): the smooth L1 loss times β = δ.

    Example:
        >>> import needle as ndl
        >>> ndl.nn.HuberLoss(delta=2.0)(ndl.Tensor([0.0, 0.0]), ndl.Tensor([1.0, 5.0])).item()
        4.25
    """

    reduction: str = "mean"
    delta: float = 1.0


class CrossEntropyLoss(Loss, function=functional.cross_entropy):
    """Softmax cross-entropy of logits (N, C) with class numbers (N,) or probabilities (N, C).

    `weight` (C,) weighs the classes; see `functional.cross_entropy`.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> loss = ndl.nn.CrossEntropyLoss(label_smoothing=0.1)
        >>> round(loss(logits, ndl.Tensor([0, 1])).item(), 4)
        0.2951
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("label_smoothing", self.label_smoothing)

    # in most training steps, and a microsecond faster than the general one
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(Loss, function=functional.nll_loss):
    """Negative log-likelihood, -l_y for log-probabilities l (N, C) and class numbers y (N,).

    `weight` (C,) weighs the classes; see `functional.nll_loss`.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> log_probabilities = ndl.nn.LogSoftmax()(logits)
        >>> round(ndl.nn.NLLLoss()(log_probabilities, ndl.Tensor([0, 1])).item(), 4)
        0.2201
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"


class BCELoss(Loss, function=functional.binary_cross_entropy):
    """Binary cross-entropy of probabilities, -(t·ln p + (1 - t)·ln(1 - p)), finite at 0 and 1.

    `weight` weighs the elements; see `functional.binary_cross_entropy`.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([0.9, 0.2]), ndl.Tensor([1.0, 0.0])
        >>> round(ndl.nn.BCELoss()(x, target).item(), 4)
        0.1643
    """

    weight: Tensor | None = None
    reduction: str = "mean"


class BCEWithLogitsLoss(Loss, function=functional.binary_cross_entropy_with_logits):
    """Binary cross-entropy of σ(z), finite for any logit z.

    `weight` weighs the elements, `pos_weight` the positive class; see
    `functional.binary_cross_entropy_with_logits`.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([3.0, -1.0]), ndl.Tensor([1.0, 0.0])
        >>> round(ndl.nn.BCEWithLogitsLoss()(x, target).item(), 4)
        0.1809
    """

    weight: Tensor | None = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None


class KLDivLoss(Loss, function=functional.kl_div):
    """Kullback-Leibler divergence, t·(ln t - x), given log-probabilities x.

    `reduction` may also be "batchmean"; see `functional.kl_div`.

    Example:
        >>> import needle as ndl
        >>> x, target = ndl.Tensor([[0.5, 0.5]]).log(), ndl.Tensor([[0.9, 0.1]])
        >>> round(ndl.nn.KLDivLoss("batchmean")(x, target).item(), 4)
        0.3681
    """

    reduction: str = "mean"
    log_target: bool = False

    _reductions = ("batchmean",)
