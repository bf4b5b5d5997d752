"""Index time: documents encoded once, written to disk, before any query."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilkit.bench.query_time import Sweep, sweep_of
from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import SideTokens
from distilkit.evaluation.cost import peak_memory, reset_peak, seconds_of
from distilkit.models.encoded import Encoded, EncodedFile, encode_rows, save_encoded
from distilkit.models.ranker import SideRanker

SWEEP_BATCHES = 2
# Documents whose vectors are on the device at a time.
BLOCK = 1024


@dataclass(frozen=True)
class IndexTime:
    """What encoding documents takes, and what they take on disk.

    Attributes:
        documents: how many were encoded
        ms_per_document: encoding alone, in batches of the best size, tokenisation and writing apart
        sweep: of the batch sizes, per document
        storage: bytes a document of the written file, the formula's, and what they are made of
    """

    documents: int
    ms_per_document: float
    batch_size: int
    sweep: Sweep
    peak_memory_bytes: int
    storage: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "documents": self.documents,
            "ms_per_document": self.ms_per_document,
            "documents_per_second": round(1000 / self.ms_per_document, 1),
            "batch_size": self.batch_size,
            "peak_memory_bytes": self.peak_memory_bytes,
            "sweep": self.sweep.to_json(),
        }


def index_documents(
    ranker: SideRanker,
    tokens: SideTokens,
    path: Path,
    batch_sizes: Sequence[int],
    device: torch.device,
    reach: Callable[[int], object],
) -> IndexTime:
    """Encode all documents of some tokens with the best batch size, and write them to a file in float16."""
    side, count = tokens.documents, len(tokens.documents.store.lengths)
    everything = np.arange(count)

    def encode(rows: Integers, size: int) -> Encoded:
        return encode_rows(ranker.encode_document, side, rows, batch_size=size, device=device)

    def encode_all(size: int) -> Encoded:
        parts = []
        for at in range(0, count, BLOCK):
            parts.append(encode(everything[at : at + BLOCK], size).to("cpu", torch.float16))
            reach(min(at + BLOCK, count))
        return Encoded.concatenated(parts)

    def per_document(size: int) -> list[float]:
        rows = everything[: SWEEP_BATCHES * size]
        encode(rows[: min(size, 16)], size)
        return [seconds_of(lambda: encode(rows, size), device) / len(rows)]

    sweep = sweep_of([size for size in sorted(set(batch_sizes)) if size <= count] or [count], per_document)
    reset_peak(device)
    found: list[Encoded] = []
    seconds = seconds_of(lambda: found.append(encode_all(sweep.best)), device)
    peak = peak_memory(device)
    save_encoded(path, found[0], torch.float16)
    ms = round(seconds / count * 1000, 4)
    return IndexTime(count, ms, sweep.best, sweep, peak, _storage(ranker, tokens, path, everything))


def _storage(ranker: SideRanker, tokens: SideTokens, path: Path, rows: Integers) -> dict[str, Any]:
    file = EncodedFile.open(path)
    return {
        "vectors": ranker.storage_unit,
        "vector_size": ranker.vector_size,
        "dtype": "float16",
        "bytes_per_document": file.states.numel() * file.states.element_size() / len(file),
        "bytes_per_document_by_formula": ranker.bytes_per_document(tokens, rows),
        "file_bytes_per_document": path.stat().st_size / len(file),
    }
