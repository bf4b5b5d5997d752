"""Objects and rows of training data: a query with positives and negatives, by ids or texts, under the usual names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilkit.data.reading import identifier, refuse
from distilkit.data.scripts import looks_like_text
from distilkit.errors import nearest

Holds = Literal["ids", "texts"]
Triple = tuple[int, str, str, str]
"""The line (or row) of a triple, and its query, positive and negative."""

# By sentence-transformers, FlagEmbedding, SBERT, Tevatron, PyLate, ColBERT and others.
QUERY_IDS = ("query_id", "qid", "query-id", "anchor_id")
QUERY_TEXTS = ("query", "anchor", "question")
SIDES = {
    "positive": re.compile(r"(positive|pos|doc_id_a)(s|_id|_ids|_pid|_pids|_passage|_passages)?(_?\d+)?"),
    "negative": re.compile(r"(negative|neg|doc_id_b)(s|_id|_ids|_pid|_pids|_passage|_passages)?(_?\d+)?"),
}
OF_IDS = re.compile(r".*_p?ids?(_?\d+)?")
PASSAGE_IDS = ("docid", "doc_id", "pid", "passage_id", "corpus_id", "id", "_id")


@dataclass(frozen=True)
class TripleFields:
    """Which fields hold the query, the positives and the negatives of an entry, and whether these are ids or texts."""

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    holds: Holds

    @classmethod
    def of(cls, path: Path, place: int, entries: Sequence[Mapping[str, Any]]) -> "TripleFields":
        """Tell the layout of some entries, of which the first is at a place; UserError where a part is missing."""
        names = list(entries[0])
        parts = {side: _fields(names, pattern) for side, pattern in SIDES.items()}
        passages = [entry.get(name) for entry in entries for fields in parts.values() for name in fields]
        holds: Holds = "texts" if any(map(_is_text, passages)) else "ids"
        order = (*QUERY_TEXTS, *QUERY_IDS) if holds == "texts" else (*QUERY_IDS, *QUERY_TEXTS)
        query = next((name for name in order if name in names), None)
        for part, found in (("query", query), *parts.items()):
            if not found:
                expected = f"{part}_id"
                refuse(path, place, f"there is no id of the {part}; expected {expected!r}{nearest(expected, names)}")
        assert query is not None
        return cls(query, parts["positive"], parts["negative"], holds)

    def triples(self, path: Path, place: int, entry: Mapping[str, Any]) -> Iterator[Triple]:
        """Yield the triples of an entry: every positive with every negative; raises UserError for what is neither."""
        for part, fields in (("positive", self.positives), ("negative", self.negatives)):
            if all(entry.get(name) is None for name in fields):
                refuse(path, place, f"there is no id of the {part}; expected {fields[0]!r}{nearest(fields[0], entry)}")
        query = identifier(path, place, entry.get(self.query))
        positives, negatives = (
            list(dict.fromkeys(one for name in fields for one in self._each(path, place, entry.get(name))))
            for fields in (self.positives, self.negatives)
        )
        for positive in positives:
            for negative in negatives:
                yield place, query, positive, negative

    def _each(self, path: Path, place: int, value: Any) -> Iterator[str]:
        """Yield the passages that a field names: one, a list, or (as SBERT mines them) a list for each system."""
        if isinstance(value, list):
            for one in value:
                yield from self._each(path, place, one)
        elif not isinstance(value, dict):
            # Tables leave further negatives empty where a query has fewer.
            if value is not None and value != "":
                yield identifier(path, place, value)
        elif "text" in value and self.holds == "texts":
            title, text = value.get("title") or "", value["text"]
            yield identifier(path, place, f"{title} {text}".strip() if isinstance(text, str) else text)
        elif (name := next((name for name in PASSAGE_IDS if name in value), None)) is not None:
            yield identifier(path, place, value[name])
        else:
            for of_system in value.values():
                if not isinstance(of_system, list):
                    refuse(path, place, f"expected a passage, or a list of them for each system, got {value!r:.40}")
                yield from self._each(path, place, of_system)


def _fields(names: Sequence[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Return the fields of one side: those of ids, where there are any beside those of texts."""
    found = [name for name in names if pattern.fullmatch(name)]
    return tuple([name for name in found if OF_IDS.fullmatch(name)] or found)


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_text, value))
    if isinstance(value, dict):
        # A passage with an id is known by it; the lists of SBERT's systems hold ids or texts.
        if any(name in value for name in PASSAGE_IDS):
            return False
        return any(map(_is_text, value.values()))
    return isinstance(value, str) and looks_like_text(value)
