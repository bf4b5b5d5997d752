"""Training examples: judged queries, each positive with negatives of the first stage; the queries of validation."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels
from distilkit.errors import UserError


@dataclass(frozen=True)
class Lists:
    """Lists of one query: passages [n, 1 + negatives], the positive first; queries [n].

    `said` are sentences on candidates that were no negatives.
    """

    queries: Integers
    passages: Integers
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.queries)


Scores = Callable[[Integers, Integers], npt.NDArray[np.floating]]
"""Returns the teacher's score of each pair of rows of queries and passages."""


@dataclass(frozen=True)
class NegativeFilters:
    """Which candidates are not negatives of a positive; they are those of sentence-transformers' `mine_hard_negatives`.

    Attributes:
        range_min: the first so many candidates
        absolute_margin: those that score above the positive's score less this
        relative_margin: those that score above the positive's score less this share of its size
        max_score: those that score above this
        range_max: those behind the first so many; all count where None
    """

    range_min: int = 0
    absolute_margin: float | None = None
    relative_margin: float | None = None
    max_score: float | None = None
    range_max: int | None = None

    @property
    def by_score(self) -> bool:
        """Whether scores are asked for."""
        return (self.absolute_margin, self.relative_margin, self.max_score) != (None, None, None)

    def kept(self, positive: float, scores: npt.NDArray[np.floating], counts: Counter[str]) -> npt.NDArray[np.bool_]:
        """Return which candidates remain for a positive of a score, and count the others, each by its first reason."""
        bounds = {
            "max_score": self.max_score,
            "absolute_margin": None if self.absolute_margin is None else positive - self.absolute_margin,
            "relative_margin": None
            if self.relative_margin is None
            else positive - self.relative_margin * abs(positive),
        }
        kept = np.ones(len(scores), bool)
        for name, bound in bounds.items():
            if bound is not None:
                gone = kept & (scores > bound)
                counts[name] += int(gone.sum())
                kept &= ~gone
        return kept


def draw_queries(qrels: Qrels, count: int | None, seed: int) -> list[str]:
    """Return the ids of `count` training queries with a relevant passage, drawn without replacement; all where None."""
    judged = sorted(query for query, passages in qrels.items() if any(grade > 0 for grade in passages.values()))
    if not judged:
        raise UserError("the training queries have no relevant passage; expected judgements above 0 in qrels/train.tsv")
    return draw_ids(judged, count, seed)


def draw_ids(ids: list[str], count: int | None, seed: int) -> list[str]:
    """Return `count` of some ids in their order, drawn without replacement by a seed; all where None."""
    if count is None or count >= len(ids):
        return ids
    chosen = np.random.default_rng([seed, 1]).choice(len(ids), count, replace=False)
    return [ids[index] for index in sorted(chosen)]


