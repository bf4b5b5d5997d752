"""Whether losses leave some of the trained parameters alone, which processes that train together have to know."""

from torch import Tensor, nn


def leaves_some_alone(module: nn.Module, loss: Tensor) -> bool:
    """Return whether a loss depends on fewer than all of a module's trained parameters."""
    needed = reached(loss)
    return any(one.requires_grad and one not in needed for one in module.parameters())


def reached(loss: Tensor) -> set[Tensor]:
    """Return the parameters that a loss is differentiated to."""
    found: set[Tensor] = set()
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        # A node that adds up a leaf's gradient knows the leaf.
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.add(leaf)
        nodes.extend(before for before, _ in node.next_functions)
    return found
