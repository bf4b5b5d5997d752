"""How a process's share of a batch is cut into the passes that make up an optimiser step."""

import numpy as np
import numpy.typing as npt

# Tokens of a forward and backward pass on a GPU: many, so that it is filled, yet of bounded memory. Unmeasured so far.
TOKEN_BUDGET = 16_384


def parts_of_examples(count: int, size: int) -> list[slice]:
    """Cut examples into parts of one size; the last one may be smaller."""
    return [slice(start, start + size) for start in range(0, count, size)]


def parts_of_tokens(lengths: npt.NDArray[np.integer], budget: int, packed: bool) -> list[slice]:
    """Cut examples, in their order, into the fewest parts that hold no more than a budget of tokens each.

    Packed parts hold the tokens of their pairs, padded ones as many for each pair as the longest has. An example over
    the budget is a part of its own. The lengths are those of the pairs of each example, [n, ways].
    """
    cuts, start, real, longest = [0], 0, 0, 0
    for at, example in enumerate(lengths.tolist()):
        real, longest = real + sum(example), max(longest, *example)
        tokens = real if packed else (at + 1 - start) * len(example) * longest
        if tokens > budget and at > start:
            cuts.append(at)
            start, real, longest = at, sum(example), max(example)
    return [slice(*ends) for ends in zip(cuts, [*cuts[1:], len(lengths)], strict=True)]
