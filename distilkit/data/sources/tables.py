"""The files of a collection, each with its reader: found by name, hashed, read, and named in errors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.judgements import Qrels, judgements_of, run_of
from distilkit.data.reading import Reader, Row, trec_run
from distilkit.data.sources.base import write_source
from distilkit.errors import UserError, nearest
from distilkit.files import sha256_file

if TYPE_CHECKING:
    from distilkit.data.writing import ContentError


def find_file(folder: Path, *names: str) -> Path | None:
    """Return the first of the named files that is there, plain or as `.gz`, or None."""
    paths = (folder / (name + suffix) for name in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def need_file(folder: Path, name: str, layout: str) -> Path:
    """Return a file, plain or as `.gz`; raises UserError where it or its folder is missing."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; expected {layout}")
    path = find_file(folder, name)
    if path is None:
        raise UserError(f"{folder} has no {name} (or {name}.gz); expected {layout}")
    return path


@dataclass(frozen=True)
class TableFile:
    """A file and its reader."""

    path: Path
    read: Reader

    def rows(self) -> Iterator[Row]:
        """Yield the rows; raises UserError naming the line that the reader refuses."""
        return self.read(self.path)

    def place(self, line: int) -> str:
        """Return what messages call a line."""
        return f"{self.path}:{line}"


def find_runs(folder: Path, name: str, splits: Iterable[str]) -> dict[str, TableFile]:
    """Return the run files NAME.SPLIT.trec that a folder has, by split."""
    paths = {split: find_file(folder, f"{name}.{split}.trec") for split in splits}
    return {split: TableFile(path, trec_run) for split, path in paths.items() if path}


def need_runs(folder: Path, name: str, splits: Iterable[str]) -> dict[str, TableFile]:
    """Return the run files NAME.SPLIT.trec that a folder has, by split; raises UserError where it has none.

    Only those of BM25 may be absent: it is computed instead.
    """
    files = find_runs(folder, name, splits)
    if not files and name != "bm25":
        known = {path.name.split(".")[0] for path in folder.glob("*.*.trec*")}
        expected = f"{name}.SPLIT.trec for one of the splits {', '.join(splits)}"
        raise UserError(f"{folder} has no candidates called {name!r} (expected {expected}){nearest(name, known)}")
    return files


@dataclass(frozen=True)
class TableFiles:
    """The files that make up a collection: judgements and candidates are keyed by split."""

    passages: TableFile
    queries: list[TableFile]
    qrels: dict[str, TableFile]
    candidates: dict[str, TableFile]

    def key(self) -> dict[str, object]:
        """Return the sha256 of every file, by table."""
        return {table: [sha256_file(file.path) for file in files] for table, files in self._tables().items()}

    def write(self, folder: Path, name: str, info: Mapping[str, Any]) -> None:
        """Write the collection; raises UserError naming the file and line of content that is wrong."""
        write_source(
            folder,
            self._blame,
            name=name,
            passages=_texts([self.passages]),
            queries=_texts(self.queries),
            qrels={split: _judgements(file) for split, file in self.qrels.items()},
            candidates={split: run_of(file.rows()) for split, file in self.candidates.items()},
            info=info,
        )

    def _tables(self) -> dict[str, list[TableFile]]:
        return {
            "passages": [self.passages],
            "queries": self.queries,
            **{f"qrels/{split}": [file] for split, file in self.qrels.items()},
            **{f"candidates/{split}": [file] for split, file in self.candidates.items()},
        }

    def _blame(self, error: "ContentError") -> str:
        """Return the line of a row that is wrong, and of the one it contradicts; the file alone where no row is."""
        files = self._tables()[error.table]
        hits = (file.place(row.line) for file in files for row in file.rows() if error.key and row.key == error.key)
        places = [place for place, _ in zip(hits, range(error.occurrence), strict=False)]
        error.rows = ()  # of one table out of several files
        return " and ".join(dict.fromkeys([places[0], places[-1]])) if places else str(files[0].path)


def _texts(files: Iterable[TableFile]) -> Iterator[tuple[str, str]]:
    return ((row.key[0], row.value) for file in files for row in file.rows())


def _judgements(file: TableFile) -> Qrels:
    return judgements_of(file.rows, file.place)
