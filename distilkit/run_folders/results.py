"""The files of one system's results on a query set: run.trec, per_query.csv, measures.json, cost.json, qrels.tsv."""

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

from distilkit.errors import UserError
from distilkit.files import sha256_once, write_text
from distilkit.manifest import read_manifest
from distilkit.run_folders.folder import refuse_links
from distilkit.run_folders.record import (
    Cost,
    JsonObject,
    as_table,
    number,
    numbers,
    read_object,
    read_object_if_any,
    text,
)
from distilkit.tables import csv_cell, csv_text
from distilkit.untrusted import read_text

RUN = "run.trec"
PER_QUERY = "per_query.csv"

PerQuery = dict[str, dict[str, float]]
"""Per measure: each judged query's value."""


@dataclass(frozen=True)
class Measures:
    """measures.json: the means over `n` judged queries of a set, and the policy that they were computed under."""

    set: str
    n: int
    measures: dict[str, float]
    policy: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class StoredResults:
    """`eval/SET/` or `eval/SET/references/NAME/`: one system's results; `qrels` are the set's judgements."""

    path: Path
    qrels: Path

    @property
    def run(self) -> Path:
        """The TREC run."""
        return self.path / RUN

    @property
    def table(self) -> Path:
        """The table of each query's values."""
        return self.path / PER_QUERY

    @property
    def measures_json(self) -> Path:
        """The means."""
        return self.path / "measures.json"

    @property
    def cost_json(self) -> Path:
        """What the system costs."""
        return self.path / "cost.json"

    @property
    def ir_metadata(self) -> Path:
        """Who made the run, of what and how, for other tools."""
        return self.path / "ir-metadata.yml"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files; a reference has no judgements of its own, which come last."""
        return (self.run, self.table, self.measures_json, self.cost_json, self.ir_metadata, self.qrels)

    def exist(self) -> bool:
        """Return whether the system has been measured."""
        return self.table.is_file() or self.run.is_file()

    def made_of(self) -> JsonObject:
        """Return what the results were made of, empty where nothing says it."""
        return as_table(read_manifest(self.path).get("made_of"))

    def refuse_links(self) -> None:
        """Raise UserError where a folder or file of the results is a link."""
        refuse_links(self.path, self.qrels, self.run, self.table, self.measures_json)

    def measures(self) -> Measures | None:
        """Return the means, None without their file; raises UserError where it is damaged."""
        return read_measures(self.measures_json) if self.measures_json.is_file() else None

    def per_query(self) -> PerQuery:
        """Return each query's values, empty without their file; raises UserError where it is damaged."""
        return read_per_query(self.table) if self.table.is_file() else {}

    def cost(self) -> Cost:
        """Return what the system costs, an empty cost without its file; raises UserError where it is damaged."""
        return Cost.of(read_object_if_any(self.cost_json))

    def references(self) -> dict[str, "StoredResults"]:
        """Return the first stage and the teacher, as far as the set has their folders."""
        place = self.path / "references"
        folders = [] if place.is_symlink() else [one for one in sorted(place.glob("*")) if not one.is_symlink()]
        return {folder.name: self.reference(folder.name) for folder in folders}

    def reference(self, name: str) -> "StoredResults":
        """Return the results of the first stage or the teacher on the same set."""
        return StoredResults(self.path / "references" / name, self.qrels)


def cost_beside(run: Path) -> Path:
    """Return where the cost of a bare TREC run is: `mine.cost.json` beside `mine.trec` or `mine.trec.gz`.

    Example:
        >>> cost_beside(Path("runs/dev.int8.trec.gz")).name
        'dev.int8.cost.json'
    """
    return run.with_name(run.name.removesuffix(".gz").removesuffix(".trec") + ".cost.json")


def read_cost_beside(run: Path) -> Cost:
    """Return the cost beside a bare TREC run, an empty one where there is none, or where it is of another run.

    Raises UserError where it is damaged.
    """
    found = read_object_if_any(cost_beside(run))
    return Cost.of(found) if found and found.get("run") == sha256_once(run) else Cost()


def write_per_query(path: Path, per_query: PerQuery) -> None:
    """Write a table of values: a row per judged query, sorted by id, values that read back equal.

    An id that a spreadsheet would take for a formula begins with an apostrophe there.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["query_id", *per_query])
    for query in sorted(next(iter(per_query.values()), {})):
        writer.writerow([csv_cell(query), *(repr(float(values[query])) for values in per_query.values())])
    write_text(path, out.getvalue())


def read_per_query(path: Path) -> PerQuery:
    """Return the table of a per_query.csv.

    Raises UserError, with file and line, for a header without `query_id` first, a row of another length, a query listed
    twice or a value that is not a finite number.
    """
    try:
        rows = list(csv.reader(io.StringIO(read_text(path, links=False), newline="")))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from error
    if not rows or len(rows[0]) < 2 or rows[0][0] != "query_id":
        raise UserError(f"{path}:1: expected the header 'query_id,MEASURE,...'")
    names = rows[0][1:]
    table: PerQuery = {name: {} for name in names}
    for line, row in enumerate(rows[1:], start=2):
        values = [value for value in map(_finite, row[1:]) if value is not None]
        if len(row) != len(rows[0]) or len(values) != len(names):
            raise UserError(f"{path}:{line}: expected a query id and {len(names)} finite numbers")
        query = csv_text(row[0])
        if query in table[names[0]]:
            raise UserError(f"{path}:{line}: query {query!r} is listed twice")
        for name, value in zip(names, values, strict=True):
            table[name][query] = value
    return table


def read_measures(path: Path) -> Measures:
    """Return the means of a measures.json; raises UserError where it is none."""
    found = read_object(path)
    if not all(isinstance(found.get(key), dict) for key in ("measures", "policy")):
        raise UserError(f"{path}: expected an object with the keys set, n, measures and policy")
    return Measures(
        text(found.get("set")), int(number(found.get("n")) or 0), numbers(found["measures"]), found["policy"]
    )


def _finite(value: str) -> float | None:
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
