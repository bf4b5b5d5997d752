"""A folder of MS MARCO's passage files: collection.tsv, queries.SPLIT.tsv, qrels.SPLIT.tsv, top1000.SPLIT.tsv."""

import re
from pathlib import Path

from distilkit.data.reading import top_1000, trec_qrels, tsv_texts
from distilkit.data.sentences import tsv_sentences
from distilkit.data.sources.base import SOURCES
from distilkit.data.sources.tables import TableFile, TableFiles, find_file, find_runs, need_file, need_runs
from distilkit.errors import UserError

SPLITS = ("train", "dev", "test")
# Further judged queries, such as those of a TREC track in qrels.dl19.tsv.
FURTHER = re.compile(r"qrels\.([A-Za-z0-9_-]+)\.tsv(\.gz)?")
LAYOUT = (
    "an MS MARCO folder: collection.tsv, queries.{train,dev,test}.tsv and qrels.{train,dev,test}.tsv, "
    "each plain or as .gz (for dev also queries.dev.small.tsv and qrels.dev.small.tsv)"
)


@SOURCES.register("msmarco")
class MsMarcoSource:
    """The collection in a folder of MS MARCO's files, as they are published.

    A split is what has judgements: train, dev, test, and any other NAME of a qrels.NAME.tsv, such as a TREC track's
    (its queries are queries.NAME.tsv); for dev the small judgements win where both are there. Candidates are
    candidates/bm25.SPLIT.trec, else top1000.SPLIT.tsv (unordered, so every score is 0), where a split has one;
    `candidates` names other run files, or "top1000". `sentences` adds so many first sentences of passages to the
    queries. Missing files, broken lines and unknown ids are UserErrors.
    """

    def __init__(self, path: str | Path, candidates: str | None = None, sentences: int = 0) -> None:
        self.path = Path(path)
        self.candidates = candidates
        self.sentences = sentences

    def key(self) -> dict[str, object]:
        """Return the hashes of the files; raises UserError where one is missing."""
        drawn = {"sentences": self.sentences} if self.sentences else {}
        return {"source": "msmarco", "format": 1, **drawn, "files": self._files().key()}

    def write(self, folder: Path) -> None:
        """Write the collection; raises UserError naming the file and line of content that is wrong."""
        files = self._files()
        info = {"source": "msmarco", "candidates": {split: _system(file) for split, file in files.candidates.items()}}
        files.write(folder, self.path.resolve().name, info)

    def _files(self) -> TableFiles:
        passages = need_file(self.path, "collection.tsv", LAYOUT)
        qrels = {split: path for split in self._splits() if (path := find_file(self.path, *_names("qrels", split)))}
        if qrels.keys().isdisjoint(SPLITS):
            raise UserError(
                f"{self.path} has none of qrels.train.tsv, qrels.dev.tsv and qrels.test.tsv; expected {LAYOUT}"
            )
        return TableFiles(
            passages=TableFile(passages, tsv_texts),
            queries=[
                *(TableFile(self._queries(split), tsv_texts) for split in qrels),
                *([TableFile(passages, tsv_sentences(self.sentences))] if self.sentences else []),
            ],
            qrels={split: TableFile(path, trec_qrels) for split, path in qrels.items()},
            candidates=self._candidates(qrels),
        )

    def _splits(self) -> list[str]:
        further = {match[1] for path in self.path.iterdir() if (match := FURTHER.fullmatch(path.name))}
        return [*SPLITS, *sorted(further.difference(SPLITS))]

    def _queries(self, split: str) -> Path:
        # All of dev's queries serve the small judgements too, not the other way round.
        path = find_file(self.path, *reversed(_names("queries", split)))
        return path or need_file(self.path, f"queries.{split}.tsv", LAYOUT)

    def _candidates(self, qrels: dict[str, Path]) -> dict[str, TableFile]:
        if self.candidates not in (None, "top1000"):
            return need_runs(self.path / "candidates", self.candidates, qrels)
        found = {split: path for split in qrels if (path := find_file(self.path, f"top1000.{split}.tsv"))}
        if self.candidates and not found:
            raise UserError(f"{self.path} has no top1000.SPLIT.tsv for one of {', '.join(qrels)}; expected {LAYOUT}")
        files = {split: TableFile(path, top_1000) for split, path in found.items()}
        if self.candidates is None:
            files |= find_runs(self.path / "candidates", "bm25", qrels)
        return files


def _names(table: str, split: str) -> list[str]:
    small = [f"{table}.dev.small.tsv"] if split == "dev" else []
    return [*small, f"{table}.{split}.tsv"]


def _system(file: TableFile) -> str:
    return file.path.name.split(".")[0]
