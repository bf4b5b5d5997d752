"""A collection in BEIR's layout on the Hugging Face hub: the configurations corpus and queries, and judgements."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distilkit.data.judgements import Qrels
from distilkit.data.sources.base import SOURCES
from distilkit.data.sources.merging import distinct_queries, judgements_of
from distilkit.data.sources.reading import Row
from distilkit.errors import UserError, nearest

ROWS = 1000
QRELS = ("qrels", "default")
SPLITS = {"validation": "dev", "valid": "dev"}
IDS, QUERIES, PASSAGES, GRADES = (
    ("_id", "id"),
    ("query-id", "query_id", "qid"),
    ("corpus-id", "corpus_id", "doc_id"),
    ("score", "relevance"),
)
LAYOUT = (
    "BEIR's layout: the configurations (or folders) corpus and queries, and judgements as a third one, qrels or "
    "default, or as a data set of their own, NAME-qrels"
)


@dataclass(frozen=True)
class Table:
    """One table of a collection as `datasets` sees it: what messages call it, and the builder of its rows."""

    where: str
    builder: Any

    def key(self) -> dict[str, Any]:
        """Return what tells the content of each split."""
        from distilkit.data.huggingface import split_content

        return {split: split_content(self.builder, split) for split in self.splits}

    @property
    def splits(self) -> list[str]:
        """The splits that it has."""
        from distilkit.data.huggingface import split_names

        return split_names(self.builder)

    def place(self, split: str, row: int) -> str:
        """Return what a row is called in messages."""
        return f"{self.where}, split {split}, row {row}"

    def batches(self, split: str) -> Iterator[tuple[int, Any]]:
        """Yield (number of the first row, Arrow table) of a split."""
        from distilkit.data.huggingface import streamed

        rows = self.builder.as_streaming_dataset(split=split).with_format("arrow").iter(batch_size=ROWS)
        yield from streamed(f"{self.where}, split {split}", rows, len)

    def column(self, split: str, table: Any, names: Sequence[str]) -> list[Any]:
        """Return the first of some columns that a table has; raises UserError where it has none of them."""
        found = next((name for name in names if name in table.column_names), None)
        if found is None:
            where = f"{self.where}, split {split}"
            raise UserError(f"{where}: there is no column {names[0]!r}{nearest(names[0], table.column_names)}")
        values: list[Any] = table.column(found).to_pylist()
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
        # Here and not above: the registry of sources must not load pyarrow.
        from distilkit.data.writing import ContentError, write_collection

        corpus, queries, qrels = self._tables()
        try:
            write_collection(
                folder,
                name=Path(self.name).resolve().name if self.local else self.name.rpartition("/")[2],
                passages=((row.key[0], row.value) for split in corpus.splits for row in _texts(corpus, split)),
                queries=distinct_queries(
                    (_texts(queries, split), partial(queries.place, split)) for split in queries.splits
                ),
                qrels=_judgements(qrels),
                info={"source": "huggingface", **({} if self.local else {"dataset": self.name})},
            )
        except ContentError as error:
            table = {"passages": corpus, "queries": queries}.get(error.table, qrels)
            raise UserError(f"{table.where}: {error}") from None

    def _tables(self) -> tuple[Table, Table, Table]:
        from distilkit.data.huggingface import config_names

        if self.local and not Path(self.name).is_dir():
            raise UserError(f"there is no folder {self.name}; expected {LAYOUT}")
        configs = config_names(self.name, self.name, self.revision)
        if {"corpus", "queries"} <= set(configs):
            corpus, queries = self._table(config="corpus"), self._table(config="queries")
            qrels = next((name for name in QRELS if name in configs), None)
            return corpus, queries, self._table(config=qrels) if qrels else self._beside()
        if not self.local or not all((Path(self.name) / name).is_dir() for name in ("corpus", "queries")):
            raise UserError(f"{self.name} has the configurations {', '.join(configs)}; expected {LAYOUT}")
        corpus, queries = self._table(data_dir="corpus"), self._table(data_dir="queries")
        qrels = next((name for name in QRELS if (Path(self.name) / name).is_dir()), None)
        return corpus, queries, self._table(data_dir=qrels) if qrels else self._beside()

    def _table(self, config: str | None = None, data_dir: str | None = None) -> Table:
        from distilkit.data.huggingface import load_builder

        where = f"{self.name} {config or data_dir}"
        place = {"data_dir": data_dir} if data_dir else {"revision": self.revision}
        return Table(where, load_builder(where, self.name, config, **place))

    def _beside(self) -> Table:
        """Return the judgements of a data set (or folder) of their own, as BEIR's are on the hub."""
        from distilkit.data.huggingface import load_builder

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
        found[name] = judgements_of(_grades(table, split), partial(table.place, split))
    if not found:
        raise UserError(f"{table.where} has no splits; expected judgements")
    return found


def _grades(table: Table, split: str) -> Iterator[Row]:
    for first, rows in table.batches(split):
        columns = (table.column(split, rows, names) for names in (QUERIES, PASSAGES, GRADES))
        for number, (query, passage, grade) in enumerate(zip(*columns, strict=True), start=first):
            if query is None or passage is None or not _is_whole(grade):
                problem = "expected a query's id, a passage's id and a whole number"
                raise UserError(f"{table.place(split, number)}: {problem}, got {(query, passage, grade)!r:.80}")
            yield Row(number, (str(query), str(passage)), int(grade))


def _is_whole(grade: object) -> bool:
    return isinstance(grade, int | float) and float(grade).is_integer()
