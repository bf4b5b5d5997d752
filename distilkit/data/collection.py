"""A collection: passages, queries, judgements per split and the candidates its source brought, opened from a folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.judgements import Qrels, Run, read_qrels, read_run
from distilkit.data.texts import Texts
from distilkit.data.writing import FORMAT, ContentError, write_collection
from distilkit.errors import UserError
from distilkit.files import read_json

if TYPE_CHECKING:
    import pandas as pd

    from distilkit.data.sources import Source

Folder = str | PathLike[str] | None

__all__ = ["Collection", "ContentError", "Qrels", "Run", "Texts", "open_collection", "write_collection"]


@dataclass(frozen=True)
class Collection:
    """A collection on disk: texts stay there, judgements and candidates are read on first use.

    Attributes:
        passages: the text of each passage's id, a mapping that reads what is asked for
        queries: the text of each query's id
        splits: the splits that have judgements
        candidate_splits: the splits that the source brought candidates for
        fingerprint: depends on the content alone
        hashes: those of its parts ("passages", "queries", "qrels/SPLIT", "candidates/SPLIT")
        info: counts, and what the source recorded

    Examples:
        >>> collection = Collection.from_dicts(
        ...     {"d1": "boil the rice in water", "d2": "the train is late"},
        ...     {"q1": "how to cook rice"},
        ...     {"test": {"q1": {"d1": 1}}},
        ... )
        >>> collection.passages["d1"], len(collection.passages)
        ('boil the rice in water', 2)
        >>> collection.qrels("test")
        {'q1': {'d1': 1}}
        >>> collection.to_frame("queries").to_dict("records")
        [{'_id': 'q1', 'text': 'how to cook rice'}]
    """

    name: str
    fingerprint: str
    folder: Path
    passages: Texts
    queries: Texts
    splits: tuple[str, ...]
    candidate_splits: tuple[str, ...]
    hashes: dict[str, str]
    info: dict[str, Any]
    _qrels: dict[str, Qrels] = field(default_factory=dict, repr=False, compare=False)
    _runs: dict[str, Run] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_dicts(
        cls,
        corpus: Mapping[Any, Any],
        queries: Mapping[Any, Any],
        qrels: Mapping[Any, Any],
        *,
        candidates: Mapping[str, Run] | None = None,
        name: str = "memory",
        folder: Folder = None,
    ) -> "Collection":
        """Return a collection of dictionaries, as BEIR's loader returns them; the same as a folder of their content.

        Args:
            corpus: the text, or `{"title": ..., "text": ...}`, of each passage's id
            queries: the text of each query's id
            qrels: `{split: {query: {passage: grade}}}`; without splits they are of test
            candidates: `{split: {query: [(passage, score), ...]}}`
            name: what reports call it
            folder: where it is kept; without one it vanishes with the object

        Raises UserError for what is not an id, text or grade, and as `write_collection` does.
        """
        from distilkit.data import in_memory

        texts = in_memory.texts_of_dict("corpus", corpus), in_memory.texts_of_dict("queries", queries)
        return in_memory.write(name, *texts, in_memory.qrels_of_dict(qrels), candidates, folder)

    @classmethod
    def from_pandas(
        cls, corpus: Any, queries: Any, qrels: Any, *, name: str = "memory", folder: Folder = None
    ) -> "Collection":
        """Return a collection of pandas' frames: of ids and texts (and titles), and of judgements.

        Columns have their usual names: `_id`, `title`, `text`; `query-id`, `corpus-id`, `score`. Judgements have a
        column `split`, or are a frame for each split; else they are of test. Raises UserError as `from_dicts` does.
        """
        from distilkit.data import in_memory

        texts = in_memory.texts_of_table("corpus", corpus), in_memory.texts_of_table("queries", queries)
        return in_memory.write(name, *texts, in_memory.qrels_of_table(qrels), None, folder)

    @classmethod
    def from_huggingface(
        cls,
        corpus: Any,
        queries: Any = None,
        qrels: Any = None,
        *,
        name: str = "memory",
        folder: Folder = None,
    ) -> "Collection":
        """Return a collection of the hub, or of `datasets.Dataset`s.

        Args:
            corpus: a data set of the hub in BEIR's layout by its id (`OWNER/NAME`, with `@REVISION` where another than
                the newest is meant), or a folder of that layout; or the passages, with the columns that `from_pandas`
                names
            queries: the queries, beside passages
            qrels: the judgements, beside passages; a `DatasetDict` has them by split, where `validation` is dev
            name: what reports call data sets in memory
            folder: where it is kept; without one it vanishes with the object

        Raises UserError as `from_dicts` does, and for a data set that cannot be read.
        """
        if not isinstance(corpus, str | PathLike):
            if queries is None or qrels is None:
                raise UserError("from_huggingface: passages come with queries and qrels; or name a data set of the hub")
            return cls.from_pandas(corpus, queries, qrels, name=name, folder=folder)
        from distilkit.data.sources import HuggingFaceSource

        place = {"path": corpus} if Path(corpus).is_dir() else {"dataset": fspath(corpus)}
        return _of(HuggingFaceSource(**place), folder)

    @classmethod
    def from_beir(
        cls, path: str | PathLike[str], *, candidates: str | None = None, folder: Folder = None
    ) -> "Collection":
        """Return the collection in a folder of BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`.

        Args:
            path: the folder
            candidates: NAME of `candidates/NAME.SPLIT.trec`, whose candidates come along
            folder: where the collection is kept; without one it vanishes with the object

        Raises UserError, with file and line, for what is missing or broken.

        Examples:
            >>> scifact = Collection.from_beir("scifact")  # doctest: +SKIP
        """
        from distilkit.data.sources import BeirSource

        return _of(BeirSource(fspath(path), candidates), folder)

    @classmethod
    def from_msmarco(
        cls, path: str | PathLike[str], *, candidates: str | None = None, folder: Folder = None
    ) -> "Collection":
        """Return the collection in a folder of MS MARCO's layout, `collection.tsv` and more; as `from_beir` does."""
        from distilkit.data.sources import MsMarcoSource

        return _of(MsMarcoSource(fspath(path), candidates), folder)

    @classmethod
    def from_ir_datasets(
        cls,
        dataset: str | None = None,
        *,
        splits: Mapping[str, str] | None = None,
        candidates: str | None = None,
        folder: Folder = None,
    ) -> "Collection":
        """Return a collection of ir_datasets, which downloads what is missing; the extra `ir-datasets`.

        Args:
            dataset: its id, such as ``"beir/scifact"``; its splits are found by name
            splits: the full ids of the splits by name instead, such as ``{"test": "beir/scifact/test"}``
            candidates: ``"scoreddocs"`` takes those of the splits that have some
            folder: where the collection is kept; without one it vanishes with the object

        Raises UserError for an id that there is not, with the nearest, and for what cannot be read or downloaded.
        """
        from distilkit.data.sources import IrDatasetsSource

        return _of(IrDatasetsSource(dataset, splits, candidates), folder)

    @classmethod
    def pydocs(cls, *, folder: Folder = None) -> "Collection":
        """Return the built-in collection: questions and passages of the docstrings of Python, numpy and scipy."""
        from distilkit.data.sources import PydocsSource

        return _of(PydocsSource(), folder)

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> "Collection":
        """Open a collection that was kept in a folder; raises UserError for a folder that holds none."""
        return open_collection(Path(folder))

    def to_frame(self, what: str, split: str | None = None) -> "pd.DataFrame":
        """Return a part of the collection as a frame, with the columns that `from_pandas` reads.

        Args:
            what: passages or queries (`_id`, `text`), qrels or candidates (`query-id`, `corpus-id`, `score`, `split`)
            split: the one whose judgements or candidates are wanted; all by default

        Raises UserError for another part, and for a split that there is not.
        """
        from distilkit.data.frames import frame

        return frame(self, what, split)

    def qrels(self, split: str) -> Qrels:
        """Return a split's judgements, read once; raises UserError for a split that has none."""
        if split not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise UserError(
                f"collection {self.name!r} has no judgements for split {split!r}; splits with some: {known}"
            )
        if split not in self._qrels:
            self._qrels[split] = read_qrels(self.folder / "qrels" / f"{split}.tsv")
        return self._qrels[split]

    def candidates(self, split: str) -> Run | None:
        """Return the candidates that the source brought for a split, read once, or None."""
        if split not in self.candidate_splits:
            return None
        if split not in self._runs:
            self._runs[split] = read_run(self.folder / "candidates" / f"{split}.trec")
        return self._runs[split]


def _of(source: "Source", folder: Folder) -> Collection:
    """Return what a source writes."""
    from distilkit.data.in_memory import kept

    return kept(folder, source.write)


def open_collection(folder: Path) -> Collection:
    """Open a collection's folder; raises UserError where there is none, or one of another format."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a collection: expected the file manifest.json in it")
    manifest = read_json(path)
    if manifest["format"] != FORMAT:
        raise UserError(f"{path}: expected a collection of format {FORMAT}, got {manifest['format']}")
    return Collection(
        name=manifest["name"],
        fingerprint=manifest["fingerprint"],
        folder=folder,
        passages=Texts.open(folder / "passages.arrow"),
        queries=Texts.open(folder / "queries.arrow"),
        splits=tuple(manifest["splits"]),
        candidate_splits=tuple(manifest["candidates"]),
        hashes=manifest["hashes"],
        info=manifest["info"],
    )
