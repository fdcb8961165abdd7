"""The loss of sequences whose alignment with their targets is not known."""

from typing import Any

from ..autograd import Tensor
from . import functional
from .loss import Loss

__all__ = ["CTCLoss"]


class CTCLoss(Loss, function=functional.ctc_loss):
    """-ln of the probability of a target, summed over all its alignments (Graves et al. 2006).

    Called with log-probabilities (steps, batch, classes), targets (batch, length), and the lengths
    of sequences and targets; see `functional.ctc_loss`.

    Example:
        >>> import needle as ndl
        >>> log_probs = ndl.nn.LogSoftmax(-1)(ndl.init.randn(9, 2, 5))
        >>> targets = ndl.Tensor([[1, 2, 2], [4, 3, 0]])
        >>> ndl.nn.CTCLoss()(log_probs, targets, [9, 7], [3, 2]).shape
        ()
    """

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False

    # a loss of four arguments, where others have two
    def forward(  # type: ignore[override]
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, *self._settings(self)
        )
