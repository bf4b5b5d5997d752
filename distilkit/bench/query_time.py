"""Query time: one query from its text to its scores, part by part; the best batch size; the Margin-MSE paper's way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distilkit.bench.workload import Workload
from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import Side, SideTokens
from distilkit.data.tokens import PairTokens, TokenStore
from distilkit.errors import RunFailed
from distilkit.evaluation.cost import milliseconds, peak_memory, reset_peak, score_query, seconds_of, timed
from distilkit.evaluation.rerank import Tokens
from distilkit.models.batch import TokenBatch, batch_of, on_device
from distilkit.models.encoded import Encoded, EncodedFile, encode_rows
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.scoring.rankers import OpenRanker

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

TOKENISE = "tokenise"
PAPER_DEPTH = 1000


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


@dataclass(frozen=True)
class ReadTogether:
    """Query and documents are read together when the query comes, as a bert_cat must; nothing is kept."""

    opened: OpenRanker
    workload: Workload
    tokens: Tokens
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

    def _tokenise(self, query: int, rows: Integers) -> Tokens:
        texts = [self.workload.queries[query]], [self.workload.documents[row] for row in rows]
        queries, documents = (TokenStore.of(some, self.opened.tokenizer, self.opened.stored_length) for some in texts)
        return with_stores(self.tokens, queries, documents)


@dataclass(frozen=True)
class Keeping:
    """Documents are encoded before, and read from the disk's file; only the query is encoded when it comes."""

    opened: OpenRanker
    workload: Workload
    tokens: SideTokens
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

    def _tokenise(self, query: int) -> Side:
        store = TokenStore.of([self.workload.queries[query]], self.opened.tokenizer, self.opened.stored_length)
        return replace(self.tokens.queries, store=store)

    def _encode(self, side: Side, row: int) -> Encoded:
        encode = self.opened.encoding.encode_query
        return encode_rows(encode, side, np.array([row]), batch_size=1, device=self.device)

    def _score(self, query: Encoded, rows: Integers, batch_size: int) -> Floats:
        """Score documents in batches of like length, each read from the file."""
        index = torch.from_numpy(rows)
        order = self.documents.lengths(index).argsort(descending=True, stable=True)
        scores = np.empty(len(rows))
        for batch in torch.split(order, batch_size):
            documents = self.documents.rows(index[batch]).to(self.device)
            found = self.opened.encoding.score_encoded(repeated(query, len(batch)), documents)
            scores[batch.numpy()] = found.double().cpu().numpy()
        return scores


def repeated(query: Encoded, count: int) -> Encoded:
    """Return one query as many times as there are documents, without copying it."""
    mask = None if query.mask is None else query.mask.expand(count, -1)
    return Encoded(query.states.expand(count, *query.states.shape[1:]), mask)


def with_stores(tokens: Tokens, queries: TokenStore, documents: TokenStore) -> Tokens:
    """Return tokens of the same form for other texts."""
    if isinstance(tokens, PairTokens):
        return replace(tokens, queries=queries, passages=documents)
    return replace(
        tokens, queries=replace(tokens.queries, store=queries), documents=replace(tokens.documents, store=documents)
    )


# A batch size is chosen by the median of so many queries.
SWEEP_QUERIES = 3

Parts = dict[str, float]


@dataclass(frozen=True)
class Sweep:
    """The median seconds of each batch size that was tried; None for one that does not fit into memory."""

    seconds: dict[int, float | None]

    @property
    def best(self) -> int:
        """The fastest batch size, the smaller one of equals; raises RunFailed where none fits."""
        fitting = {size: seconds for size, seconds in self.seconds.items() if seconds is not None}
        if not fitting:
            raise RunFailed(
                f"no batch fits into memory, not even one of {min(self.seconds)}: try smaller --batch-sizes"
            )
        return min(fitting, key=lambda size: (fitting[size], size))

    def to_json(self) -> list[dict[str, Any]]:
        """Return it as plain data, in milliseconds."""
        return [
            {"batch_size": size, "ms": None if seconds is None else round(seconds * 1000, 3), "best": size == self.best}
            for size, seconds in self.seconds.items()
        ]


@dataclass(frozen=True)
class DepthTime:
    """The timed queries at one depth, part by part, with the best batch size."""

    depth: int
    documents: float
    batch_size: int
    sweep: Sweep
    parts: list[Parts]

    def total(self, tokenisation: bool) -> dict[str, float | None]:
        """Return quantiles of a query's milliseconds, with its tokenisation or without."""
        return milliseconds(
            sum(seconds for name, seconds in parts.items() if tokenisation or name != TOKENISE) for parts in self.parts
        )

    def medians(self) -> dict[str, float | None]:
        """Return each part's median in milliseconds."""
        return {name: milliseconds(parts[name] for parts in self.parts)["p50"] for name in self.parts[0]}

    def to_json(self, tokenisation: Iterable[bool]) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "depth": self.depth,
            "documents": self.documents,
            "batch_size": self.batch_size,
            **{f"ms_per_query_tokenisation_{'in' if one else 'out'}": self.total(one) for one in tokenisation},
            "parts_p50": self.medians(),
            "sweep": self.sweep.to_json(),
        }


