"""What --data names: a folder, a source of collections, or a source with what it reads."""

import inspect
from pathlib import Path

from distilkit.data.sources import SOURCES
from distilkit.data.sources.tables import find_file
from distilkit.errors import UserError, nearest
from distilkit.settings import DataSettings

EXPECTED = (
    "a folder of BEIR's or MS MARCO's layout, pydocs, or a source with what it reads, such as ir_datasets:beir/scifact"
)


def data_settings(data: str, candidates: str | None = None) -> DataSettings:
    """Return the [data] table that an option's value stands for.

    It is a folder (in BEIR's or MS MARCO's layout, of a data set in BEIR's layout, or of a collection that distilkit
    wrote), a source that reads nothing else (`pydocs`), or a source and what it reads: `ir_datasets:ID`,
    `huggingface:ID`, `beir:FOLDER`, a plug-in's `NAME:FOLDER`. Raises UserError for any other value, with the nearest
    right one.
    """
    place = Path(data)
    if data and place.is_dir():
        return DataSettings(source=_source_of(place), path=data, candidates=candidates)
    if data and place.exists():
        raise UserError(f"--data {data} is a file; expected {EXPECTED}")
    name, _, rest = data.partition(":")
    if name not in SOURCES:
        raise UserError(f"--data {data}: there is no such folder or source{_nearest(data) or f'; expected {EXPECTED}'}")
    source = SOURCES.resolve(name)
    keys = inspect.signature(SOURCES[source]).parameters
    reads = [key for key in ("path", "dataset") if key in keys]
    if not reads:
        if rest:
            raise UserError(f"--data {data}: the source {source} reads nothing that is named; expected --data {source}")
        return DataSettings(source=source)
    if not rest:
        what = {"path": "FOLDER", "dataset": "ID"}[reads[-1]]
        raise UserError(f"--data {data}: what {source} reads is missing; expected --data {source}:{what}")
    key = "path" if "path" in reads and ("dataset" not in reads or Path(rest).is_dir()) else "dataset"
    return DataSettings.model_validate({"source": source, key: rest, "candidates": candidates})


def _source_of(folder: Path) -> str:
    """Return the source that reads a folder, by the files in it."""
    if find_file(folder, "corpus.jsonl"):
        return "beir"
    if find_file(folder, "collection.tsv"):
        return "msmarco"
    if (folder / "manifest.json").is_file() and (folder / "passages.arrow").is_file():
        return "collection"
    if all((folder / table).is_dir() for table in ("corpus", "queries")):
        return "huggingface"
    files = "neither corpus.jsonl (BEIR) nor collection.tsv (MS MARCO)"
    raise UserError(f"--data {folder}: the folder has {files}; expected {EXPECTED}")


def _nearest(data: str) -> str:
    """Return a clause with the nearest source or folder, empty where none is near."""
    name, sign, rest = data.partition(":")
    path = Path(name)
    beside = path.parent if path.parent.is_dir() else None
    folders = [str(one) for one in beside.iterdir() if one.is_dir() and one.name[0] != "."] if beside and name else []
    hint = nearest(name, [*SOURCES, *([] if sign else folders)])
    if not hint.startswith("; did"):
        return ""
    return f"{hint[:-2]}{sign}{rest}'?" if sign else hint
