"""No leak: a query that a run is measured with is not trained on, neither by its id nor as an equal text."""

import hashlib
import unicodedata
from collections.abc import Collection as Ids
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distilkit.data.collection import Collection, Qrels
from distilkit.errors import UserError

Numbers = npt.NDArray[np.int16]

BATCH = 4096


@dataclass(frozen=True)
class MeasuredQueries:
    """Queries that a run is measured with: what messages call them, the collection they are of, and their ids.

    `drawn` tells that they were taken out of the training queries themselves.
    """

    where: str
    collection: Collection
    ids: Ids[str]
    drawn: bool = False


@dataclass(frozen=True)
class HeldOut:
    """The queries of a collection that must not be trained on.

    Attributes:
        names: what messages call the sets of measured queries
        named: [queries], the number of the set that measures this very query, -1 for none; drawn ones have none
        texts: [queries], the number of the set that measures a query of the same text, this one or another
    """

    names: list[str]
    named: Numbers
    texts: Numbers

    @classmethod
    def of(cls, collection: Collection, measured: Iterable[MeasuredQueries]) -> "HeldOut":
        """Compare every query of a collection with those that are measured, by text, and by id in the same one."""
        every, known = list(measured), dict[str, int]()
        named = np.full(len(collection.queries), -1, np.int16)
        for number, one in reversed([*enumerate(every)]):
            table = one.collection.queries
            rows = table.find(list(one.ids))
            known |= dict.fromkeys(map(plain, table.texts(rows.tolist())), number)
            if one.collection.fingerprint == collection.fingerprint and not one.drawn:
                named[rows] = number
        found = (known.get(plain(text), -1) for _, batch in collection.queries.batches(BATCH) for text in batch)
        return cls([one.where for one in every], named, np.fromiter(found, np.int16, len(collection.queries)))

    def key(self) -> str:
        """Return a hash of which queries are held out, and how."""
        return hashlib.sha256(np.packbits([self.named >= 0, self.texts >= 0]).tobytes()).hexdigest()

    def without(self, collection: Collection, train: Qrels) -> tuple[Qrels, list[str]]:
        """Return training judgements less the queries of measured texts, and what is to be said of them.

        Raises UserError for a query that is in both by its id, or where no query is left.
        """
        queries = sorted(train)
        rows = collection.queries.find(queries)
        if (shared := np.flatnonzero(self.named[rows] >= 0)).size:
            where, first = self.names[self.named[rows[shared[0]]]], queries[shared[0]]
            raise UserError(
                f"{len(shared)} of the {len(train)} training queries are measured too: the first, {first!r}, is among "
                f"the {where}; expected each query in one split"
            )
        held = self.texts[rows] >= 0
        if not held.any():
            return train, []
        said = self.said(self.texts[rows], f"of {len(train)} training queries")
        if held.all():
            raise UserError(f"{'; '.join(said)}, and none is left; expected training queries of their own")
        gone = {queries[place] for place in np.flatnonzero(held)}
        return {query: judged for query, judged in train.items() if query not in gone}, said

    def said(self, sets: Numbers, what: str) -> list[str]:
        """Return what is to be said of rows that are left out, by the set that they are measured in."""
        counts = np.bincount(sets[sets >= 0], minlength=len(self.names))
        return [
            f"{count} {what} have the text of one of the {name} (case and blanks aside): left out of training"
            for name, count in zip(self.names, counts.tolist(), strict=True)
            if count
        ]


def plain(text: str) -> str:
    """Return what texts are compared by: case, blanks and the width of characters aside."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
