"""Training examples: judged queries, each positive with negatives of the first stage; the queries of validation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels
from distilkit.errors import UserError


@dataclass(frozen=True)
class Lists:
    """Lists of one query: passages [n, 1 + negatives], the positive first; queries [n]."""

    queries: Integers
    passages: Integers

    def __len__(self) -> int:
        return len(self.queries)


def draw_queries(qrels: Qrels, count: int | None, seed: int) -> list[str]:
    """Return the ids of `count` training queries with a relevant passage, drawn without replacement; all where None."""
    judged = sorted(query for query, passages in qrels.items() if any(grade > 0 for grade in passages.values()))
    if not judged:
        raise UserError("the training queries have no relevant passage; expected judgements above 0 in qrels/train.tsv")
    if count is None or count >= len(judged):
        return judged
    chosen = np.random.default_rng([seed, 1]).choice(len(judged), count, replace=False)
    return [judged[index] for index in sorted(chosen)]


def draw_lists(
    collection: Collection,
    qrels: Qrels,
    query_ids: list[str],
    candidates: Candidates,
    negatives: int,
    seed: int,
    own: Sequence[int] = (),
) -> Lists:
    """Give every relevant passage of the queries `negatives` passages that are not, drawn from the candidates.

    Judged positives are never negatives, nor is the passage that a query is itself (`own`, one for each query). A query
    whose candidates do not suffice is filled up from the whole corpus. Raises UserError where that is too small.
    """
    rng = np.random.default_rng([seed, 2])
    queries: list[int] = []
    rows: list[list[int]] = []
    for row, query in enumerate(query_ids):
        positives = {collection.passages.index(passage) for passage, grade in qrels[query].items() if grade > 0}
        if len(collection.passages) < len(positives) + negatives:
            raise UserError(
                f"query {query!r} needs {negatives} negatives, but the corpus has {len(collection.passages)} passages, "
                f"{len(positives)} of them relevant; lower [train] negatives"
            )
        pool = [int(passage) for passage in candidates.passages[row] if passage >= 0 and int(passage) not in positives]
        for positive in sorted(positives):
            chosen = [pool[index] for index in rng.permutation(len(pool))[:negatives]]
            while len(chosen) < negatives:
                other = int(rng.integers(len(collection.passages)))
                if other not in positives and other not in chosen and not (own and other == own[row]):
                    chosen.append(other)
            queries.append(int(candidates.queries[row]))
            rows.append([positive, *chosen])
    return Lists(np.array(queries, np.int64), np.array(rows, np.int64))


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
        raise UserError(f"collection {collection.name!r} has no train judgements to train on; it has: {known}")
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
