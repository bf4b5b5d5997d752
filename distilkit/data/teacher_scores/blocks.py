"""Blocks of rows of a score file, as columns of ids and of scores that are checked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.arrays import Integers
from distilkit.data.reading import refuse

Floats = npt.NDArray[np.float32]

ROWS = 65_536


@dataclass(frozen=True)
class Block:
    """Rows of a file as columns.

    Attributes:
        places: where each row stands in the file: its line, or its row in a table, from 1
        ids: Arrow strings: (query, document) of scores, (query, positive, negative) of margins
        scores: by column name, ``score`` or a teacher's: finite float32 numbers
    """

    places: Integers
    ids: tuple[pa.Array, ...]
    scores: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.places)


class ScoreRow(NamedTuple):
    """One row: where it stands, two or three ids (or texts), its score or margin."""

    place: int
    ids: tuple[str, ...]
    score: float


def in_blocks(rows: Callable[[Path], Iterable[ScoreRow]]) -> Callable[[Path], Iterator[Block]]:
    """Return a reader of blocks, of scores or of margins throughout, for a reader of rows.

    It raises UserError for rows of both kinds and for a score that is not finite.
    """

    @wraps(rows)
    def read(path: Path) -> Iterator[Block]:
        return _blocks(path, iter(rows(path)))

    return read


def _blocks(path: Path, rows: Iterator[ScoreRow]) -> Iterator[Block]:
    width = 0
    while batch := list(islice(rows, ROWS)):
        places, ids, scores = zip(*batch, strict=True)
        width = width or len(ids[0])
        odd = next((place for place, one in zip(places, ids, strict=True) if len(one) != width), None)
        if odd is not None:
            refuse(path, odd, "a margin among scores, or a score among margins; expected one of them throughout")
        columns = tuple(pa.array(column, pa.string()) for column in zip(*ids, strict=True))
        with np.errstate(over="ignore"):
            values = np.array(scores, np.float64).astype(np.float32)
        yield Block(checked(path, np.array(places, np.int64), values), columns, {"score": values})


def checked(path: Path, places: Integers, scores: Floats, unit: str = ":") -> Integers:
    """Return the places of scores that are all finite in float32; raises UserError naming the first that is not."""
    wrong = ~np.isfinite(scores)
    if wrong.any():
        first = int(wrong.argmax())
        refuse(path, int(places[first]), f"expected the score to be a finite number, got {scores[first]}", unit)
    return places


def parse_scores(path: Path, places: Integers, texts: Sequence[str]) -> Floats:
    """Return the numbers that texts stand for; raises UserError naming the line of one that is none, or not finite."""
    try:
        scores: Floats = pc.cast(pa.array(texts, pa.string()), pa.float32()).to_numpy()
    except pa.ArrowInvalid:
        for place, text in zip(places, texts, strict=True):
            if not _is_number(text):
                refuse(path, int(place), f"expected the score to be a finite number, got {text[:40]!r}")
        raise
    checked(path, places, scores)
    return scores


def _is_number(text: str) -> bool:
    try:
        pc.cast(pa.array([text], pa.string()), pa.float32())
    except pa.ArrowInvalid:
        return False
    return True


PROBABILITIES = (
    "its scores lie between 0 and 1, as probabilities do: margins of probabilities teach little; score with the logits "
    "before the sigmoid (in sentence-transformers, predict(..., activation_fn=torch.nn.Identity()))"
)


def looks_like_probabilities(scores: Floats) -> bool:
    """Return whether all scores lie between 0 and 1, as those of a sigmoid or softmax do and logits hardly ever."""
    return bool(len(scores) > 1 and scores.min() >= 0 and scores.max() <= 1)
