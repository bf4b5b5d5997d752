"""The memory-mapped table of teacher scores, looked up by ids."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distilkit.data.arrays import Integers
from distilkit.data.rows import TextTables
from distilkit.data.teacher_scores.blocks import Floats
from distilkit.data.teacher_scores.building import FORMAT, MANIFEST, TABLE, Unknown, build
from distilkit.data.teacher_scores.combine import Statistics, statistics
from distilkit.data.teacher_scores.keys import Ids, Keys
from distilkit.data.teacher_scores.provenance import text_fingerprint
from distilkit.errors import UserError, nearest
from distilkit.files import atomic_folder, of_passing_folder, read_json


class TeacherScores:
    """A read-only table of (query, document, scores), or of (query, positive, negative, margin).

    Attributes:
        teachers: the names of the teachers whose scores it has; `score` where the file names none
        counts: rows read, kept, repeated (one pair more than once: the first is kept), conflicting (repeated with
            another score), unknown (texts that are not in the collection)
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        manifest = read_json(self.folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise UserError(f"{self.folder}: expected teacher scores of format {FORMAT}, got {manifest['format']}")
        self.margins_only: bool = manifest["kind"] == "margins"
        self.columns: tuple[str, ...] = tuple(manifest["columns"])
        self.teachers = tuple(name for name in self.columns if name != "score") or self.columns
        self.counts: dict[str, int] = manifest["counts"]
        self.provenance: dict[str, Any] | None = manifest["provenance"]
        self._keys = Keys.open(self.folder, columns=2 if self.margins_only else 1)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        format: str | None = None,
        collection: TextTables | None = None,
        on_unknown: Unknown = "error",
        folder: Path | None = None,
    ) -> "TeacherScores":
        """Map what was built at a path, or read a file of any known format first.

        Args:
            path: a file, a folder of Parquet files, or the folder of an internal form
            format: the file's format; told by its beginning where absent
            collection: where the ids of texts are found, for a format that carries texts
            on_unknown: what becomes of a row whose text is not there: `error`, or `skip`, which counts it
            folder: where the internal form goes and stays; without it, it vanishes with this object

        Raises:
            UserError: with file and line, for what is wrong in the file
        """
        path = Path(path)
        if (path / MANIFEST).is_file():
            return cls(path)
        write = partial(build, path, format=format, collection=collection, on_unknown=on_unknown)
        if folder is not None:
            with atomic_folder(folder) as temporary:
                write(temporary)
            return cls(folder)

        def written(passing: Path) -> "TeacherScores":
            write(passing)
            return cls(passing)

        return of_passing_folder("scores", written)

    def __reduce__(self) -> tuple[Callable[[Path], "TeacherScores"], tuple[Path]]:
        return TeacherScores, (self.folder,)

    def __len__(self) -> int:
        return len(self._keys.tables[-1])

    @cached_property
    def table(self) -> pa.Table:
        """The Arrow table, mapped: query_id, doc_id (or positive_id, negative_id), a float32 column per score."""
        with pa.ipc.open_file(pa.memory_map(str(self.folder / TABLE))) as reader:
            return reader.read_all()

    def find(self, query_ids: Ids, *doc_ids: Ids) -> Integers:
        """Return the row of each (query, document), for margins (query, positive, negative); -1 where it is missing."""
        return self._keys.find(query_ids, *doc_ids)

    def lookup(self, query_ids: Ids, doc_ids: Ids, columns: Sequence[str] | None = None) -> Floats:
        """Return the scores of pairs, shape ``[n, teachers]``, float32; NaN where there is none: it is never filled in.

        `columns` names others than those of `teachers`: `("score",)` is what an ensemble's file itself combined.
        Raises UserError for scores that are margins only, and for a column that is not there.
        """
        if self.margins_only:
            raise UserError(f"{self.folder}: holds margins of pairs, not scores of passages")
        return self._take(self.find(query_ids, doc_ids), columns or self.teachers)

    def lookup_pairs(self, query_ids: Ids, positive_ids: Ids, negative_ids: Ids) -> tuple[Floats, Floats]:
        """Return the scores of positives and negatives, ``[n, teachers]`` each; NaN where there is none.

        Where margins are all there is, the positive's score is the margin and the negative's is zero: losses of
        margins see no difference.
        """
        if not self.margins_only:
            return self.lookup(query_ids, positive_ids), self.lookup(query_ids, negative_ids)
        margins = self._take(self.find(query_ids, positive_ids, negative_ids), self.teachers)
        return margins, np.where(np.isnan(margins), margins, np.float32(0.0))

    def statistics(self) -> Statistics:
        """Return each teacher's mean and standard deviation over the file."""
        return statistics(np.stack([self._column(name) for name in self.teachers], axis=1))

    def text_fingerprint(self, collection: TextTables) -> str:
        """Return the sha256 of a collection's texts for the ids of this file, to compare with the provenance's.

        Raises UserError for an id that is not in the collection.
        """
        encoded = [self.table.column(name).chunk(0) for name in self.table.column_names[: 1 + len(self._keys.tables)]]
        queries, documents = encoded[0].dictionary, encoded[1].dictionary
        return text_fingerprint(collection.queries, collection.passages, queries, documents)

    def _take(self, rows: Integers, columns: Sequence[str]) -> Floats:
        missing = rows < 0
        kept = np.where(missing, 0, rows)
        found = np.stack([self._column(name)[kept] for name in columns], axis=1)
        found[missing] = np.nan
        return found

    def _column(self, name: str) -> Floats:
        if name not in self.columns:
            raise UserError(f"{self.folder}: there is no column {name!r}{nearest(name, self.columns)}")
        values: Floats = self.table.column(name).chunk(0).to_numpy()
        return values
