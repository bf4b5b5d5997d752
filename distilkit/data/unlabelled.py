"""Training without judgements: which queries there are, and lists in the order of a teacher's scores."""

import hashlib
from collections.abc import Collection as Ids
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels
from distilkit.data.examples import Lists
from distilkit.errors import UserError

Scores = npt.NDArray[np.floating]


def unlabelled_split(
    collection: Collection, measured: Ids[str], *, take_from: str | None = None, queries: int = 200, seed: int = 1
) -> tuple[Qrels, Qrels]:
    """Return the queries to train on and those to validate with, none of them judged: their judgements are empty.

    Training queries are all of the collection but those of other splits than train and those that are `measured`;
    judgements of train are not read. Validation takes the queries of dev where there is that split, or with
    `take_from = "dev"` this many of them; else, or with "train", this many are taken out of training, by a hash of
    their ids and the seed. Raises UserError where no query is left, or for more queries than there are.
    """
    other = {query for split in collection.splits if split != "train" for query in collection.qrels(split)}
    every = [query for ids, _ in collection.queries.batches(4096) for query in ids]
    left = [query for query in every if query not in other and query not in measured]
    if not left:
        raise UserError(
            f"collection {collection.name!r} has {len(every)} queries, and all of them are measured or validate; "
            'expected queries of its own to train on without labels, or [data] queries = "sentences"'
        )
    from_dev = "dev" in collection.splits and take_from != "train"
    if take_from == "dev" and not from_dev:
        raise UserError(f"validation.from is 'dev', and collection {collection.name!r} has no such split")
    source = sorted(collection.qrels("dev")) if from_dev else left
    chosen = set(source)
    if take_from is not None or not from_dev:
        most = len(source) - (not from_dev)
        if not 1 <= queries <= most:
            there = f"as {'dev has' if from_dev else 'there are'} {len(source)} queries"
            raise UserError(f"validation.queries is {queries}; expected 1 to {most}, {there}")
        source = sorted(source, key=lambda query: hashlib.sha256(f"{seed}:{query}".encode()).hexdigest())
        chosen = set(source[:queries])
    return {query: {} for query in left if query not in chosen}, {query: {} for query in sorted(chosen)}


@dataclass(frozen=True)
class Draw:
    """How lists are drawn from candidates in a teacher's order.

    Attributes:
        positives: lists of a query, fewer where its candidates do not suffice
        negatives: passages of a list beside the first
        seed: of the draw
        skipped: this many candidates next below the first of a list are not drawn
        last: how many below the first are drawn from, those that are skipped included; all where None
    """

    positives: int
    negatives: int
    seed: int
    skipped: int = 0
    last: int | None = None

    def lists(self, candidates: int) -> int:
        """Return how many lists so many candidates of a query make."""
        below = (candidates - place - 1 for place in range(self.positives))
        return sum(min(count, self.last or count) - self.skipped >= self.negatives for count in below)


def draw_by_teacher(candidates: Candidates, scores: Scores, draw: Draw) -> Lists:
    """Return lists of each query's candidates, in the order of a teacher's scores.

    Each of the best candidates of a query stands first in a list of its own; the others are drawn, without replacement,
    from those that the teacher ranks below it, the better ones first. Equal scores keep the order of the first stage.

    Args:
        candidates: the candidates of n queries
        scores: the teacher's score of each, [n, depth]; NaN for what cannot be drawn
        draw: how many lists of how many passages, and which
    """
    rng = np.random.default_rng([draw.seed, 2])
    queries: list[int] = []
    rows: list[Integers] = []
    for row, own in enumerate(scores):
        usable = np.flatnonzero(~np.isnan(own))
        best_first = candidates.passages[row][usable[np.argsort(-own[usable], kind="stable")]]
        for place in range(draw.lists(len(best_first))):
            below = best_first[place + 1 :][draw.skipped : draw.last]
            drawn = np.sort(rng.permutation(len(below))[: draw.negatives])
            queries.append(int(candidates.queries[row]))
            rows.append(np.concatenate([best_first[place : place + 1], below[drawn]]))
    passages = np.array(rows, np.int64).reshape(len(rows), 1 + draw.negatives)
    return Lists(np.array(queries, np.int64), passages)
