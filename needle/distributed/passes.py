"""The passes of a `DataLoader(shard=)`: all ranks take the order that rank 0 draws."""

from typing import Any

from ..data import shards
from .communicator import communicator

__all__: list[str] = []


def _order_of_rank_0(order: Any, what: str) -> Any:
    """The order that rank 0 has drawn.

    Raises:
        DistributedError: the ranks begin passes of different lengths.
    """
    own = communicator()
    if own.size == 1:
        return order
    own.agree(f"a pass over {len(order):,} {what}")
    return own.broadcast(order, 0)


shards.order_of_rank_0 = _order_of_rank_0
