"""A folder in BEIR's layout: corpus.jsonl, queries.jsonl and, optionally, qrels/SPLIT.tsv and given candidates."""

from pathlib import Path

from distilkit.data.reading import beir_qrels, jsonl_texts
from distilkit.data.sentences import jsonl_sentences
from distilkit.data.sources.base import SOURCES
from distilkit.data.sources.tables import TableFile, TableFiles, find_file, need_file, need_runs
from distilkit.errors import UserError

SPLITS = ("train", "dev", "test")
LAYOUT = "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv, each plain or as .gz"


@SOURCES.register("beir")
class BeirSource:
    """The collection in a BEIR folder; `candidates = "NAME"` reads candidates/NAME.SPLIT.trec where there is one.

    Title and text are joined by a blank. Without the folder qrels nothing is judged, and queries can be trained on
    without labels. `sentences` adds so many titles or first sentences of passages to the queries. Missing files,
    broken lines and unknown ids are UserErrors.
    """

    def __init__(self, path: str | Path, candidates: str | None = None, sentences: int = 0) -> None:
        self.path = Path(path)
        self.candidates = candidates
        self.sentences = sentences

    def key(self) -> dict[str, object]:
        """Return the hashes of the files; raises UserError where one is missing."""
        drawn = {"sentences": self.sentences} if self.sentences else {}
        return {"source": "beir", "format": 1, "candidates": self.candidates, **drawn, "files": self._files().key()}

    def write(self, folder: Path) -> None:
        """Write the collection; raises UserError naming the file and line of content that is wrong."""
        info = {"source": "beir", "candidates": self.candidates}
        self._files().write(folder, self.path.resolve().name, info)

    def _files(self) -> TableFiles:
        passages = need_file(self.path, "corpus.jsonl", LAYOUT)
        queries = find_file(self.path, "queries.jsonl")
        if queries is None and not self.sentences:
            queries = need_file(self.path, "queries.jsonl", LAYOUT)
        qrels = {split: path for split in SPLITS if (path := find_file(self.path / "qrels", f"{split}.tsv"))}
        if not qrels and (self.path / "qrels").exists():
            raise UserError(f"{self.path / 'qrels'} has none of train.tsv, dev.tsv and test.tsv; expected {LAYOUT}")
        # Queries of no split are trained on without labels, from the candidates of train.
        splits = list(dict.fromkeys(["train", *qrels]))
        return TableFiles(
            passages=TableFile(passages, jsonl_texts),
            queries=[
                *([TableFile(queries, jsonl_texts)] if queries else []),
                *([TableFile(passages, jsonl_sentences(self.sentences))] if self.sentences else []),
            ],
            qrels={split: TableFile(path, beir_qrels) for split, path in qrels.items()},
            candidates=need_runs(self.path / "candidates", self.candidates, splits) if self.candidates else {},
        )