def time_depth(
    system: "ReadTogether | Keeping",
    workload: Workload,
    depth: int,
    batch_sizes: Sequence[int],
    warm_up: int,
    device: torch.device,
    advance: Callable[[], object],
) -> DepthTime:
    """Try the batch sizes, then time every query with the best one, after a warm-up.

    Sizes above the depth are one batch all the same, and are not tried apart.
    """
    count = len(workload.queries)

    def parts_of(query: int, size: int) -> Parts:
        watch = Stopwatch(device)
        system.scores(query % count, workload.rows(query % count, depth), size, watch)
        advance()
        return watch.seconds

    sweep = sweep_of(
        sizes_up_to(batch_sizes, depth),
        lambda size: [sum(parts_of(query, size).values()) for query in range(1 + SWEEP_QUERIES)][1:],
    )
    for query in range(warm_up):
        parts_of(query, sweep.best)
    parts = [parts_of(query, sweep.best) for query in range(count)]
    documents = float(np.mean([len(workload.rows(query, depth)) for query in range(count)]))
    return DepthTime(depth, round(documents, 1), sweep.best, sweep, parts)


def sweep_of(sizes: Sequence[int], seconds: Callable[[int], list[float]]) -> Sweep:
    """Try batch sizes; one that runs out of the GPU's memory is left out, and said to be."""
    found: dict[int, float | None] = {}
    for size in sizes:
        try:
            found[size] = float(np.median(seconds(size)))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            found[size] = None
    return Sweep(found)


def sizes_up_to(sizes: Sequence[int], depth: int) -> list[int]:
    """Return the batch sizes below a number of documents, and the first that holds all of them."""
    ordered = sorted(set(sizes))
    below = [size for size in ordered if size < depth]
    return below + ordered[len(below) : len(below) + 1]


def rounds_at(batch_sizes: Sequence[int], depth: int, queries: int, warm_up: int) -> int:
    """Return how many queries `time_depth` runs, for its progress."""
    return len(sizes_up_to(batch_sizes, depth)) * (1 + SWEEP_QUERIES) + warm_up + queries


CONDITIONS = (
    "one query and 1,000 documents in one batch; encoded documents in memory where the ranker can keep them; "
    "neither tokenisation nor reading nor copying to the device"
)


def paper_timing(
    ranker: Ranker,
    tokens: Tokens,
    documents: EncodedFile | None,
    rows: Integers,
    queries: int,
    warm_up: int,
    device: torch.device,
    advance: Callable[[], object],
) -> dict[str, Any]:
    """Return a query's median as section 5.3 of Hofstätter et al. 2020 measures it, and the peak memory.

    Args:
        ranker: the ranker
        tokens: its tokens of queries and documents
        documents: the encoded documents; None where nothing is kept
        rows: some documents; they are repeated up to 1,000
        queries: how many are timed
        warm_up: how many are done before
        device: where the ranker is
        advance: called after each query
    """
    rows = np.resize(rows, PAPER_DEPTH)
    reset_peak(device)
    found: dict[str, Any] = {
        "documents": PAPER_DEPTH,
        "distinct_documents": len(np.unique(rows)),
        "cached": documents is not None,
        "conditions": CONDITIONS,
    }
    try:
        numbers = [query % queries for query in range(warm_up + queries)]
        if documents is None or not isinstance(ranker, SideRanker) or not isinstance(tokens, SideTokens):
            works = _read(ranker, tokens, rows, numbers, device)
        else:
            works = _kept(ranker, tokens, documents.rows(torch.from_numpy(rows)).to(device), numbers, device)
        seconds = timed(_counted(works, advance), warm_up, device)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {**found, "ms_per_query": None, "peak_memory_bytes": None}
    return {**found, "ms_per_query": milliseconds(seconds), "peak_memory_bytes": peak_memory(device)}


def _read(
    ranker: Ranker, tokens: Tokens, rows: Integers, queries: list[int], device: torch.device
) -> Iterator[Callable[[], object]]:
    for query in queries:
        batch = on_device(batch_of(tokens.batch(np.full(len(rows), query), rows)), device)
        yield partial(ranker.score, batch)


def _kept(
    ranker: SideRanker, tokens: SideTokens, documents: Encoded, queries: list[int], device: torch.device
) -> Iterator[Callable[[], object]]:
    for query in queries:
        batch = on_device(batch_of(tokens.queries.batch(np.array([query]))), device)
        assert isinstance(batch, TokenBatch)
        yield partial(_score_kept, ranker, batch, documents)


def _score_kept(ranker: SideRanker, query: TokenBatch, documents: Encoded) -> Tensor:
    return ranker.score_encoded(repeated(ranker.encode_query(query), len(documents)), documents)


def _counted(works: Iterator[Callable[[], object]], advance: Callable[[], object]) -> Iterator[Callable[[], object]]:
    for work in works:
        yield work
        advance()  # between two pieces of work, where it is not timed
