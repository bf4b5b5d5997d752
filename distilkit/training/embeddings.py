"""Gradients of large tables: of the rows that were read, until a step is done.

A table's dense gradient is as large as the table, and every forward pass of a step makes one and adds it to the others;
the rows that the passes read are few.
"""

from torch import nn

LARGE = 10_000


def keep_read_rows(module: nn.Module) -> None:
    """Let the large tables of a module have sparse gradients; for training in one process."""
    for table in module.modules():
        if isinstance(table, nn.Embedding) and table.num_embeddings >= LARGE:
            table.sparse = True


def fill_rows(module: nn.Module) -> None:
    """Make sparse gradients dense, once they are added up: the optimiser moves every row."""
    for parameter in module.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()
