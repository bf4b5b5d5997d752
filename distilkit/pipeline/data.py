"""A collection, opened, and the nodes that are made of it: candidates, windows, tokens."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from distilkit.data.analysis import Analyser, analyser_of
from distilkit.data.collection import Collection, Qrels, open_collection
from distilkit.data.leaks import HeldOut, MeasuredQueries
from distilkit.data.own_documents import own_documents
from distilkit.data.prefixes import NONE, Prefixes
from distilkit.data.sentences import own_passages
from distilkit.data.sources import SOURCES, Source
from distilkit.data.unlabelled import unlabelled_split
from distilkit.errors import UserError
from distilkit.models import student_options
from distilkit.pipeline.first_stage import Bm25Candidates, Bm25Index, FirstStage, GivenCandidates
from distilkit.pipeline.graph import Artifact
from distilkit.pipeline.tokens import (
    CutTokenizer,
    DocumentWindows,
    FolderTokenizer,
    Reader,
    Tokenizer,
    TokenStores,
    WordTokenizer,
)
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import DataSettings

# The keys of [data] that say where a collection is, and what a source reads that takes one.
PLACES = {"path": "folder", "dataset": "data set by its name", "splits": "splits by their names"}


@dataclass(frozen=True, eq=False)
class CollectionNode(Artifact[Collection]):
    """The collection that a [data] table names, read from its source and kept as memory-mapped files."""

    settings: DataSettings

    kind: ClassVar[str] = "collection"

    def identity(self) -> dict[str, Any]:
        """Return the source and the content of what it reads."""
        return {"source": self.settings.source, **self._source.key()}

    @cached_property
    def _source(self) -> Source:
        return make_source(self.settings)

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Read the source; raises UserError for missing or broken files."""
        workspace.progress.say(f"collection: reading the source {self.settings.source}")
        (folder / "content").mkdir()
        self._source.write(folder / "content")

    def open(self, folder: Path, workspace: Workspace) -> Collection:
        """Map the collection's files."""
        return open_collection(folder / "content")


@dataclass(frozen=True)
class QuerySet:
    """Judged queries of a collection with their candidates."""

    collection: Collection
    qrels: Qrels
    candidates: FirstStage


