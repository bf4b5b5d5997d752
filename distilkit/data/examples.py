"""Training examples: for each judged query its positives, each with negatives from the first stage."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels
from distilkit.errors import UserError

Integers = npt.NDArray[np.int64]


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
    collection: Collection, qrels: Qrels, query_ids: list[str], candidates: Candidates, negatives: int, seed: int
) -> Lists:
    """Give every relevant passage of the queries `negatives` passages that are not, drawn from the candidates.

    Judged positives are never negatives. A query whose candidates do not suffice is filled up from the whole corpus.
    Raises UserError where the corpus itself is too small.
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
                if other not in positives and other not in chosen:
                    chosen.append(other)
            queries.append(int(candidates.queries[row]))
            rows.append([positive, *chosen])
    return Lists(np.array(queries, np.int64), np.array(rows, np.int64))
