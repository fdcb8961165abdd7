"""Losses."""

from .. import ops
from ..autograd import Tensor
from .module import Module

__all__ = ["SoftmaxLoss"]


class SoftmaxLoss(Module):
    """Softmax cross-entropy, the mean over the batch of logsumexp(z) - z_y.

    Called with logits (N, classes) and class numbers (N,), an integer tensor.

    Raises:
        TypeError: the labels are not integers.
        ValueError: their number differs from the batch, or one is outside the classes.

    Example:
        >>> import needle as ndl
        >>> logits = ndl.Tensor([[0.0, 0.0]])
        >>> round(ndl.nn.SoftmaxLoss()(logits, ndl.Tensor([1])).item(), 4)
        0.6931
    """

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return ops.softmax_cross_entropy(logits, y, mean=True)
