"""Scores in JSON lines, and in Parquet tables of lists: a query with its passages and their scores a row."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from distilkit.data.reading import identifier, json_lines, refuse
from distilkit.data.teacher_scores.blocks import ScoreRow, in_blocks
from distilkit.data.teacher_scores.head import Head, batches, parquet_files

FLAGEMBEDDING = ("query", "pos", "neg", "pos_scores", "neg_scores")
PYLATE = ("query_id", "document_ids", "scores")
TEVATRON = ("positive_passages", "negative_passages")
QUERY_IDS, ORDERS = ("query_id", "qid"), ("ranking", "permutation")
LABELS = ("label", "labels", "score", "scores")


class PlacedValue(NamedTuple):
    """A JSON value, or a row of a table, with its file and place; what is not as expected is refused by these."""

    file: Path
    place: int
    value: Any

    def refuse(self, problem: str) -> NoReturn:
        """Raise UserError with file, place and problem."""
        refuse(self.file, self.place, problem)

    def id(self, value: object) -> str:
        """Return an id (or a text), a string or a whole number, as a string; raises UserError for anything else."""
        return identifier(self.file, self.place, value)

    def number(self, value: object) -> float:
        """Return a number; raises UserError for anything else."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(f"expected the score to be a finite number, got {value!r:.40}")
        return float(value)

    def values(self, key: str) -> list[Any]:
        """Return the list under a key, which some sets on the hub write as a string; UserError where there is none."""
        value = self.value.get(key)
        if isinstance(value, str):
            try:
                value = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                self.refuse(f"expected {key} to be a list, got {value[:40]!r}")
        if not isinstance(value, list | tuple):
            self.refuse(f"expected {key} to be a list, got {value!r:.40}")
        return [*value]

    def scored(self, query: str, passages: str, scores: str) -> Iterator[ScoreRow]:
        """Yield a row for each entry of two lists, passages and their scores."""
        found, values = self.values(passages), self.values(scores)
        if len(found) != len(values):
            keys = f"{passages} and {scores}"
            self.refuse(f"{keys} have {len(found)} and {len(values)} entries; expected as many of each")
        for passage, value in zip(found, values, strict=True):
            yield ScoreRow(self.place, (query, self.id(passage)), self.number(value))

    def scored_objects(
        self, query: str, passages: Iterable[object], what: str, id: str, score: str
    ) -> Iterator[ScoreRow]:
        """Yield a row for each passage that is an object with an id and a score under some keys."""
        for passage in passages:
            if not isinstance(passage, dict) or score not in passage:
                self.refuse(f"expected {what}, got {passage!r:.40}")
            yield ScoreRow(self.place, (query, self.id(passage.get(id))), self.number(passage[score]))


def entries(path: Path, kind: type) -> Iterator[PlacedValue]:
    """Yield the values of JSON lines; raises UserError for one that is not of a kind, `dict` or `list`."""
    for place, value in json_lines(path, "one value a line"):
        if not isinstance(value, kind):
            refuse(path, place, f"expected {'an object' if kind is dict else 'a list'}, got {value!r:.40}")
        yield PlacedValue(path, place, value)


def table_entries(path: Path) -> Iterator[PlacedValue]:
    """Yield the rows of a table in Parquet or of objects in JSON lines."""
    if not parquet_files(path):
        yield from entries(path, dict)
        return
    for file, first, batch in batches(path, [*Head.of(path).columns]):
        for place, row in enumerate(batch.to_pylist(), start=first):
            yield PlacedValue(file, place, row)


def is_colbert(head: Head) -> bool:
    """Return whether the first line is a JSON list."""
    return isinstance(head.value, list)


@in_blocks
def colbert(path: Path) -> Iterator[ScoreRow]:
    """Read ColBERTv2's n-way lists, `[query_id, [passage_id, score], ...]`."""
    for entry in entries(path, list):
        for passage in entry.value[1:]:
            if not isinstance(passage, list) or len(passage) != 2:
                entry.refuse(f"expected [passage_id, score], got {passage!r:.40}")
            yield ScoreRow(entry.place, (entry.id(entry.value[0]), entry.id(passage[0])), entry.number(passage[1]))


def is_flagembedding(head: Head) -> bool:
    """Return whether the first line is an object of FlagEmbedding's training data with scores."""
    return _has_keys(head, FLAGEMBEDDING)


@in_blocks
def flagembedding(path: Path) -> Iterator[ScoreRow]:
    """Read FlagEmbedding's `{query, pos: [], neg: [], pos_scores: [], neg_scores: []}`."""
    for entry in entries(path, dict):
        query = entry.id(entry.value.get("query"))
        for side in ("pos", "neg"):
            yield from entry.scored(query, side, f"{side}_scores")


def is_permutations(head: Head) -> bool:
    """Return whether the first line is an object that says an order of passages, or RankLLM's of its candidates."""
    if _has_keys(head, ("query", "candidates")):
        return isinstance(head.value["query"], dict)
    return any(_has_keys(head, (query, order)) for query in QUERY_IDS for order in ORDERS)


