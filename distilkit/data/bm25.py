"""BM25, the first stage: bm25s's index with an exact, reproducible order of the candidates."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from distilkit.data.analysis import Analyser, stemmer_of, tokens
from distilkit.data.segmenters import segmenter_of
from distilkit.data.texts import Texts

VERSION = f"2 bm25s-{version('bm25s')} PyStemmer-{version('PyStemmer')}"
"""The versions that scores depend on, beside texts and settings: part of an artifact's key."""

QUERIES_PER_REPORT = 100


class Bm25:
    """A BM25 index (Lucene's variant) over passages, whose tokens are an analyser's; that of English by default.

    Raises UserError for an unknown stemmer.
    """

    def __init__(self, passages: Texts, *, k1: float, b: float, analyser: Analyser | None = None) -> None:
        import bm25s
        from bm25s.tokenization import Tokenizer

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        analyser = analyser or Analyser()
        stemmer = stemmer_of(analyser.stemmer)
        splitter = partial(tokens, segment=segmenter_of(analyser.segmenter, analyser.language))
        self._tokenizer = Tokenizer(splitter=splitter, stopwords=analyser.stopwords, stemmer=stemmer)
        self._index = bm25s.BM25(k1=k1, b=b, method="lucene", backend="numpy")
        self._size = len(passages)
        found = list(self._tokens((text for _, texts in passages.batches(4096) for text in texts), grow=True))
        vocabulary = self._tokenizer.get_vocab_dict()
        self._empty = not vocabulary
        if vocabulary:
            self._index.index((found, vocabulary), create_empty_token=False, show_progress=False)
        # Ties are broken by id descending: a passage's place in that order, as an ascending sort key.
        self._tie_key = np.empty(self._size, dtype=np.int64)
        self._tie_key[passages.order[::-1]] = np.arange(self._size)

    def retrieve(
        self, queries: Sequence[str], depth: int, progress: Callable[[int, int], None] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return passage indices and scores, each [queries, depth], best first.

        The order is score descending, then id descending as a string. Only passages with a positive score are
        candidates; rows that have fewer than `depth` end in -1, with score 0. `progress(done, total)` is called
        now and then.
        """
        indices = np.full((len(queries), depth), -1, dtype=np.int64)
        scores = np.zeros((len(queries), depth), dtype=np.float32)
        for row, wanted in enumerate(self._tokens(queries, grow=False)):
            if wanted:
                found, values = self._best(self._index.get_scores_from_ids(wanted), depth)
                indices[row, : len(found)], scores[row, : len(found)] = found, values
            if progress and ((row + 1) % QUERIES_PER_REPORT == 0 or row + 1 == len(queries)):
                progress(row + 1, len(queries))
        return indices, scores

    def _best(self, scores: NDArray[np.float32], depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = np.flatnonzero(scores > 0)
        if len(found) > depth:
            # All that tie with the last place stay in, so that the order below decides who is cut.
            least = np.partition(scores[found], len(found) - depth)[len(found) - depth]
            found = found[scores[found] >= least]
        order = np.lexsort((self._tie_key[found], -scores[found]))[:depth]
        return found[order], scores[found[order]]

    def _tokens(self, texts: Iterable[str], grow: bool) -> Iterator[list[int]]:
        # An empty text has no tokens: bm25s's own empty token would make empty texts match each other.
        ids: Iterator[list[int]] = self._tokenizer.streaming_tokenize(texts, update_vocab=grow, allow_empty=False)
        return ids
