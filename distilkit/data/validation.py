"""The judgements that a run trains on and those that it validates on."""

import hashlib

from distilkit.data.collection import Collection
from distilkit.data.judgements import Qrels
from distilkit.errors import UserError


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
