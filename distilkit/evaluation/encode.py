"""Encoding queries or documents apart: sorted by length, so that hardly anything is padded."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from distilkit.models.batch import TokenBatch, batch_of
from distilkit.models.encoded import Encoded
from distilkit.models.moving import on_device

Integers = npt.NDArray[np.int64]


def encode_rows(
    encode: Callable[[TokenBatch], Encoded],
    side: Any,
    rows: Integers,
    *,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], object] = lambda done: None,
) -> Encoded:
    """Return some texts of a side of `SideTokens` encoded, in the order given, on the device.

    Args:
        encode: a ranker's `encode_query` or `encode_document`
        side: the queries or documents that it reads
        rows: which of them
        batch_size: how many a forward pass
        device: where the ranker is
        progress: told how many are done
    """
    order = np.argsort(-side.lengths(rows), kind="stable")
    parts = []
    for at in range(0, len(order), batch_size):
        columns = side.batch(rows[order[at : at + batch_size]])
        parts.append(encode(cast(TokenBatch, on_device(batch_of(columns), device))))
        progress(min(at + batch_size, len(order)))
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return Encoded.concatenated(parts).rows(torch.from_numpy(places).to(device))
