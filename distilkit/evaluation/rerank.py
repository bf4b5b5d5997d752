"""Scoring pairs with a ranker: sorted by length, so that hardly anything is padded, and shared out over processes.

A ranker that encodes queries and passages apart encodes each of them once, whatever the number of pairs that it is in.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import SideTokens
from distilkit.data.tokens import PairTokens
from distilkit.errors import NotFinite
from distilkit.models.batch import TokenBatch, batch_of, on_device
from distilkit.models.encoded import encode_rows
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.packed.batch import Packed
from distilkit.packed.encoder import can_pack, packed_scores
from distilkit.progress import ProcessGroup
from distilkit.training.precision import Precision, autocast_dtype

Tokens = PairTokens | SideTokens
"""A collection's tokens as a ranker reads them: pairs in one sequence, or the two sides apart."""

# Measured: passes of 1,400 to 2,800 tokens take 0.75 of the time that passes of 5,500 take, token for token.
CPU_TOKENS = 2048
# Not measured: what should keep a large GPU busy; a BERT-base scores as many in 1 GB.
GPU_TOKENS = 65_536
# So many tokens of encoded queries are in memory at a time: 100 MB of vectors of 768 numbers.
QUERY_TOKENS = 32_768
# What is saved by encoding texts once must be more than this share of all texts to be worth the sorting.
WORTH = 0.1

Launched = Iterator[tuple[Integers, torch.Tensor]]
"""Some pairs' places and their logits, which a GPU may still be computing."""


def score_pairs(
    ranker: Ranker,
    tokens: Tokens,
    queries: Integers,
    passages: Integers,
    *,
    batch_size: int,
    precision: Precision,
    processes: ProcessGroup,
    progress: Callable[[int, int], None],
) -> npt.NDArray[np.float64]:
    """Return the raw logit of every pair, in the order given; raises NotFinite where one is not a finite number.

    Every process scores its share of the batches and gets all scores.
    """
    mine: list[tuple[Integers, npt.NDArray[np.float64]]] = []
    device, done = processes.device, 0
    was_training = ranker.training
    ranker.eval()
    with torch.no_grad(), computing(precision, device):
        before: tuple[Integers, torch.Tensor] | None = None
        for batch, launched in _launched(ranker, tokens, queries, passages, batch_size, processes):
            # A GPU is waited for once it has the next batch to compute.
            if before is not None:
                mine.append((before[0], on_host(before[1])))
            before = batch, launched
            done += len(batch) * processes.count
            progress(min(done, len(queries)), len(queries))
        if before is not None:
            mine.append((before[0], on_host(before[1])))
    ranker.train(was_training)
    scores = np.empty(len(queries))
    for batch, values in processes.gather(mine):
        scores[batch] = values
    if not np.isfinite(scores).all():
        raise NotFinite(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite")
    return scores


def _launched(
    ranker: Ranker, tokens: Tokens, queries: Integers, passages: Integers, batch_size: int, processes: ProcessGroup
) -> Launched:
    """Yield this process's share of the pairs with their logits."""
    if isinstance(ranker, SideRanker) and isinstance(tokens, SideTokens) and ranker.scores_encoded:
        distinct = len(np.unique(queries)) + len(np.unique(passages))
        if distinct < (1 - WORTH) * 2 * len(queries):
            yield from _encoded_once(ranker, tokens, queries, passages, batch_size, processes)
            return
    lengths = tokens.lengths(queries, passages) if len(queries) else np.zeros(0, np.int64)
    for batch in forward_passes(lengths, batch_size, processes.device)[processes.rank :: processes.count]:
        yield batch, launch_batch(ranker, tokens, queries[batch], passages[batch], processes.device)


def _encoded_once(
    ranker: SideRanker,
    tokens: SideTokens,
    queries: Integers,
    passages: Integers,
    batch_size: int,
    processes: ProcessGroup,
) -> Launched:
    """Yield this process's share of the pairs with their logits, each text encoded once.

    The encoded queries lie in memory, as many as fit, and the passages of their pairs pass by. A passage is encoded
    again for the next queries.
    """
    device, (asked, of) = processes.device, np.unique(queries, return_inverse=True)
    by_query = np.argsort(of, kind="stable")
    of_sorted = of[by_query]
    room = CPU_TOKENS if device.type == "cpu" else GPU_TOKENS
    size = batch_size if device.type == "cpu" else max(batch_size, room // tokens.documents.longest)
    at_a_time = max(1, QUERY_TOKENS // tokens.queries.longest)
    for start in range(0, len(asked), at_a_time):
        rows = asked[start : start + at_a_time]
        pairs = by_query[slice(*np.searchsorted(of_sorted, [start, start + len(rows)]))]
        forward_pass = max(1, room // tokens.queries.longest)
        encoded = encode_rows(ranker.encode_query, tokens.queries, rows, batch_size=forward_pass, device=device)
        texts, text_of = np.unique(passages[pairs], return_inverse=True)
        pairs_of = np.split(pairs[np.argsort(text_of, kind="stable")], np.cumsum(np.bincount(text_of))[:-1])
        blocks = forward_passes(tokens.documents.lengths(texts), batch_size, device)
        for block in blocks[processes.rank :: processes.count]:
            batch = on_device(batch_of(tokens.documents.batch(texts[block])), device)
            assert isinstance(batch, TokenBatch)
            documents = ranker.encode_document(batch)
            own = [pairs_of[text] for text in block]
            chosen, row = np.concatenate(own), np.repeat(np.arange(len(block)), [len(one) for one in own])
            for at in range(0, len(chosen), size):
                some = slice(at, at + size)
                asking = encoded.rows(torch.from_numpy(of[chosen[some]] - start).to(device))
                answers = documents.rows(torch.from_numpy(row[some]).to(device))
                yield chosen[some], ranker.score_encoded(asking, answers)


def forward_passes(lengths: Integers, batch_size: int, device: torch.device) -> list[Integers]:
    """Cut pairs into batches of like length, the longest first.

    On a CPU none has more tokens than suits its caches; on a GPU short pairs are so many more that they keep it busy.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[Integers] = []
    at = 0
    while at < len(order):
        longest = max(1, int(lengths[order[at]]))
        if device.type == "cpu":
            size = min(batch_size, max(1, CPU_TOKENS // longest))
        else:
            size = max(batch_size, GPU_TOKENS // longest)
        batches.append(order[at : at + size])
        at += size
    return batches


def score_batch(
    ranker: Ranker,
    tokens: Tokens,
    queries: Integers,
    passages: Integers,
    device: torch.device,
    packed: bool | None = None,
) -> npt.NDArray[np.float64]:
    """Return the raw logits of one batch, which is packed where it can be; by default on a GPU alone."""
    return on_host(launch_batch(ranker, tokens, queries, passages, device, packed))


def launch_batch(
    ranker: Ranker,
    tokens: Tokens,
    queries: Integers,
    passages: Integers,
    device: torch.device,
    packed: bool | None = None,
) -> torch.Tensor:
    """Return the logits of `score_batch` on the device, which may still be computing them."""
    batch = batch_of(tokens.batch(queries, passages))
    if (device.type == "cuda" if packed is None else packed) and can_pack(ranker):
        assert isinstance(batch, TokenBatch)
        return packed_scores(ranker, on_device(Packed.of(batch), device))
    return ranker.score(on_device(batch, device))


def on_host(scores: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return computed logits as an array, once they are there."""
    found: npt.NDArray[np.float64] = scores.double().cpu().numpy()
    return found


def computing(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision."""
    dtype = autocast_dtype(precision)
    return torch.autocast(device.type, dtype) if dtype is not None else nullcontext()
