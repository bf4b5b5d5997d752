"""Queries that are documents themselves, as ArguAna's and Quora's are: left out of their own rankings, as BEIR does."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.collection import Collection
from distilkit.data.leaks import plain

ExcludeSelf = Literal["auto"] | bool

SAMPLE = 500


def own_documents(collection: Collection, query_ids: Sequence[str], exclude: ExcludeSelf) -> Integers:
    """Return the row of the document that each query is itself, -1 for none.

    With `exclude` True that is the document of its id, as in BEIR's evaluation. With "auto" the document must hold the
    query's text too: numbers as ids, such as MS MARCO's, name different things in queries and documents. False is none.
    """
    rows = collection.passages.find(list(query_ids))
    if exclude is False:
        rows[:] = -1
    if exclude != "auto" or (rows < 0).all():
        return rows
    places = np.flatnonzero(rows >= 0)
    # Where no query of a sample is its document, ids are numbers of different things, and many to look at.
    sample = places[np.unique(np.linspace(0, len(places) - 1, min(SAMPLE, len(places)), dtype=np.int64))]
    if not _hold(collection, query_ids, rows, sample).any():
        rows[:] = -1
        return rows
    rows[places[~_hold(collection, query_ids, rows, places)]] = -1
    return rows


def _hold(collection: Collection, query_ids: Sequence[str], rows: Integers, places: Integers) -> npt.NDArray[np.bool_]:
    queries = collection.queries.texts(collection.queries.find([query_ids[place] for place in places]).tolist())
    documents = collection.passages.texts(rows[places].tolist())
    pairs = ((plain(query), plain(document)) for query, document in zip(queries, documents, strict=True))
    return np.array([bool(query) and query in document for query, document in pairs], bool)
