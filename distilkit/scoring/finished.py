"""What a finished scoring holds, read back from its output and its input."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from distilkit.errors import UserError
from distilkit.scoring.parts import Floats
from distilkit.scoring.request import Request
from distilkit.scoring.wanted import Integers, read_wanted


class Finished(NamedTuple):
    """Each system's scores of the pairs, and the pairs of each triple, as `Scored` has them."""

    systems: dict[str, Floats]
    triples: Integers | None


def read_finished(request: Request) -> Finished:
    """Return the scores that a request's output holds: of a TSV, which has no other, the ensemble's alone.

    Raises UserError for an output that is cut short.
    """
    wanted = read_wanted(request.path, request.kind)
    names = [one.name for one in request.models]
    whole = names[0] if len(names) == 1 else "ensemble"
    if request.output.suffix == ".tsv":
        assert wanted.triples is not None
        return Finished({whole: _of_tsv(request.output, wanted.triples)}, wanted.triples)
    table = pq.read_table(request.output)
    columns = {whole: "score"} if len(names) == 1 else {**{name: name for name in names}, whole: "score"}
    return Finished({name: table[column].to_numpy() for name, column in columns.items()}, wanted.triples)


def _of_tsv(path: Path, triples: Integers) -> Floats:
    options = pyarrow.csv.ReadOptions(column_names=["positive", "negative", "query", "first", "second"])
    layout = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
    table = pyarrow.csv.read_csv(path, options, layout, _numbers())
    if len(table) != triples.shape[1]:
        raise UserError(f"{path}: holds {len(table)} triples, not the {triples.shape[1]} of its input")
    scores = np.empty(int(triples.max()) + 1, np.float32)
    for side, rows in zip(("positive", "negative"), triples, strict=True):
        scores[np.asarray(rows)] = pc.cast(table[side], pa.float32()).to_numpy()
    return scores


def _numbers() -> Any:
    columns = ["positive", "negative"]
    return pyarrow.csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.float32()))
