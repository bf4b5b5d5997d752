"""A collection: passages, queries, judgements per split and the candidates its source brought, opened from a folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilkit.data.judgements import Qrels, Run, read_qrels, read_run
from distilkit.data.texts import Texts
from distilkit.data.writing import FORMAT, ContentError, write_collection
from distilkit.errors import UserError
from distilkit.files import read_json

__all__ = ["Collection", "ContentError", "Qrels", "Run", "Texts", "open_collection", "write_collection"]


@dataclass(frozen=True)
class Collection:
    """A collection on disk: texts stay there, judgements and candidates are read on first use.

    `fingerprint` depends on the content alone; `hashes` holds its parts ("passages", "queries", "qrels/SPLIT",
    "candidates/SPLIT"), for what depends on some of them only; `info` holds counts and what the source recorded.
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
        folder: Path | None = None,
    ) -> "Collection":
        """Return a collection of dictionaries, as BEIR's loader returns them; the same as a folder of their content.

        Args:
            corpus: the text, or `{"title": ..., "text": ...}`, of each passage's id
            queries: the text of each query's id
            qrels: `{split: {query: {passage: grade}}}`; without splits they are of test
            candidates: `{split: {query: [(passage, score), ...]}}`
            name: what reports call it
            folder: where it is kept; without one it vanishes with the object

        Raises UserError for what is no id, text or grade, and as `write_collection` does.
        """
        from distilkit.data import in_memory

        texts = in_memory.texts_of_dict("corpus", corpus), in_memory.texts_of_dict("queries", queries)
        return in_memory.write(name, *texts, in_memory.qrels_of_dict(qrels), candidates, folder)

    @classmethod
    def from_pandas(
        cls, corpus: Any, queries: Any, qrels: Any, *, name: str = "memory", folder: Path | None = None
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
        cls, corpus: Any, queries: Any, qrels: Any, *, name: str = "memory", folder: Path | None = None
    ) -> "Collection":
        """Return a collection of `datasets.Dataset`s, with the columns that `from_pandas` names.

        Judgements may be a `DatasetDict`, by split; `validation` is dev. Raises UserError as `from_dicts` does.
        """
        return cls.from_pandas(corpus, queries, qrels, name=name, folder=folder)

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


def open_collection(folder: Path) -> Collection:
    """Open a collection's folder; raises UserError where there is none, or one of another format."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{folder} is no collection: expected the file manifest.json in it")
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
