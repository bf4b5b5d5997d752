"""The best documents of many queries, block by block, ties in the evaluation policy's order."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Top:
    """Each query's best documents so far: scores and places, `[Q, n]`, by score descending, then place ascending."""

    scores: Tensor
    places: Tensor

    def joined(self, other: "Top", depth: int) -> "Top":
        """Return the best of both."""
        return best(torch.cat([self.scores, other.scores], 1), torch.cat([self.places, other.places], 1), depth)

    def to(self, device: torch.device | str) -> "Top":
        """Return it on a device."""
        return Top(self.scores.to(device), self.places.to(device))


def best(scores: Tensor, places: Tensor, depth: int) -> Top:
    """Return the `depth` best of each row, `[Q, n]` both, fewer where there are fewer; of equal scores lower places."""
    if scores.shape[1] <= depth:
        return _ordered(scores, places)
    kept = scores.topk(depth).indices
    top = _ordered(scores.gather(1, kept), places.gather(1, kept))
    # topk takes any of the equal scores at its end; where it had a choice, all are put in order.
    tied = ((scores >= top.scores[:, -1:]).sum(1) > depth).nonzero()[:, 0]
    if len(tied):
        whole = _ordered(scores[tied], places[tied])
        top.scores[tied], top.places[tied] = whole.scores[:, :depth], whole.places[:, :depth]
    return top


def _ordered(scores: Tensor, places: Tensor) -> Top:
    order = places.argsort(dim=1)
    order = order.gather(1, scores.gather(1, order).argsort(dim=1, descending=True, stable=True))
    return Top(scores.gather(1, order), places.gather(1, order))