@in_blocks
def permutations(path: Path) -> Iterator[ScoreRow]:
    """Read orders of passages, `{query_id, ranking: []}` or `{query: {qid}, candidates: [{docid}]}`, the best first."""
    for entry in entries(path, dict):
        value = entry.value
        if "candidates" in value:
            query, found = value.get("query"), entry.values("candidates")
            if not isinstance(query, dict) or not all(isinstance(one, dict) for one in found):
                entry.refuse("expected {query: {qid}, candidates: [{docid}, ...]}")
            name, passages = query.get("qid"), [one.get("docid") for one in found]
        else:
            key = next((one for one in ORDERS if one in value), ORDERS[0])
            name = next((value[one] for one in QUERY_IDS if one in value), None)
            passages = entry.values(key)
        query_id = entry.id(name)
        for rank, passage in enumerate(passages, 1):
            yield ScoreRow(entry.place, (query_id, entry.id(passage)), float(-rank))


def is_pylate(head: Head) -> bool:
    """Return whether a table has PyLate's (and sentence-transformers') columns for distillation."""
    return {*PYLATE} <= {*head.columns}


@in_blocks
def pylate(path: Path) -> Iterator[ScoreRow]:
    """Read query_id, document_ids, scores of Parquet or JSON lines; lists and ids may be strings."""
    for entry in table_entries(path):
        yield from entry.scored(entry.id(entry.value.get("query_id")), "document_ids", "scores")


def is_sbert_hard_negatives(head: Head) -> bool:
    """Return whether the first line is an object of SBERT's hard negatives."""
    return _has_keys(head, ("qid", "pos", "neg"))


@in_blocks
def sbert_hard_negatives(path: Path) -> Iterator[ScoreRow]:
    """Read SBERT's `{qid, pos: [{pid, ce-score}], neg: {system: [{pid, ce-score}]}}`."""
    for entry in entries(path, dict):
        query, negatives = entry.id(entry.value.get("qid")), entry.value.get("neg", {})
        if not isinstance(negatives, dict):
            entry.refuse(f"expected neg to be an object, a list for each system, got {negatives!r:.40}")
        for passages in (entry.value.get("pos", []), *negatives.values()):
            if not isinstance(passages, list):
                entry.refuse(f"expected a list of passages, got {passages!r:.40}")
            yield from entry.scored_objects(query, passages, "passages as {pid, ce-score}", "pid", "ce-score")


def is_sentence_transformers(head: Head) -> bool:
    """Return whether a table has one label, and texts in two other columns or more."""
    labels = [name for name in head.columns if name in LABELS]
    texts = [name for name in head.columns if name not in LABELS]
    if len(labels) != 1 or len(texts) < 2 or any(name.endswith(("_id", "_ids")) for name in texts):
        return False
    if head.schema is not None:
        return all(str(head.schema.field(name).type) in ("string", "large_string") for name in texts)
    return all(isinstance(head.value[name], str) for name in texts)


@in_blocks
def sentence_transformers(path: Path) -> Iterator[ScoreRow]:
    """Read the columns that sentence-transformers' losses take: query, positive, negative_1..n and a label.

    Their order is their meaning. The label is one margin, a margin per negative, or a score per passage, under label,
    labels, score or scores.
    """
    for entry in table_entries(path):
        key = next((name for name in LABELS if name in entry.value), None)
        texts = [entry.id(text) for name, text in entry.value.items() if name not in LABELS]
        if key is None or len(texts) < 2:
            entry.refuse(f"expected a query, passages and one of {', '.join(LABELS)}")
        query, *passages = texts
        label = entry.value[key]
        labels = entry.values(key) if isinstance(label, list | tuple | str) else [label]
        values = [entry.number(value) for value in labels]
        if len(values) == len(passages):
            for passage, value in zip(passages, values, strict=True):
                yield ScoreRow(entry.place, (query, passage), value)
        elif len(values) == len(passages) - 1:
            for passage, value in zip(passages[1:], values, strict=True):
                yield ScoreRow(entry.place, (query, passages[0], passage), value)
        else:
            problem = f"{len(values)} labels for {len(passages)} passages"
            entry.refuse(f"{problem}; expected a score or margin each")


def is_tevatron(head: Head) -> bool:
    """Return whether the first line is an object of Tevatron's training data."""
    return _has_keys(head, ("query_id", *TEVATRON))


@in_blocks
def tevatron(path: Path) -> Iterator[ScoreRow]:
    """Read Tevatron's `{query_id, positive_passages: [{docid, score, ...}], negative_passages: [...]}`."""
    for entry in entries(path, dict):
        query = entry.id(entry.value.get("query_id"))
        for side in TEVATRON:
            what = f"{side} as {{docid, title, text, score}}"
            yield from entry.scored_objects(query, entry.values(side), what, "docid", "score")


def _has_keys(head: Head, keys: Sequence[str]) -> bool:
    return isinstance(head.value, dict) and {*keys} <= {*head.value}
