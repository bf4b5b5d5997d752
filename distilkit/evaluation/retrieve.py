"""Exact search: every query against every document, a block of documents at a time."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from distilkit.errors import RunFailed
from distilkit.evaluation.top import Top, best
from distilkit.models.encoded import Encoded
from distilkit.progress import ProcessGroup

# Queries whose scores of a block are in memory at a time.
QUERIES = 1024


def search(
    ranker: Any, queries: Encoded, blocks: Iterable[tuple[int, Encoded]], depth: int, device: torch.device
) -> Top:
    """Return the places of each query's best documents among the blocks, `[Q, n]` with n at most the depth.

    Args:
        ranker: a ranker with `score_all`
        queries: the encoded queries
        blocks: encoded documents, each block with the place of its first one
        depth: how many documents a query gets
        device: where scores are computed

    Raises RunFailed for a score that is not finite.
    """
    tops = [_nothing(len(queries.rows(part)), device) for part in _parts(queries)]
    for start, block in blocks:
        documents = block.to(device)
        for number, part in enumerate(_parts(queries)):
            scores = ranker.score_all(queries.rows(part).to(device), documents)
            _require_finite(scores)
            places = torch.arange(start, start + len(documents), device=device).expand(len(scores), -1)
            tops[number] = _with_block(tops[number], scores, places, depth)
    return Top(torch.cat([top.scores for top in tops]), torch.cat([top.places for top in tops])).to("cpu")


def shared(top: Top, depth: int, processes: ProcessGroup) -> Top:
    """Return the best of what all processes found in their blocks, in every process."""
    tops = processes.gather([top])
    found = tops[0]
    for other in tops[1:]:
        found = found.joined(other, depth)
    return found


def _with_block(top: Top, scores: Tensor, places: Tensor, depth: int) -> Top:
    """Return the best of what was found and of a block that comes after it."""
    wanted = depth
    if top.scores.shape[1] == depth:
        # Of equal scores the earlier wins, so that later blocks have ever less to add.
        wanted = min(depth, int((scores > top.scores[:, -1:]).sum(1).max()))
    return top.joined(best(scores, places, wanted), depth) if wanted else top


def _require_finite(scores: Tensor) -> None:
    # The sum is not finite where a score is not, and cheaper than asking each.
    if not scores.sum().isfinite() and not (finite := scores.isfinite()).all():
        raise RunFailed(f"{int((~finite).sum())} of {scores.numel()} scores are not finite")


def _parts(queries: Encoded) -> list[slice]:
    return [slice(at, min(at + QUERIES, len(queries))) for at in range(0, len(queries), QUERIES)]


def _nothing(queries: int, device: torch.device) -> Top:
    return Top(torch.empty(queries, 0, device=device), torch.empty(queries, 0, dtype=torch.int64, device=device))
