"""Scoring pairs with a ranker: sorted by length, so that hardly anything is padded, and shared out over processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import SideTokens
from distilkit.data.tokens import PairTokens
from distilkit.errors import NotFinite
from distilkit.models.batch import TokenBatch, batch_of, on_device
from distilkit.models.ranker import Ranker
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
    lengths = tokens.lengths(queries, passages) if len(queries) else np.zeros(0, np.int64)
    batches = forward_passes(lengths, batch_size, processes.device)
    mine: list[tuple[Integers, npt.NDArray[np.float64]]] = []
    device, done = processes.device, 0
    was_training = ranker.training
    ranker.eval()
    with torch.no_grad(), computing(precision, device):
        before: tuple[Integers, torch.Tensor] | None = None
        for batch in batches[processes.rank :: processes.count]:
            launched = launch_batch(ranker, tokens, queries[batch], passages[batch], device)
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
