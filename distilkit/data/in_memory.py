"""Collections out of memory: dictionaries, pandas' frames and data sets of Hugging Face, written as folders are."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.columns import GRADE_NAMES, PASSAGE_NAMES, QUERY_NAMES
from distilkit.data.judgements import Qrels, Run, judgements_of
from distilkit.data.reading import Row
from distilkit.data.sources.base import write_source
from distilkit.errors import UserError, nearest
from distilkit.files import make_folder, of_passing_folder

if TYPE_CHECKING:
    from distilkit.data.collection import Collection

IDS = ("_id", "id", "docid", "doc_id", "query_id", "qid", "corpus-id", "query-id", "pid")
TEXTS = ("text", "query", "contents", "body")
Texts = Iterable[tuple[str, str]]


def write(
    name: str,
    passages: Texts,
    queries: Texts,
    qrels: Mapping[str, Qrels],
    candidates: Mapping[str, Run] | None,
    folder: str | PathLike[str] | None,
) -> "Collection":
    """Write a collection of what is in memory and open it, as `kept` does."""
    return kept(
        folder,
        lambda where: write_source(
            where,
            lambda error: f"{name}, {error.table}",
            name=name,
            passages=passages,
            queries=queries,
            qrels=qrels,
            candidates=candidates,
            info={"source": "memory"},
        ),
    )


def kept(folder: str | PathLike[str] | None, write: Callable[[Path], None]) -> "Collection":
    """Write a collection and open it; without a folder it lies in a temporary one, as long as the object lives.

    Raises UserError for a folder that holds something, and as `write` does.
    """
    from distilkit.data.collection import open_collection

    def written(where: Path) -> "Collection":
        write(where)
        return open_collection(where)

    if folder is None:
        return of_passing_folder("collection", written)
    where = Path(folder)
    if where.exists() and (not where.is_dir() or any(where.iterdir())):
        raise UserError(f"{where} is there already; expected an empty folder, or none")
    make_folder(where)
    return written(where)


def texts_of_dict(what: str, texts: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of {id: text} or BEIR's {id: {title, text}}; raises UserError naming the id of another value."""
    for id, value in texts.items():
        title, text = (value.get("title"), value.get("text")) if isinstance(value, Mapping) else (None, value)
        yield _text(f"{what}, {id!r}", id, title, text)


def qrels_of_dict(qrels: Mapping[Any, Any]) -> dict[str, Qrels]:
    """Return judgements of {split: {query: {passage: grade}}}, or of the split test without that level."""
    inner = (one for judged in qrels.values() if isinstance(judged, Mapping) for one in judged.values())
    splits = qrels if any(isinstance(one, Mapping) for one in inner) else {"test": qrels}
    return {str(split): _judgements(f"qrels, {split}", _rows_of_dict(split, rows)) for split, rows in splits.items()}


def texts_of_table(what: str, table: Any) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of a table's columns: an id, a text and, optionally, a title."""
    ids, texts = _column(what, table, IDS), _column(what, table, TEXTS)
    titles: Iterable[Any] = _column(what, table, ("title",)) if "title" in _names(table) else repeat(None)
    for number, (id, title, text) in enumerate(zip(ids, titles, texts, strict=False)):
        yield _text(f"{what}, row {number}", id, title, text)


def qrels_of_table(qrels: Any) -> dict[str, Qrels]:
    """Return judgements of a table, by its column `split` where it has one, else test; or of a table for each split."""
    if isinstance(qrels, Mapping):
        return {_split(split): _of_table(f"qrels, {split}", table) for split, table in qrels.items()}
    if "split" not in _names(qrels):
        return {"test": _of_table("qrels", qrels)}
    found: dict[str, list[Row]] = {}
    for row, split in zip(_grades("qrels", qrels), _column("qrels", qrels, ("split",)), strict=True):
        found.setdefault(_split(str(split)), []).append(row)
    return {split: _judgements(f"qrels, {split}", rows) for split, rows in found.items()}


def _split(name: str) -> str:
    return {"validation": "dev", "valid": "dev"}.get(name, name)


def _of_table(what: str, table: Any) -> Qrels:
    return _judgements(what, list(_grades(what, table)))


def _grades(what: str, table: Any) -> Iterator[Row]:
    columns = [_column(what, table, names) for names in (QUERY_NAMES, PASSAGE_NAMES, GRADE_NAMES)]
    for number, (query, passage, grade) in enumerate(zip(*columns, strict=True)):
        where = f"{what}, row {number}"
        yield Row(number, (_id(where, query), _id(where, passage)), _grade(where, grade))


def _rows_of_dict(split: Any, queries: Any) -> list[Row]:
    if not isinstance(queries, Mapping) or not all(isinstance(judged, Mapping) for judged in queries.values()):
        raise UserError(f"qrels, {split}: expected a dictionary of query, passage and grade, got {queries!r:.60}")
    where = f"qrels, {split}"
    return [
        Row(0, (_id(where, query), _id(where, passage)), _grade(f"{where}, {query!r}", grade))
        for query, judged in queries.items()
        for passage, grade in judged.items()
    ]


def _judgements(what: str, rows: Sequence[Row]) -> Qrels:
    return judgements_of(lambda: rows, lambda number: f"{what}, row {number}")


def _names(table: Any) -> list[str]:
    """Return the columns of a Hugging Face data set or of a frame."""
    names: Any = getattr(table, "column_names", None) or getattr(table, "columns", ())
    return [str(name) for name in names]


def _column(what: str, table: Any, names: Sequence[str]) -> list[Any]:
    lower = {name.lower(): name for name in _names(table)}
    found = next((lower[name] for name in names if name in lower), None)
    if found is None:
        raise UserError(f"{what}: there is no column {names[0]!r}{nearest(names[0], _names(table))}")
    return list(table[found])


def _text(where: str, id: Any, title: Any, text: Any) -> tuple[str, str]:
    # A frame has not-a-number for what is missing, which is not equal to itself.
    title = "" if title is None or title != title else title
    if not isinstance(text, str) or not isinstance(title, str):
        raise UserError(
            f"{where}: expected a text and, where there is one, a title, got {text!r:.40} and {title!r:.40}"
        )
    return _id(where, id), " ".join(part for part in (title, text) if part.strip())


def _id(where: str, id: Any) -> str:
    if isinstance(id, bool) or not isinstance(id, str | Integral):
        raise UserError(f"{where}: expected an id, a string or a whole number, got {id!r:.40}")
    return id if isinstance(id, str) else str(int(id))


def _grade(where: str, grade: Any) -> int:
    if isinstance(grade, bool) or not isinstance(grade, Real) or not float(grade).is_integer():
        raise UserError(f"{where}: expected the grade to be a whole number, got {grade!r:.40}")
    return int(float(grade))
