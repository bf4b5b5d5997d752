"""The texts that a ranker is timed on: a collection's queries and candidates, or made-up ones of given lengths."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.bench.request import Bench
from distilkit.data.tokens import TokenStore
from distilkit.errors import UserError
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.materials import Materials
from distilkit.scoring.rerank import data_settings

Integers = npt.NDArray[np.int64]

SEED = 1
WORD = re.compile(r"[^\W\d_]{2,}")
# What tokenizers put in front of a word's first token.
STARTS = "Ġ▁"
WORDS = 5000


@dataclass(frozen=True)
class Workload:
    """Queries, documents, and the rows of the documents that each query ranks."""

    queries: list[str]
    documents: list[str]
    candidates: list[Integers]
    made_of: dict[str, Any]

    def rows(self, query: int, depth: int) -> Integers:
        """Return the first documents of a query, fewer where it has fewer."""
        return self.candidates[query][:depth]


def made_up(request: Bench, tokenizer: Any) -> Workload:
    """Return random words: queries of one length, and documents of one length that all of them rank."""
    words = np.array(whole_words(tokenizer))
    draw = np.random.default_rng(SEED)
    query_length, document_length = request.text_lengths

    def texts(count: int, length: int) -> list[str]:
        return [" ".join(row) for row in words[draw.integers(len(words), size=(count, length))]]

    queries, documents = texts(request.queries, query_length), texts(request.deepest, document_length)
    made_of = {"source": "made up", "query_tokens": query_length, "document_tokens": document_length}
    return Workload(queries, documents, [np.arange(request.deepest)] * len(queries), made_of)


def of_collection(request: Bench, artifacts: Artifacts) -> Workload:
    """Return the first judged queries of a collection's split with their first-stage candidates.

    Raises UserError for missing data, and a split without judgements.
    """
    assert request.data is not None
    materials = Materials(data_settings(request.data, "bm25"), artifacts)
    collection = materials.collection
    ids = sorted(collection.qrels(request.split))
    found, _ = materials.candidates(request.split, ids, request.deepest)
    rows = [row for row in range(len(ids)) if (found.passages[row] >= 0).any()][: request.queries]
    if not rows:
        raise UserError(f"--split {request.split}: none of its queries has candidates to rank")
    kept = [passages[passages >= 0] for passages in (np.asarray(found.passages[row]) for row in rows)]
    pool = np.unique(np.concatenate(kept))
    return Workload(
        collection.queries.texts(int(found.queries[row]) for row in rows),
        collection.passages.texts(pool),
        [np.searchsorted(pool, passages) for passages in kept],
        {"source": collection.name, "split": request.split, "fingerprint": collection.fingerprint},
    )


def whole_words(tokenizer: Any) -> list[str]:
    """Return words of a vocabulary that are one token each."""
    special = set(tokenizer.all_special_tokens)
    tokens = [token for token in tokenizer.get_vocab() if token not in special]
    words = sorted({token.lstrip(STARTS) for token in tokens if WORD.fullmatch(token.lstrip(STARTS))})
    # Spread over the vocabulary, which may be large.
    words = words[:: max(1, len(words) // WORDS)]
    encoded = tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
    found = [word for word, ids in zip(words, encoded, strict=True) if len(ids) == 1]
    if not found:
        raise UserError("the tokenizer's vocabulary has no whole words to make texts of: name a collection with --data")
    return found


def store_of(texts: Sequence[str], tokenizer: Any, max_length: int) -> TokenStore:
    """Return texts tokenised in memory, without special tokens, each cut to a length."""
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    kept = [np.asarray(ids[:max_length], np.int32) for ids in encoded]
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids in kept])]).astype(np.int64)
    lengths = np.array([len(ids) for ids in encoded], np.int64)
    return TokenStore(np.concatenate([*kept, np.zeros(0, np.int32)]), starts, lengths)