@dataclass(frozen=True)
class Data:
    """The opened collection of one [data] table, and the nodes that are made of it.

    `measured` are the query sets that a run measures, none of whose queries is trained on. Without `labels` no
    judgements of train and dev are read.
    """

    settings: DataSettings
    collection: Collection
    measured: tuple[MeasuredQueries, ...] = ()
    labels: Literal["judgements", "none"] = "judgements"
    _tokenizers: dict[tuple[Path, Prefixes], FolderTokenizer] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, settings: DataSettings, workspace: Workspace) -> "Data":
        """Open a collection, read from its source where that was not done before; raises UserError."""
        return cls(settings, workspace.value(CollectionNode(settings)))

    def held_from(self, sets: "Sequence[tuple[str, Data, str]]") -> "Data":
        """Return this data with the query sets, each a name, its data and its split, that are not trained on."""
        measured = [
            MeasuredQueries(f"queries of the set {name}", data.collection, data.collection.qrels(split).keys())
            for name, data, split in sets
            if split in data.collection.splits
        ]
        return replace(self, measured=tuple(measured))

    @cached_property
    def judgements(self) -> tuple[Qrels, Qrels]:
        """Training and validation judgements; raises UserError where there are none to train on.

        Without labels they are those queries, each with no judgements.
        """
        return self._kept[0], first_queries(self._split[1], self.settings.validation_queries)

    @cached_property
    def held_out(self) -> HeldOut:
        """The queries that must not be trained on: those that validate, and those that are measured."""
        _, validation = self._split
        drawn = self.labels == "none" or validation.keys() <= self.collection.qrels("train").keys()
        own = MeasuredQueries("validation queries", self.collection, validation.keys(), drawn)
        return HeldOut.of(self.collection, [own, *self.measured])

    @property
    def leaks(self) -> list[str]:
        """What is to be said of training queries that are left out, since they are measured."""
        return self._kept[1]

    @property
    def notes(self) -> list[str]:
        """What is to be said of the collection: which rules were applied to it, and how often."""
        given = self.settings.candidates and {*self.collection.splits} <= {*self.collection.candidate_splits}
        spoken = [] if given or self.analyser.language == "en" else [f"BM25 reads the texts as {self.analyser}"]
        empty, passages = len(self.empty_texts["passage"]), len(self.collection.passages)
        blank = (
            [f"{empty} of {passages} passages are empty: scored as empty texts, and not trained on"] if empty else []
        )
        return [*spoken, *_rules(self.collection), *blank]

    @cached_property
    def _kept(self) -> tuple[Qrels, list[str]]:
        train, said = self.held_out.without(self.collection, self._split[0])
        return _reachable(self.collection, train), said

    @cached_property
    def _split(self) -> tuple[Qrels, Qrels]:
        from distilkit.data.examples import validation_split

        wanted = self.settings.validation
        if self.labels == "none":
            same = [one for one in self.measured if one.collection.fingerprint == self.collection.fingerprint]
            measured = {query for one in same for query in one.ids}
            return unlabelled_split(
                self.collection, measured, take_from=wanted.from_, queries=wanted.queries, seed=wanted.seed
            )
        return validation_split(self.collection, take_from=wanted.from_, queries=wanted.queries, seed=wanted.seed)

    @cached_property
    def empty_texts(self) -> dict[str, Any]:
        """The rows of queries and of passages that have no text."""
        return {"query": self.collection.queries.empty(), "passage": self.collection.passages.empty()}

    @property
    def has_empty_texts(self) -> bool:
        """Whether any query or passage has no text."""
        return any(map(len, self.empty_texts.values()))

    def check_texts(self, workspace: Workspace) -> None:
        """Refuse queries without a text, or say how many are left out of training."""
        rows, table = self.empty_texts["query"], self.collection.queries
        if not len(rows):
            return
        said = f"{len(rows)} of {len(table)} queries have no text, the first is {table.id(int(rows[0]))!r}"
        if self.settings.on_missing == "error":
            raise UserError(f'{said}; expected a text for each, or [data] on_missing = "skip"')
        workspace.progress.say(f"{said}; they are left out of training")

    def qrels(self, split: str, limit: int | None, section: str = "[evaluate]") -> Qrels:
        """Return the judgements of a fixed random subset of `limit` queries of a split, less those that validate.

        Raises UserError where the collection has no such split, or where validation takes all of it.
        """
        if split not in self.collection.splits:
            known = ", ".join(self.collection.splits)
            there = (
                f"has judgements for {known}" if known else 'has none at all; expected some, or [train] labels = "none"'
            )
            raise UserError(f"{section} split = {split!r}: the collection {there}")
        qrels = self.collection.qrels(split)
        if split in ("train", "dev"):
            validation = first_queries(self._split[1], self.settings.validation_queries)
            qrels = {query: judged for query, judged in qrels.items() if query not in validation}
        if not qrels:
            raise UserError(
                f"{section} split = {split!r}: all its queries are validation queries; "
                'take those from elsewhere, such as validation = { from = "train", queries = 200 }'
            )
        return first_queries(qrels, limit)

    def query_set(self, split: str, qrels: Qrels, depth: int) -> QuerySet:
        """Return judged queries with their first `depth` candidates."""
        return QuerySet(self.collection, qrels, self.candidates(split, sorted(qrels), depth))

    def candidates(self, split: str, query_ids: Sequence[str], depth: int) -> FirstStage:
        """Return the first stage of some queries: the given one where there is one, else BM25's."""
        ids = tuple(query_ids)
        if self.settings.candidates and self.collection.candidates(split) is not None:
            return GivenCandidates(self.collection, split, ids, depth, self.own(ids))
        return self.bm25(ids, depth)

    def bm25(self, query_ids: Sequence[str], depth: int) -> Bm25Candidates:
        """Return BM25's candidates of some queries."""
        index = Bm25Index(self.collection, self.settings.k1, self.settings.b, self.analyser)
        return Bm25Candidates(index, tuple(query_ids), depth, self.own(query_ids))

    def own(self, query_ids: Sequence[str]) -> tuple[int, ...]:
        """Return the row of the passage that each query is itself, -1 for none; nothing where none is one."""
        rows = own_documents(self.collection, query_ids, self.settings.exclude_self)
        if self.settings.queries == "sentences":
            rows = np.maximum(rows, own_passages(self.collection, query_ids))
        return tuple(rows.tolist()) if (rows >= 0).any() else ()

    @cached_property
    def analyser(self) -> Analyser:
        """How BM25 reads the texts; raises UserError for a language, stemmer or segmenter that is not there."""
        given = self.settings
        return analyser_of(given.language, given.stemmer, self.collection.passages, given.segmenter)

    def tokenizer(self, folder: Path, prefixes: Prefixes = NONE) -> FolderTokenizer:
        """Return the tokenizer of a model's folder, whose content is hashed once, with what it reads before texts."""
        return self._tokenizers.setdefault((folder, prefixes), FolderTokenizer(folder, prefixes))

    def words(self) -> WordTokenizer:
        """Return the tokenizer of the collection's own words."""
        return WordTokenizer(self.collection)

    def cut(self, tokenizer: FolderTokenizer, markers: object = None) -> CutTokenizer:
        """Return a tokenizer with those entries of its vocabulary that the passages use, and a student's markers."""
        own = tuple(map(str, markers)) if isinstance(markers, list | tuple) else ()
        return CutTokenizer(tokenizer, self.collection, own)

    def windows(self, tokenizer: Tokenizer) -> DocumentWindows | None:
        """Return the windows of every document; None where documents are read whole."""
        wanted = self.settings.passages
        return None if wanted is None else DocumentWindows(self.collection, wanted, tokenizer)

    def reader(
        self, tokenizer: Tokenizer, architecture: str = "bert_cat", options: dict[str, Any] | None = None
    ) -> Reader:
        """Return the collection's tokens in the form that an architecture reads."""
        form = student_options(architecture, options).text_format
        # The most tokens that any student of this form reads of a text, so that they share the stored ones.
        length = max(getattr(self.settings, key) for key in form.length_keys)
        return Reader(TokenStores(self.collection, tokenizer, length, self.windows(tokenizer)), self.settings, form)


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
    if settings.queries == "sentences":
        if "sentences" not in taken:
            known = "beir, msmarco"
            raise UserError(f"[data] queries = 'sentences': source = {settings.source!r} has none; expected {known}")
        given["sentences"] = settings.sentences
    if "path" in given:
        given["path"] = Path(given["path"])
    source: Source = kind(**{name: value for name, value in given.items() if name in taken})
    return source


