"""What follows the attention of a layer as one compiled function; unmeasured on a GPU so far.

The output map, the feed-forward net, two sums with what skips them and two LayerNorms read and write all tokens again
and again; compiled, what lies between two matrix products is one pass. One function serves any number of tokens and all
layers of a shape, and is compiled when it is first called.
"""

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from distilkit.models.layers import Family, TokenWise, token_wise
from distilkit.packed.check import agree

# More than a tile of any kernel, and no multiple of one.
TOKENS = 130


@cache
def compiled_token_wise() -> TokenWise:
    """Return :func:`distilkit.models.layers.token_wise` compiled for any number of tokens."""
    return torch.compile(token_wise, dynamic=True)


def compiled_agrees(family: Family, layer: Any) -> bool:
    """Return whether a layer compiles on its device and does what it does uncompiled, else log one line."""
    own, wide = (copy.deepcopy(layer).eval().requires_grad_(False) for _ in range(2))
    wide.double()

    def fast(seen: Tensor, asking: Tensor) -> Tensor:
        return compiled_token_wise()(seen, asking, *family.arguments(own))

    def plain(seen: Tensor, asking: Tensor) -> Tensor:
        return token_wise(seen, asking, *family.arguments(wide))

    weight = family.net(own).output.weight
    generator = torch.Generator(weight.device).manual_seed(0)
    inputs = [torch.randn(TOKENS, len(weight), generator=generator, device=weight.device) for _ in range(2)]
    return agree("the compiled layer", fast, plain, [one.to(weight.dtype) for one in inputs])