def draw_lists(
    collection: Collection,
    qrels: Qrels,
    query_ids: list[str],
    candidates: Candidates,
    negatives: int,
    seed: int,
    own: Sequence[int] = (),
    filters: NegativeFilters = NegativeFilters(),
    scores: Scores | None = None,
) -> Lists:
    """Give every relevant passage of the queries `negatives` passages that are not, drawn from the candidates.

    Judged positives are never negatives, nor is the passage that a query is itself (`own`, one for each query), nor
    what the filters leave out, by `scores` where they ask for some. A query whose candidates do not suffice is filled
    up from the whole corpus. Raises UserError where that is too small.
    """
    rng, counts = np.random.default_rng([seed, 2]), Counter[str]()
    queries: list[int] = []
    rows: list[list[int]] = []
    for row, query in enumerate(query_ids):
        positives = {collection.passages.index(passage) for passage, grade in qrels[query].items() if grade > 0}
        barred = positives | ({own[row]} if own and own[row] >= 0 else set())
        if len(collection.passages) < len(barred) + negatives:
            raise UserError(
                f"query {query!r} needs {negatives} negatives, but the corpus has {len(collection.passages)} passages, "
                f"{len(positives)} of them relevant; lower [train] negatives"
            )
        ranked = [int(passage) for passage in candidates.passages[row] if passage >= 0]
        every = [passage for passage in ranked[filters.range_min : filters.range_max] if passage not in barred]
        for positive in sorted(positives):
            pool = every
            first = min(filters.range_min, len(ranked))
            behind = max(0, len(ranked) - (filters.range_max or len(ranked)))
            counts["candidates"] += len(every) + first + behind
            counts["range_min"] += first
            counts["range_max"] += behind
            if scores is not None and every:
                pair = np.array([positive, *every], np.int64)
                found = scores(np.full(len(pair), candidates.queries[row]), pair)
                kept = filters.kept(float(found[0]), found[1:], counts)
                pool = [passage for passage, stays in zip(every, kept, strict=True) if stays]
            chosen = [pool[index] for index in rng.permutation(len(pool))[:negatives]]
            counts["filled"] += negatives - len(chosen)
            # What a filter took out comes back only where the corpus has nothing else.
            avoided = barred | (set(ranked) - set(pool))
            if filters == NegativeFilters() or len(collection.passages) < len(avoided) + negatives:
                avoided = barred
            while len(chosen) < negatives:
                other = int(rng.integers(len(collection.passages)))
                if other not in avoided and other not in chosen:
                    chosen.append(other)
            queries.append(int(candidates.queries[row]))
            rows.append([positive, *chosen])
    return Lists(np.array(queries, np.int64), np.array(rows, np.int64), _said(counts, filters, len(rows) * negatives))


def _said(counts: Counter[str], filters: NegativeFilters, negatives: int) -> tuple[str, ...]:
    """Return what is to be said of the filters of negatives; nothing where there is none."""
    if filters == NegativeFilters():
        return ()
    gone = ", ".join(
        f"{counts[name]} (negative_{name} = {value})" for name, value in vars(filters).items() if value not in (None, 0)
    )
    filled = f"; {counts['filled']} of {negatives} negatives are drawn from the whole corpus instead"
    return (
        f"of {counts['candidates']} candidates {gone} are not taken as negatives{filled if counts['filled'] else ''}",
    )


def validation_split(
    collection: Collection, *, take_from: str | None = None, queries: int = 200, seed: int = 1
) -> tuple[Qrels, Qrels]:
    """Return (training judgements, validation judgements), which share no query.

    By default validation is the split dev where there is one; else, or with `take_from = "train"`, `queries` of the
    train queries with a relevant passage are taken out of training, chosen by a hash of their ids and the seed. With
    `take_from = "dev"` they are taken out of dev. Raises UserError where there are no train judgements, for another
    split, or for more queries than there are.
    """
    if "train" not in collection.splits:
        known = ", ".join(collection.splits) or "none"
        raise UserError(
            f"collection {collection.name!r} has no train judgements to train on; it has: {known} "
            '([train] labels = "none" trains on a teacher\'s scores alone)'
        )
    train = collection.qrels("train")
    if take_from is None and "dev" in collection.splits:
        return train, collection.qrels("dev")
    take_from = take_from or "train"
    if take_from not in ("train", "dev"):
        # Choosing on test queries would make their results worthless.
        raise UserError(f"validation.from is {take_from!r}; expected 'train' or 'dev'")
    source = collection.qrels(take_from)
    chosen = _choose(source, queries, seed, take_from)
    if take_from == "train":
        train = {query: judged for query, judged in train.items() if query not in chosen}
    return train, {query: judged for query, judged in source.items() if query in chosen}


def _choose(source: Qrels, queries: int, seed: int, split: str) -> set[str]:
    eligible = [query for query, judged in source.items() if any(grade > 0 for grade in judged.values())]
    most = len(eligible) - (split == "train")
    if not 1 <= queries <= most:
        available = f"1 to {most}, as {split} has {len(eligible)} queries with a relevant passage"
        raise UserError(f"validation.queries is {queries}; expected {available}")
    eligible.sort(key=lambda query: hashlib.sha256(f"{seed}:{query}".encode()).hexdigest())
    return set(eligible[:queries])
