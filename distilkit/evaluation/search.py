"""Each query's best documents out of blocks of encoded ones: exactly, or with FAISS; ties in the policy's order."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distilkit.errors import RunFailed, UserError
from distilkit.extras import require
from distilkit.models.encoded import Encoded
from distilkit.progress import ProcessGroup

Vectors = npt.NDArray[np.float32]

# Queries whose scores of a block are in memory at a time.
QUERIES = 1024


@runtime_checkable
class Searcher(Protocol):
    """A ranker that can search a whole collection."""

    def score_all(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the score of every query with every document, shape `[Q, D]`."""
        ...


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


def search(
    ranker: Searcher, queries: Encoded, blocks: Iterable[tuple[int, Encoded]], depth: int, device: torch.device
) -> Top:
    """Return the places of each query's best documents among the blocks, `[Q, n]` with n at most the depth.

    Args:
        ranker: a bert_dot, a colbert or another that can
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


def search_faiss(queries: Encoded, blocks: Iterable[tuple[int, Encoded]], depth: int, kind: str) -> Top:
    """Return the places of each query's best documents, as an index of FAISS finds them.

    Args:
        queries: a vector per query
        blocks: a vector per document, each block with the place of its first one, from 0 on
        depth: how many documents a query gets
        kind: what FAISS's `index_factory` takes: `Flat` is exact, `HNSW32` or `IVF1024,Flat` are not

    A kind that is trained is so on the first block. Raises UserError for a kind that FAISS cannot make or train.
    """
    faiss = require("faiss", "faiss", "--faiss")
    index: Any = None
    for _, block in blocks:
        vectors = _array(block)
        if index is None:
            index = _index(faiss, vectors, kind)
        index.add(vectors)
    scores, places = index.search(_array(queries), min(depth, index.ntotal))
    if (places < 0).any():
        raise UserError(f"--faiss {kind}: finds fewer than {depth} documents; take a kind that searches more, or Flat")
    return best(torch.from_numpy(scores), torch.from_numpy(places.astype(np.int64)), depth)


def _index(faiss: ModuleType, vectors: Vectors, kind: str) -> Any:
    try:
        index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"--faiss {kind}: FAISS cannot make such an index: {reason}") from None
    return index


def _array(encoded: Encoded) -> Vectors:
    vectors: Vectors = encoded.states.float().cpu().numpy()
    return np.ascontiguousarray(vectors)
