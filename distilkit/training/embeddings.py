"""Gradients of large tables: of the rows that were read, until a step is done.

A table's dense gradient is as large as the table, and every forward pass of a step makes one and adds it to the others;
the rows that the passes read are few.
"""

from typing import cast

import torch
from torch import Tensor, nn

LARGE = 10_000


class ReadRows:
    """The large tables of a module, whose gradients are sparse from now on; for training in one process."""

    def __init__(self, module: nn.Module) -> None:
        modules = [one for one in module.modules() if isinstance(one, nn.Embedding) and one.num_embeddings >= LARGE]
        for one in modules:
            one.sparse = True
        self._module, self._weights = module, [cast(nn.Parameter, one.weight) for one in modules]
        # Of each table the dense gradient of the last step, and its rows that are not zero.
        self._last: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def clip(self, max_norm: float) -> None:
        """Scale gradients down to a norm, as torch's `clip_grad_norm_` does, without a look at rows that are zero."""
        for weight in self._weights:
            if weight.grad is not None and weight.grad.is_sparse:
                weight.grad = weight.grad.coalesce()
        gradients = [one.grad for one in self._module.parameters() if one.grad is not None]
        parts = [one.values() if one.is_sparse else one for one in gradients]
        norm = nn.utils.get_total_norm(parts)
        torch._foreach_mul_(parts, torch.clamp(max_norm / (norm + 1e-6), max=1.0))

    def fill(self) -> None:
        """Make sparse gradients dense, once they are added up: the optimiser moves every row.

        The tensor of the last step is filled again, since to zero a few of its rows is cheaper than all of a new one's.
        """
        for weight in self._weights:
            if weight.grad is None or not weight.grad.is_sparse:
                continue
            sparse = weight.grad.coalesce()
            rows = sparse.indices()[0]
            dense, before = self._last.get(weight) or (torch.zeros_like(weight), rows[:0])
            dense.index_fill_(0, before, 0.0).index_copy_(0, rows, sparse.values())
            self._last[weight] = dense, rows
            weight.grad = dense
