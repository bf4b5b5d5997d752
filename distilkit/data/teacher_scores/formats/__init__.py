"""The formats that teacher scores come in, each with how it is recognised and read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.formats import jsonl, parquet, text
from distilkit.data.teacher_scores.head import Head
from distilkit.errors import UserError
from distilkit.registry import Registry

__all__ = ["FORMATS", "ORDERED", "RANKED", "Format", "sniff"]


@dataclass(frozen=True)
class Format:
    """A way of writing teacher scores.

    Attributes:
        shape: how a file of it looks, for messages
        matches: whether a file that begins so is one
        read: yields a file's rows; raises UserError naming the line of what is wrong
        holds: whether its rows name queries and passages by id or carry their texts
    """

    shape: str
    matches: Callable[[Head], bool]
    read: Callable[[Path], Iterator[Block]]
    holds: Literal["ids", "texts"] = "ids"


FORMATS: Registry[Format] = Registry("score format")

# The first that matches is taken.
for _name, _format in {
    "colbert": Format("JSON lines: [query_id, [passage_id, score], ...]", jsonl.is_colbert, jsonl.colbert),
    "distilkit": Format(
        "distilkit's Parquet: query_id, doc_id, score, a float32 column per teacher",
        parquet.is_distilkit,
        parquet.distilkit,
    ),
    "flagembedding": Format(
        "JSON lines: {query, pos, neg, pos_scores, neg_scores}",
        jsonl.is_flagembedding,
        jsonl.flagembedding,
        holds="texts",
    ),
    "hub_margins": Format(
        "Parquet: query_id, positive_id, negative_id, score (a margin)", parquet.is_margins, parquet.margins
    ),
    "hub_scores": Format("Parquet: a query id, a document id, score", parquet.is_scores, parquet.scores),
    "permutations": Format(
        "JSON lines of an order: {query_id, ranking: [passage ids, the best first]}, or RankLLM's {query, candidates}",
        jsonl.is_permutations,
        jsonl.permutations,
    ),
    "pylate": Format("a table of query_id, document_ids, scores", jsonl.is_pylate, jsonl.pylate),
    "sbert_hard_negatives": Format(
        "JSON lines: {qid, pos: [{pid, ce-score}], neg: {system: [{pid, ce-score}]}}",
        jsonl.is_sbert_hard_negatives,
        jsonl.sbert_hard_negatives,
    ),
    "sentence_transformers": Format(
        "a table of query, positive, negatives and label, labels, score or scores",
        jsonl.is_sentence_transformers,
        jsonl.sentence_transformers,
        holds="texts",
    ),
    "tevatron": Format(
        "JSON lines: {query_id, query, positive_passages: [{docid, score, ...}], negative_passages: [...]}",
        jsonl.is_tevatron,
        jsonl.tevatron,
    ),
    "trec": Format("a TREC run: query_id Q0 doc_id rank score tag", text.is_trec, text.trec),
    "trec_ranks": Format("the ranks of a TREC run", lambda head: False, text.trec_ranks),
    "tsv_ids": Format(
        "five tabbed columns: pos_score neg_score query_id pos_passage_id neg_passage_id",
        text.is_five_ids,
        text.five_columns,
    ),
    "tsv_texts": Format(
        "five tabbed columns: pos_score neg_score query pos_text neg_text",
        text.is_five_texts,
        text.five_columns,
        holds="texts",
    ),
    "tsv_passages": Format(
        "seven tabbed columns: pos_score pos_passage_scores neg_score neg_passage_scores query pos_text neg_text",
        text.is_seven_columns,
        text.seven_columns,
        holds="texts",
    ),
}.items():
    FORMATS.register(_name)(_format)

# Formats whose scores say an order alone, and which format reads the ranks of another.
ORDERED = ("permutations", "trec_ranks")
RANKED = {"trec": "trec_ranks"}


def sniff(path: Path) -> str:
    """Return the name of a file's format; raises UserError where it looks like none."""
    head = Head.of(path)
    found = next((name for name in FORMATS if FORMATS[name].matches(head)), None)
    if found is None:
        shapes = "; ".join(f"{name}: {FORMATS[name].shape}" for name in FORMATS if name not in RANKED.values())
        raise UserError(f"{path}: looks like no format of teacher scores; known: {shapes}")
    return found
