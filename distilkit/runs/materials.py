"""What a run reads: a collection, its first stage and its tokens, each built once and shared."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels, open_collection
from distilkit.data.passages import Windows, write_windows
from distilkit.data.side_tokens import TextFormat
from distilkit.data.sources import SOURCES, Source
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.models import student_options
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.settings import DataSettings


@dataclass(frozen=True)
class QuerySet:
    """Judged queries of a collection with their candidates, and the candidates' identity for artifact keys."""

    collection: Collection
    qrels: Qrels
    candidates: Candidates
    identity: dict[str, Any]


class Materials:
    """The data room of one [data] table."""

    def __init__(self, settings: DataSettings, artifacts: Artifacts) -> None:
        self.settings, self.artifacts, self.reporter = settings, artifacts, artifacts.reporter
        self._bm25: Any = None
        self._tokenizers: dict[Path, str] = {}

    @cached_property
    def collection(self) -> Collection:
        """The collection, built if it is not there; raises UserError for missing or broken files."""
        source = make_source(self.settings)
        artifact = Artifact("collection", {"source": self.settings.source, **source.key()})
        if not self.artifacts.has(artifact):
            self.reporter.say(f"collection: reading {self.settings.source}")

        def build(folder: Path) -> None:
            (folder / "content").mkdir()
            source.write(folder / "content")

        return open_collection(self.artifacts.get(artifact, build) / "content")

    @cached_property
    def judgements(self) -> tuple[Qrels, Qrels]:
        """Training and validation judgements; raises UserError where there are none to train on."""
        from distilkit.data.examples import validation_split

        wanted = self.settings.validation
        train, validation = validation_split(
            self.collection, take_from=wanted.from_, queries=wanted.queries, seed=wanted.seed
        )
        return train, first_queries(validation, self.settings.validation_queries)

    @cached_property
    def empty_texts(self) -> dict[str, Any]:
        """The rows of queries and of passages that have no text."""
        return {"query": self.collection.queries.empty(), "passage": self.collection.passages.empty()}

    @property
    def has_empty_texts(self) -> bool:
        """Whether any query or passage has no text."""
        return any(map(len, self.empty_texts.values()))

    def qrels(self, split: str, limit: int | None) -> Qrels:
        """Return the judgements of a split's first `limit` queries by sha256, without those that validation took.

        Raises UserError where the collection has no such split, or where validation takes all of it.
        """
        if split not in self.collection.splits:
            raise UserError(
                f"[evaluate] split = {split!r}: the collection has judgements for {', '.join(self.collection.splits)}"
            )
        qrels = self.collection.qrels(split)
        if split in ("train", "dev"):
            _, validation = self.judgements
            qrels = {query: judged for query, judged in qrels.items() if query not in validation}
        if not qrels:
            raise UserError(
                f"[evaluate] split = {split!r}: all its queries are validation queries; "
                'take those from elsewhere, such as validation = { from = "train", queries = 200 }'
            )
        return first_queries(qrels, limit)

    def query_set(self, split: str, qrels: Qrels, depth: int) -> QuerySet:
        """Return judged queries with their first `depth` candidates: given ones where there are, else BM25's."""
        candidates, identity = self.candidates(split, sorted(qrels), depth)
        return QuerySet(self.collection, qrels, candidates, identity)

    def candidates(self, split: str, query_ids: Sequence[str], depth: int) -> tuple[Candidates, dict[str, Any]]:
        """Return the first stage of some queries and its identity."""
        identity = self.candidate_identity(split, query_ids, depth)
        given = self.collection.candidates(split) if self.settings.candidates else None
        if given is not None:
            return Candidates.of_run(self.collection, given, query_ids, depth), identity
        artifact = Artifact("candidates", identity)
        return Candidates.open(
            self.artifacts.get(artifact, lambda folder: self._retrieve(folder, query_ids, depth))
        ), identity

    def candidate_identity(self, split: str, query_ids: Sequence[str], depth: int) -> dict[str, Any]:
        """Return what the first stage of some queries depends on."""
        settings = self.settings
        identity = {"collection": self.collection.fingerprint, "queries": content_key(list(query_ids)), "depth": depth}
        if settings.candidates and self.collection.candidates(split) is not None:
            return {**identity, "given": split}
        from distilkit.data.bm25 import VERSION

        return {
            **identity,
            "bm25": {"k1": settings.k1, "b": settings.b, "stemmer": settings.stemmer, "version": VERSION},
        }

    def _retrieve(self, folder: Path, query_ids: Sequence[str], depth: int) -> None:
        from distilkit.data.bm25 import Bm25

        collection, settings = self.collection, self.settings
        if self._bm25 is None:
            self.reporter.say(f"BM25: indexing {len(collection.passages)} passages")
            self._bm25 = Bm25(collection.passages, k1=settings.k1, b=settings.b, stemmer=settings.stemmer)
        indices = [collection.queries.index(query) for query in query_ids]
        texts = collection.queries.texts(indices)
        with self.reporter.phase("BM25", len(texts)) as phase:
            passages, scores = self._bm25.retrieve(texts, depth, progress=phase.reach)
        import numpy as np

        Candidates(np.array(indices, np.int64), passages, scores.astype(np.float64)).write(folder)

    def words(self) -> Path:
        """Return a folder with a tokenizer of the collection's own words, learned if it is not there."""
        manifest = {"collection": self.collection.fingerprint}

        def build(folder: Path) -> None:
            from distilkit.models.words import word_tokenizer

            tables = (self.collection.queries, self.collection.passages)
            texts = (text for table in tables for _, batch in table.batches(4096) for text in batch)
            word_tokenizer(texts).save_pretrained(folder)

        return self.artifacts.get(Artifact("words", manifest), build)

    def token_identity(
        self, model: Path, architecture: str = "bert_cat", options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the tokens depend on, and for an architecture that reads texts apart how it reads them."""
        form = student_options(architecture, options).text_format
        identity = self._store_identity(model, self._stored_length(form))
        return {**identity, **self._lengths(form), "form": vars(form)}

    def _lengths(self, form: TextFormat) -> dict[str, int]:
        return {key: getattr(self.settings, key) for key in form.length_keys}

    def _stored_length(self, form: TextFormat) -> int:
        """Return how many tokens of a text are kept: the most that any student of this collection reads."""
        return max(self._lengths(form).values())

    def _store_identity(self, model: Path, length: int) -> dict[str, Any]:
        from distilkit.data.tokens import tokenizer_identity
        from distilkit.models.load import load_tokenizer

        if model not in self._tokenizers:  # asked for by every stage of a plan
            self._tokenizers[model] = tokenizer_identity(load_tokenizer(model))
        identity = {
            "collection": self.collection.fingerprint,
            "tokenizer": self._tokenizers[model],
            "max_length": length,
        }
        return identity if self.settings.passages is None else {**identity, "windows": self._window_identity(model)}

    def _window_identity(self, model: Path) -> dict[str, Any]:
        wanted = self.settings.passages
        assert wanted is not None
        identity = {"unit": wanted.unit, "length": wanted.length, "stride": wanted.stride}
        return {**identity, "tokenizer": self._tokenizers[model]} if wanted.unit == "tokens" else identity

    def windows(self, model: Path) -> Windows | None:
        """Return the windows of every document, cut if they are not there; None where documents are read whole."""
        wanted = self.settings.passages
        if wanted is None:
            return None
        from distilkit.models.load import load_tokenizer

        self.token_identity(model)
        manifest = {"documents": self.collection.fingerprint, **self._window_identity(model)}
        documents = self.collection.passages

        def build(folder: Path) -> None:
            tokenizer = load_tokenizer(model) if wanted.unit == "tokens" else None
            with self.reporter.phase("cut passages", len(documents)) as phase:
                write_windows(
                    folder,
                    documents,
                    unit=wanted.unit,
                    length=wanted.length,
                    stride=wanted.stride,
                    tokenizer=tokenizer,
                    progress=phase.reach,
                )

        return Windows.open(self.artifacts.get(Artifact("windows", manifest), build))

    def tokens(self, model: Path) -> Any:
        """Return the collection's `PairTokens` for the tokenizer in a model's folder."""
        return self.tokens_for(model, "bert_cat", {})

    def tokens_for(self, model: Path, architecture: str, options: dict[str, Any]) -> Any:
        """Return the collection's tokens in the form that an architecture reads: `PairTokens` or `SideTokens`."""
        from distilkit.data.tokens import Documents
        from distilkit.models.load import load_tokenizer

        tokenizer, settings = load_tokenizer(model), self.settings
        form, windows = student_options(architecture, options).text_format, self.windows(model)
        queries, passages = self._stores(model, tokenizer, self._stored_length(form), windows)
        documents = None
        if windows is not None and settings.passages is not None:
            documents = Documents(windows, settings.passages.aggregate)
        return form.tokens(tokenizer, queries, passages, self._lengths(form), documents)

    def _stores(self, model: Path, tokenizer: Any, length: int, windows: Windows | None) -> tuple[Any, Any]:
        from distilkit.data.tokens import TokenStore, write_token_store

        passages = self.collection.passages if windows is None else windows.texts
        tables = {"queries": self.collection.queries, "passages": passages}

        def build(folder: Path) -> None:
            for name, table in tables.items():
                (folder / name).mkdir()
                with self.reporter.phase(f"tokenise {name}", len(table)) as phase:
                    write_token_store(folder / name, table, tokenizer, length, phase.reach)

        folder = self.artifacts.get(Artifact("tokens", self._store_identity(model, length)), build)
        return TokenStore.open(folder / "queries"), TokenStore.open(folder / "passages")


# The keys of [data] that say where a collection is, and what a source reads that takes one.
PLACES = {"path": "folder", "dataset": "data set by its name", "splits": "splits by their names"}


def make_source(settings: DataSettings) -> Source:
    """Return the source of a [data] table; raises UserError for keys that it lacks or does not read."""
    kind: Any = SOURCES[settings.source]
    taken = inspect.signature(kind).parameters
    given = {key: value for key in (*PLACES, "candidates") if (value := getattr(settings, key))}
    for key, what in PLACES.items():
        if key in taken and taken[key].default is inspect.Parameter.empty and key not in given:
            raise UserError(f"[data] {key} is missing; source = {settings.source!r} reads a {what}")
        if key not in taken and key in given:
            raise UserError(f"[data] {key} = {given[key]!r}: source = {settings.source!r} reads no {what}")
    if "candidates" not in taken and given.get("candidates", "bm25") != "bm25":
        problem = f"source = {settings.source!r} brings none; expected 'bm25', which is computed"
        raise UserError(f"[data] candidates = {settings.candidates!r}: {problem}")
    if "path" in given:
        given["path"] = Path(given["path"])
    source: Source = kind(**{name: value for name, value in given.items() if name in taken})
    return source


def first_queries(qrels: Qrels, limit: int | None) -> Qrels:
    """Return the judgements of the first `limit` queries by sha256 of their id: a sample blind to the ids' order."""
    if limit is None or limit >= len(qrels):
        return qrels
    order = sorted(qrels, key=lambda query: hashlib.sha256(query.encode()).hexdigest())
    return {query: qrels[query] for query in order[:limit]}
