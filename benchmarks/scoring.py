"""Re-ranking a query set with rankers that encode queries and passages apart: each text once over pair by pair."""

from collections.abc import Iterator
from functools import partial
from unittest.mock import patch

import numpy as np

from benchmarks.harness import Options, Row, Variant, interleave, now
from benchmarks.texts import Integers, drawn_pairs, tokenizer
from benchmarks.workload import student_model
from distilkit.data.side_tokens import SideTokens
from distilkit.evaluation.rerank import score_pairs
from distilkit.models.ranker import SideRanker
from distilkit.training.processes import Processes

STUDENTS = ("bert_dot", "colbert", "tk")
QUERIES, DEPTH, PASSAGES, PASS = 100, 20, 400, 64
LENGTHS = {"query_length": 30, "document_length": 200}
WAYS = {"once": "score_pairs", "pair by pair": "the same without it"}


def encoded_once(options: Options) -> Iterator[Row]:
    """Scoring every query's candidates with each text encoded once over the same pair by pair."""
    queries, depth, counts = (8, 4, (16, 32)) if options.quick else (QUERIES, DEPTH, (PASSAGES, QUERIES * DEPTH))
    rng = np.random.default_rng(1)
    asked = np.repeat(np.arange(queries), depth)
    for count in counts:
        # As many passages as pairs are in one pair each; fewer are shared by queries.
        shuffled = [rng.permutation(count) for _ in range(queries * depth // count)]
        candidates = np.concatenate(shuffled)
        with drawn_pairs(options, count, count) as pairs:
            for name in STUDENTS:
                ranker = student_model(options, architecture=name).eval()
                stores = pairs.tokens.queries, pairs.tokens.passages
                tokens = ranker.options.text_format.tokens(tokenizer(), *stores, LENGTHS)
                runs = {which: partial(_seconds, ranker, tokens, asked, candidates, which == "once") for which in WAYS}
                times = interleave([Variant(which, WAYS[which], run) for which, run in runs.items()], options.rounds)
                note = f"fp32, {queries} queries with {depth} of {count} passages"
                what = f"{name}, a passage in {len(candidates) // count}: each text encoded once over pair by pair"
                yield times.row(what, "once", "pair by pair", note=note)


def _seconds(
    ranker: SideRanker, tokens: SideTokens, queries: Integers, passages: Integers, once: bool, turn: int
) -> float:
    start = now()
    with patch.object(SideRanker, "scores_encoded", once):
        score_pairs(
            ranker,
            tokens,
            queries,
            passages,
            batch_size=PASS,
            precision="fp32",
            processes=Processes(),
            progress=lambda done, total: None,
        )
    return now() - start
