"""Losses as modules. Their formulas and errors are those of `needle.nn.functional`."""

from .. import ops
from ..autograd import Tensor
from . import functional
from .functional.loss import check_reduction
from .module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "NLLLoss", "SmoothL1Loss", "SoftmaxLoss",
]  # fmt: skip


class SoftmaxLoss(Module):
    """Softmax cross-entropy, the mean over the batch of logsumexp(z) - z_y.

    Called with logits (N, classes) and class numbers (N,), integers or floats that are whole.

    Raises:
        TypeError: a label is no whole number.
        ValueError: their number differs from the batch, or one is outside the classes.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[0.0, 0.0]])
        >>> round(ndl.nn.SoftmaxLoss()(logits, ndl.Tensor([1])).item(), 4)
        0.6931
    """

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return ops.softmax_cross_entropy(logits, y, mean=True)


class _Loss(Module):
    """A loss whose only setting is what becomes of the losses of the single elements."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """The squared error, (x - t)², of x and t of one shape.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(x, target, self.reduction)


class L1Loss(_Loss):
    """The absolute error, |x - t|, of x and t of one shape.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(x, target, self.reduction)


class SmoothL1Loss(_Loss):
    """(x - t)²/(2β) where |x - t| < β, else |x - t| - β/2: a squared error that outliers spare.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        beta: β, where the square ends; 0 gives |x - t|.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(x, target, self.reduction, self.beta)


class _WeightedLoss(_Loss):
    """A loss with weights: of classes, or of elements."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """Softmax cross-entropy with class numbers or probabilities.

    Args:
        weight: (C,), what each class counts.
        ignore_index: a class number that counts nothing.
        reduction: "mean" (weighted), "sum" or "none".
        label_smoothing: ε, mixes the target with equal probabilities: (1 - ε)·p + ε/C.

    Called with logits (N, C), (N, C, ...) or (C,); and class numbers of that shape without C,
    integers or floats that are whole, or probabilities, floats of that shape.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_WeightedLoss):
    """The negative log-likelihood -l_y of class number y, given log-probabilities l.

    Args and shapes as in `CrossEntropyLoss`; targets are class numbers.
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(
            log_probabilities, target, self.weight, self.ignore_index, self.reduction
        )


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities, -(t·ln p + (1 - t)·ln(1 - p)), finite at 0 and 1.

    Called with p and t of one shape.

    Args:
        weight: what each element counts; broadcasts to the losses.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a probability or a target is outside [0, 1].
    """

    def forward(self, p: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy(p, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of σ(z), for any logit z.

    Args:
        weight: what each element counts; broadcasts to the losses.
        reduction: "mean", "sum" or "none".
        pos_weight: what the positive class counts; broadcasts to the losses.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits, target, self.weight, self.reduction, self.pos_weight
        )


class KLDivLoss(Module):
    """The Kullback-Leibler divergence, t·(ln t - x), given log-probabilities x.

    Args:
        reduction: "mean" over all elements, "batchmean" (the divergence), "sum" or "none".
        log_target: whether targets are given as logarithms.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        self.reduction = check_reduction(reduction, "batchmean")
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.kl_div(x, target, self.reduction, self.log_target)
