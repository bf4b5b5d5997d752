"""The files of one collection, with the readers that understand them: hashed, read, and blamed by line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.judgements import Qrels, Run
from distilkit.data.sources.merging import judgements_of
from distilkit.data.sources.reading import Reader
from distilkit.errors import UserError
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
        # Here and not above: the registry of sources must not load pyarrow.
        from distilkit.data.writing import ContentError, write_collection

        try:
            write_collection(
                folder,
                name=name,
                passages=_texts([self.passages]),
                queries=_texts(self.queries),
                qrels={split: _qrels(file) for split, file in self.qrels.items()},
                candidates={split: _run(file) for split, file in self.candidates.items()},
                info=info,
            )
        except ContentError as error:
            raise UserError(f"{self._place(error)}: {error}") from None

    def _tables(self) -> dict[str, list[TableFile]]:
        return {
            "passages": [self.passages],
            "queries": self.queries,
            **{f"qrels/{split}": [file] for split, file in self.qrels.items()},
            **{f"candidates/{split}": [file] for split, file in self.candidates.items()},
        }

    def _place(self, error: "ContentError") -> str:
        files = self._tables()[error.table]
        hits = (
            f"{file.path}:{row.line}"
            for file in files
            for row in file.read(file.path)
            if error.key and row.key == error.key
        )
        places = [place for place, _ in zip(hits, range(error.occurrence), strict=False)]
        return places[-1] if places else str(files[0].path)


def _texts(files: Iterable[TableFile]) -> Iterator[tuple[str, str]]:
    for file in files:
        for row in file.read(file.path):
            yield row.key[0], row.value


def _qrels(file: TableFile) -> Qrels:
    return judgements_of(file.read(file.path), lambda line: f"{file.path}:{line}")


def _run(file: TableFile) -> Run:
    run: Run = {}
    for _, (query, passage), score in file.read(file.path):
        run.setdefault(query, []).append((passage, score))
    return run
