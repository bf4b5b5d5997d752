"""Training a BERT_DOT with Margin-MSE: the product's trainer over SentenceTransformerTrainer."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.harness import Goal, Options, Row, Variant, interleave
from benchmarks.peers import save_for_peers, steps
from benchmarks.texts import Pairs, make_pairs, tokenizer
from benchmarks.workload import Session, objective_of, pair_set, stage_of, student_model
from distilkit.data.side_tokens import SideTokens
from distilkit.training.precision import Precision

BATCH, EXAMPLES, THEIR_STEPS = 16, 3200, 4
LENGTH = 256
GOALS: dict[Precision, Goal] = {"bf16": Goal(at_least=2.0), "fp32": Goal(at_least=2.0)}


def run(options: Options) -> Iterator[Row]:
    """The same encoder, triples and batch size in both."""
    size, count = (8, 160) if options.quick else (BATCH, EXAMPLES)
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)
        student = student_model(options, architecture="bert_dot")
        saved = save_for_peers(student, Path(folder) / "student")
        stores = pairs.tokens.queries, pairs.tokens.passages
        tokens = SideTokens.of(tokenizer(), *stores, student.options.text_format, document_length=LENGTH)
        setting = "MarginMSELoss, CLS pooling, dot product, defaults"
        variants = [Variant("ST fp32", setting, partial(_theirs, saved, pairs, size), "default")]
        stage, examples = stage_of("margin_mse", size), pair_set(pairs, ways=2, cached=True)
        for precision in GOALS:
            objective = objective_of(stage, student_model(options, architecture="bert_dot"), None)
            session = Session(stage, objective, examples, tokens, precision, shared_query=True)
            run = partial(session.seconds_per_token, THEIR_STEPS)
            variants.append(Variant(precision, f"the trainer in {precision}, cached scores", run))
        times = interleave(variants, options.rounds)
    for precision, goal in GOALS.items():
        note = f"L3_H384, {size} triples a step; {setting}"
        yield times.row(
            f"DOT Margin-MSE, {precision} over SentenceTransformerTrainer fp32", precision, "ST fp32", goal, note
        )


def _theirs(folder: Path, pairs: Pairs, size: int, turn: int) -> float:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    rows = np.random.default_rng(turn + 1).choice(len(pairs.queries) // 2, (THEIR_STEPS + 1) * size, replace=False) * 2
    columns = {
        "query": [pairs.queries[row] for row in rows],
        "positive": [pairs.passages[row] for row in rows],
        "negative": [pairs.passages[row + 1] for row in rows],
        "label": np.zeros(len(rows)).tolist(),
    }
    encoder = Transformer(str(folder), max_seq_length=LENGTH)
    model = SentenceTransformer(modules=[encoder, Pooling(encoder.get_embedding_dimension(), "cls")], device="cpu")
    options = {"per_device_train_batch_size": size}
    arguments = SentenceTransformerTrainingArguments
    return steps(SentenceTransformerTrainer, arguments, model, MarginMSELoss(model), columns, **options)
