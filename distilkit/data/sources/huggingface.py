"""A collection in BEIR's layout on the Hugging Face hub: the configurations corpus and queries, and judgements."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.columns import GRADE_NAMES, PASSAGE_NAMES, QUERY_NAMES
from distilkit.data.huggingface import config_names, load_builder, split_content, split_names, streamed
from distilkit.data.judgements import Qrels, judgements_of
from distilkit.data.reading import Row
from distilkit.data.sources.base import SOURCES, write_source
from distilkit.errors import UserError, nearest

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import DatasetBuilder

ROWS = 1000
QRELS = ("qrels", "default")
SPLITS = {"validation": "dev", "valid": "dev"}
IDS = ("_id", "id")
LAYOUT = (
    "BEIR's layout: the configurations (or folders) corpus and queries, and judgements as a third one, qrels or "
    "default, or as a data set of their own, NAME-qrels"
)


@dataclass(frozen=True)
class Table:
    """One table of a collection as `datasets` sees it: what messages call it, and the builder of its rows."""

    where: str
    builder: "DatasetBuilder"

    def key(self) -> dict[str, Any]:
        """Return what tells the content of each split."""
        return {split: split_content(self.builder, split) for split in self.splits}

    @property
    def splits(self) -> list[str]:
        """The splits that it has."""
        return split_names(self.builder)

    def place(self, split: str, row: int) -> str:
        """Return what a row is called in messages."""
        return f"{self.where}, split {split}, row {row}"

    def batches(self, split: str) -> Iterator[tuple[int, "pa.Table"]]:
        """Yield (number of the first row, Arrow table) of a split."""
        rows = self.builder.as_streaming_dataset(split=split).with_format("arrow").iter(batch_size=ROWS)
        yield from streamed(f"{self.where}, split {split}", rows, len)

    def column(self, split: str, table: "pa.Table", names: Sequence[str]) -> list[object]:
        """Return the first of some columns that a table has; raises UserError where it has none of them."""
        found = next((name for name in names if name in table.column_names), None)
        if found is None:
            where = f"{self.where}, split {split}"
            raise UserError(f"{where}: there is no column {names[0]!r}{nearest(names[0], table.column_names)}")
        values: list[object] = table.column(found).to_pylist()
        return values


@SOURCES.register("huggingface")
class HuggingFaceSource:
    """A data set of the hub (`dataset`, with `@REVISION` where another than the newest is meant) or a folder (`path`).

    Both have BEIR's layout. Title and text are joined by a blank; the split validation is dev. Data sets that need
    code of their own are refused.
    """

    def __init__(self, dataset: str | None = None, path: str | Path | None = None) -> None:
        if (dataset is None) == (path is None):
            problem = "are both given" if dataset else "are both missing"
            raise UserError(f"[data] dataset and path {problem}; source = 'huggingface' reads one of them")
        self.name, _, revision = (dataset or str(path)).partition("@" if dataset else "\0")
        self.revision, self.local = revision or None, dataset is None

    def key(self) -> dict[str, object]:
        """Return the commits of the hub's files, or the hashes of those here."""
        tables = zip(("corpus", "queries", "qrels"), self._tables(), strict=True)
        return {"source": "huggingface", "format": 1, **{name: table.key() for name, table in tables}}

    def write(self, folder: Path) -> None:
        """Write the collection; raises UserError naming the table and row of content that is wrong."""
        corpus, queries, qrels = self._tables()
        write_source(
            folder,
            lambda error: {"passages": corpus, "queries": queries}.get(error.table, qrels).where,
            name=Path(self.name).resolve().name if self.local else self.name.rpartition("/")[2],
            passages=((row.key[0], row.value) for split in corpus.splits for row in _texts(corpus, split)),
            queries=((row.key[0], row.value) for split in queries.splits for row in _texts(queries, split)),
            qrels=_judgements(qrels),
            info={"source": "huggingface", **({} if self.local else {"dataset": self.name})},
        )

    def _tables(self) -> tuple[Table, Table, Table]:
        if self.local and not Path(self.name).is_dir():
            raise UserError(f"there is no folder {self.name}; expected {LAYOUT}")
        configs = config_names(self.name, self.revision)
        folders = [path.name for path in Path(self.name).iterdir() if path.is_dir()] if self.local else []
        for names, table in ((configs, self._configuration), (folders, self._folder)):
            if {"corpus", "queries"} <= set(names):
                judged = next((name for name in QRELS if name in names), None)
                return table("corpus"), table("queries"), table(judged) if judged else self._beside()
        raise UserError(f"{self.name} has the configurations {', '.join(configs)}; expected {LAYOUT}")

    def _configuration(self, name: str) -> Table:
        where = f"{self.name} {name}"
        return Table(where, load_builder(where, self.name, name, revision=self.revision))

    def _folder(self, name: str) -> Table:
        where = f"{self.name} {name}"
        return Table(where, load_builder(where, self.name, data_dir=name))

    def _beside(self) -> Table:
        """Return the judgements of a data set (or folder) of their own, as BEIR's are on the hub."""
        name = f"{self.name}-qrels"
        if self.local and not Path(name).is_dir():
            raise UserError(f"{self.name} has no judgements; expected {LAYOUT}")
        return Table(name, load_builder(name, name))


def _texts(table: Table, split: str) -> Iterator[Row]:
    for first, rows in table.batches(split):
        ids, texts = table.column(split, rows, IDS), table.column(split, rows, ("text",))
        titles = rows.column("title").to_pylist() if "title" in rows.column_names else [None] * len(ids)
        for number, (id, title, text) in enumerate(zip(ids, titles, texts, strict=True), start=first):
            if not isinstance(id, str | int) or not isinstance(text, str) or not isinstance(title or "", str):
                problem = "expected an id, a text and, where there is one, a title"
                raise UserError(f"{table.place(split, number)}: {problem}, got {(id, title, text)!r:.80}")
            yield Row(number, (str(id),), " ".join(part for part in (title, text) if part and part.strip()))


def _judgements(table: Table) -> dict[str, Qrels]:
    found: dict[str, Qrels] = {}
    for split in table.splits:
        name = SPLITS.get(split, split)
        if name in found:
            raise UserError(f"{table.where}: the splits {', '.join(table.splits)} hold {name} twice; expected it once")
        found[name] = judgements_of(partial(_grades, table, split), partial(table.place, split))
    if not found:
        raise UserError(f"{table.where} has no splits; expected judgements")
    return found


def _grades(table: Table, split: str) -> Iterator[Row]:
    for first, rows in table.batches(split):
        columns = (table.column(split, rows, names) for names in (QUERY_NAMES, PASSAGE_NAMES, GRADE_NAMES))
        for number, (query, passage, grade) in enumerate(zip(*columns, strict=True), start=first):
            if query is None or passage is None or not _is_whole(grade):
                problem = "expected a query's id, a passage's id and a whole number"
                raise UserError(f"{table.place(split, number)}: {problem}, got {(query, passage, grade)!r:.80}")
            yield Row(number, (str(query), str(passage)), int(grade))


def _is_whole(grade: object) -> bool:
    return isinstance(grade, int | float) and float(grade).is_integer()