def _reachable(collection: Collection, qrels: Qrels) -> Qrels:
    """Return judgements less those of passages that there are not, which nothing can be trained on."""
    if not any(collection.info.get("unreachable", {}).values()):
        return qrels
    pairs = [(query, passage) for query, judged in qrels.items() for passage in judged]
    lost = collection.passages.find([passage for _, passage in pairs]) < 0
    gone = {pairs[place] for place in np.flatnonzero(lost)}
    return {
        query: {passage: grade for passage, grade in judged.items() if (query, passage) not in gone}
        for query, judged in qrels.items()
    }


def _rules(collection: Collection) -> list[str]:
    """Return what was done to a collection's loose ends when it was read, each rule with its count."""
    info = collection.info
    said = [
        f"{count} {name} of {collection.name} are repeated with the same text: each is read once"
        for name, count in info.get("merged", {}).items()
    ]
    said += [
        f"{count} judgements of {split} are repeated with the same grade: each counts once"
        for split, count in info.get("repeated", {}).items()
    ]
    return said + [
        f"{count} of {info['splits'][split]['judgements']} judgements of {split} are of passages that the corpus "
        "lacks: those that are relevant count in recall and nDCG, as in trec_eval, and no ranking can reach them"
        for split, count in info.get("unreachable", {}).items()
    ]


def first_queries(qrels: Qrels, limit: int | None) -> Qrels:
    """Return the judgements of a fixed random subset of the queries: the first `limit` by sha256 of their ids."""
    if limit is None or limit >= len(qrels):
        return qrels
    order = sorted(qrels, key=lambda query: hashlib.sha256(query.encode()).hexdigest())
    return {query: qrels[query] for query in order[:limit]}
