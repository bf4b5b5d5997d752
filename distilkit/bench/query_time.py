"""One query from its text to its scores, in the parts that are timed apart."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from distilkit.bench.workload import Workload, store_of
from distilkit.evaluation.encode import encode_rows
from distilkit.evaluation.latency import score_query, seconds_of
from distilkit.models.encoded import Encoded, EncodedFile
from distilkit.scoring.rankers import OpenRanker

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T")

TOKENISE = "tokenise"


@dataclass
class Stopwatch:
    """The seconds of the parts of one query, in their order."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def part(self, name: str, work: Callable[[], T]) -> T:
        """Do one part, and keep how long it took."""
        found: list[T] = []
        self.seconds[name] = seconds_of(lambda: found.append(work()), self.device)
        return found[0]


class QueryTime(Protocol):
    """A way of scoring a query's documents."""

    def scores(self, query: int, rows: Integers, batch_size: int, watch: Stopwatch) -> Floats:
        """Return the raw scores of a query's documents, timed part by part."""
        ...


@dataclass(frozen=True)
class Reading:
    """Query and documents are read together when the query comes, as a bert_cat must; nothing is kept."""

    opened: OpenRanker
    workload: Workload
    tokens: Any
    tokenises: bool
    device: torch.device

    def scores(self, query: int, rows: Integers, batch_size: int, watch: Stopwatch) -> Floats:
        """Return the raw scores; where it tokenises, from the texts, else from stored tokens."""
        ranker = self.opened.ranker
        if not self.tokenises:
            return watch.part("score", lambda: score_query(ranker, self.tokens, query, rows, batch_size, self.device))
        tokens = watch.part(TOKENISE, lambda: self._tokenise(query, rows))
        of = np.arange(len(rows))
        return watch.part("score", lambda: score_query(ranker, tokens, 0, of, batch_size, self.device))

    def _tokenise(self, query: int, rows: Integers) -> Any:
        texts = [self.workload.queries[query]], [self.workload.documents[row] for row in rows]
        queries, documents = (store_of(some, self.opened.tokenizer, self.opened.stored_length) for some in texts)
        return with_stores(self.tokens, queries, documents)


@dataclass(frozen=True)
class Keeping:
    """Documents are encoded before, and read from the disk's file; only the query is encoded when it comes."""

    opened: OpenRanker
    workload: Workload
    tokens: Any
    documents: EncodedFile
    tokenises: bool
    device: torch.device

    def scores(self, query: int, rows: Integers, batch_size: int, watch: Stopwatch) -> Floats:
        """Return the raw scores; where it tokenises, from the query's text, else from its stored tokens."""
        side, row = self.tokens.queries, query
        if self.tokenises:
            side, row = watch.part(TOKENISE, lambda: self._tokenise(query)), 0
        encoded = watch.part("encode the query", lambda: self._encode(side, row))
        return watch.part("read and score documents", lambda: self._score(encoded, rows, batch_size))

    def _tokenise(self, query: int) -> Any:
        store = store_of([self.workload.queries[query]], self.opened.tokenizer, self.opened.stored_length)
        return replace(self.tokens.queries, store=store)

    def _encode(self, side: Any, row: int) -> Encoded:
        encode = self.opened.ranker.encode_query
        return encode_rows(encode, side, np.array([row]), batch_size=1, device=self.device)

    def _score(self, query: Encoded, rows: Integers, batch_size: int) -> Floats:
        """Score documents in batches of like length, each read from the file."""
        index = torch.from_numpy(rows)
        order = self.documents.lengths(index).argsort(descending=True, stable=True)
        scores = np.empty(len(rows))
        for batch in torch.split(order, batch_size):
            documents = self.documents.rows(index[batch]).to(self.device)
            found = self.opened.ranker.score_encoded(repeated(query, len(batch)), documents)
            scores[batch.numpy()] = found.double().cpu().numpy()
        return scores


def repeated(query: Encoded, count: int) -> Encoded:
    """Return one query as many times as there are documents, without copying it."""
    mask = None if query.mask is None else query.mask.expand(count, -1)
    return Encoded(query.states.expand(count, *query.states.shape[1:]), mask)


def with_stores(tokens: Any, queries: Any, documents: Any) -> Any:
    """Return tokens of the same form for other texts."""
    if hasattr(tokens, "template"):
        return replace(tokens, queries=queries, passages=documents)
    return replace(
        tokens, queries=replace(tokens.queries, store=queries), documents=replace(tokens.documents, store=documents)
    )
