"""What several splits or files say of the same queries and judgements, made one."""

from collections.abc import Callable, Iterable, Iterator

from distilkit.data.judgements import Qrels
from distilkit.data.sources.reading import Row
from distilkit.errors import UserError

Place = Callable[[int], str]
"""What the place of a row is called in messages."""


def judgements_of(rows: Iterable[Row], place: Place) -> Qrels:
    """Return rows of (query, passage) and grade as judgements; raises UserError for two grades of one pair."""
    qrels: Qrels = {}
    for line, (query, passage), grade in rows:
        known = qrels.setdefault(query, {}).setdefault(passage, grade)
        # The same judgement twice is harmless, and some published sets have it.
        if known != grade:
            problem = f"query {query!r} and passage {passage!r} are judged {known} above and {grade} here"
            raise UserError(f"{place(line)}: {problem}; expected one grade")
    return qrels


def distinct_queries(splits: Iterable[tuple[Iterable[Row], Place]]) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of the queries of splits that may share some; raises UserError for two texts of one query."""
    seen: dict[str, int] = {}
    for rows, place in splits:
        for line, (query,), text in rows:
            if query not in seen:
                seen[query] = hash(text)
                yield query, text
            elif seen[query] != hash(text):
                raise UserError(f"{place(line)}: the query {query!r} has another text above; expected one")
