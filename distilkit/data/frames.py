"""A collection's parts as frames of pandas, in the columns that `Collection.from_pandas` reads."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from distilkit.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from distilkit.data.collection import Collection

PARTS = ("passages", "queries", "qrels", "candidates")
ROWS = ["query-id", "corpus-id", "score", "split"]


def frame(collection: "Collection", what: str, split: str | None) -> "pd.DataFrame":
    """Return a part of a collection as a frame; raises UserError for another part, and for an unknown split."""
    import pandas as pd

    if what not in PARTS:
        raise UserError(f"to_frame: a collection has no {what!r}{nearest(what, PARTS)}; expected {', '.join(PARTS)}")
    if what in ("passages", "queries"):
        texts = collection.passages if what == "passages" else collection.queries
        return pd.DataFrame(texts.items(), columns=["_id", "text"], dtype=str)
    splits = collection.splits if what == "qrels" else collection.candidate_splits
    if split is not None and split not in splits:
        raise UserError(f"collection {collection.name!r} has no {what} of split {split!r}{nearest(split, splits)}")
    chosen = splits if split is None else (split,)
    found = pd.DataFrame((row for one in chosen for row in _rows(collection, what, one)), columns=ROWS)
    return found.astype({"score": int if what == "qrels" else float})


def _rows(collection: "Collection", what: str, split: str) -> Iterator[tuple[str, str, float, str]]:
    found = collection.qrels(split) if what == "qrels" else (collection.candidates(split) or {})
    for query, scored in found.items():
        pairs: Iterable[tuple[str, float]] = scored.items() if isinstance(scored, dict) else scored
        yield from ((query, passage, score, split) for passage, score in pairs)
