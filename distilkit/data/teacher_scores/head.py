"""The beginning of a score file, by which its format is recognised, and reading of Parquet files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distilkit.data.reading import lines
from distilkit.errors import UserError, first_line
from distilkit.untrusted import parse_json

LINES = 100
COLUMNS = 1000
# What pyarrow raises for broken files: names that are not UTF-8, types that it has not, sizes that are none.
BROKEN = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Head:
    """A Parquet table's schema, or a text file's first lines and the JSON value of the first, where it is one."""

    schema: pa.Schema | None = None
    lines: tuple[str, ...] = ()
    value: Any = None

    @classmethod
    def of(cls, path: Path) -> "Head":
        """Look into a file, or a folder of Parquet files; raises UserError where there is none or it is empty."""
        if tables := parquet_files(path):
            return cls(schema=open_parquet(tables[0]).schema_arrow)
        if not path.is_file():
            problem = "holds no Parquet files" if path.is_dir() else "there is no such file"
            raise UserError(f"{path}: {problem}; expected teacher scores")
        first = tuple(line for _, line in islice(lines(path), LINES))
        if not first:
            raise UserError(f"{path}: the file is empty; expected teacher scores")
        try:
            value = parse_json(first[0]) if first[0].lstrip()[:1] in ("{", "[") else None
        except ValueError:
            value = None
        return cls(lines=first, value=value)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a table's columns: a schema's, or the keys of the first JSON object."""
        if self.schema is not None:
            return tuple(self.schema.names)
        return tuple(self.value) if isinstance(self.value, dict) else ()


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet files that a path stands for: itself, or all below a folder, by name."""
    if path.is_dir():
        return sorted(path.rglob("*.parquet"))
    try:
        with path.open("rb") as file:
            return [path] if file.read(4) == b"PAR1" else []
    except OSError:
        return []


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; raises UserError for one that is cut short or broken."""
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
    except BROKEN as error:
        raise UserError(f"{path}: cannot be read as Parquet ({first_line(error)})") from None
    repeated = next((name for name in names if names.count(name) > 1), None) if len(names) <= COLUMNS else ""
    if repeated is not None:
        problem = f"two columns are called {repeated!r}" if len(names) <= COLUMNS else f"{len(names)} columns"
        raise UserError(f"{path}: {problem}; expected a table of a few columns")
    return file


def batches(path: Path, columns: list[str]) -> Iterator[tuple[Path, int, pa.RecordBatch]]:
    """Yield (file, number of the first row from 1, rows) of the Parquet files that a path stands for."""
    for file in parquet_files(path):
        done = 0
        try:
            for batch in open_parquet(file).iter_batches(columns=columns):
                yield file, done + 1, batch
                done += len(batch)
        except BROKEN as error:
            raise UserError(f"{file}: cannot be read after row {done} ({first_line(error)})") from None
