"""The product's trainer and scoring over sentence-transformers': cross-encoders, bi-encoders and re-ranking."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from transformers import TrainerCallback
from transformers.utils import logging

from benchmarks.harness import Goal, Options, Row, Variant, interleave, now
from benchmarks.texts import Pairs, drawn_pairs, tokenizer
from benchmarks.workload import SCORES, last_stage, session, student_model
from distilkit.data.side_tokens import SideTokens
from distilkit.evaluation.rerank import score_pairs
from distilkit.models.cat import BertCat
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes

LENGTH = 256
# Pairs or triples a step of training, steps of theirs a round; passages and pairs a pass of re-ranking.
BATCH, CROSS_STEPS, PAIR_STEPS = 16, 5, 4
DEPTH, PASS = 1000, 64
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
# The trainers' own options beside their defaults.
QUIET: Mapping[str, Any] = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}


def cross_encoder(options: Options) -> Iterator[Row]:
    """Training a BERT_CAT on cached teacher scores over CrossEncoderTrainer: the same model, data and batch size."""
    size = 8 if options.quick else BATCH
    with TemporaryDirectory() as folder, drawn_pairs(options) as pairs:
        saved = save_for_peers(student_model(options), Path(folder) / "student")
        theirs = partial(_cross_encoder_steps, saved, pairs, size)
        variants = [
            Variant("ST fp32", "MSELoss, identity, defaults", partial(theirs, {}, {}), "default"),
            Variant(
                "ST bf16",
                "MSELoss, identity, bf16=True, attn_implementation=eager",
                partial(theirs, {"bf16": True}, {"attn_implementation": "eager"}),
                "default",
            ),
        ]
        for precision in PRECISIONS:
            one = session(options, last_stage(SCORES, size), pairs, cached=True, precision=precision)
            run = partial(one.seconds_per_token, CROSS_STEPS)
            variants.append(Variant(precision, f"the trainer in {precision}, cached scores", run))
        times = interleave(variants, options.rounds)
    for ours in reversed(PRECISIONS):
        for peer, goal in (("fp32", 3.5), ("bf16", 2.4)):
            name = f"ST {peer}"
            note = f"L3_H384, batches of {size}; CrossEncoderTrainer: {times.variants[name].setting}"
            yield times.row(f"CAT training, {ours} over CrossEncoderTrainer {peer}", ours, name, Goal(goal), note)


def bi_encoder(options: Options) -> Iterator[Row]:
    """Training a BERT_DOT with Margin-MSE over SentenceTransformerTrainer: the same encoder, triples and batch size."""
    size = 8 if options.quick else BATCH
    with TemporaryDirectory() as folder, drawn_pairs(options, 3200, quick=160) as pairs:
        student = student_model(options, architecture="bert_dot")
        saved = save_for_peers(student, Path(folder) / "student")
        stores = pairs.tokens.queries, pairs.tokens.passages
        tokens = SideTokens.of(tokenizer(), *stores, student.options.text_format, document_length=LENGTH)
        setting = "MarginMSELoss, CLS pooling, dot product, defaults"
        variants = [Variant("ST fp32", setting, partial(_bi_encoder_steps, saved, pairs, size), "default")]
        for precision in PRECISIONS:
            one = session(
                options,
                last_stage("margin_mse", size),
                pairs,
                cached=True,
                ways=2,
                architecture="bert_dot",
                tokens=tokens,
                precision=precision,
            )
            run = partial(one.seconds_per_token, PAIR_STEPS)
            variants.append(Variant(precision, f"the trainer in {precision}, cached scores", run))
        times = interleave(variants, options.rounds)
    for precision in reversed(PRECISIONS):
        note = f"L3_H384, {size} triples a step; {setting}"
        what = f"DOT Margin-MSE, {precision} over SentenceTransformerTrainer fp32"
        yield times.row(what, precision, "ST fp32", Goal(at_least=2.0), note)


def reranking(options: Options) -> Iterator[Row]:
    """Scoring one query's 1,000 passages over CrossEncoder.predict: ours reads stored tokens, theirs texts."""
    with TemporaryDirectory() as folder, drawn_pairs(options, DEPTH, quick=60) as pairs:
        count = len(pairs.passages)
        student = student_model(options).eval()
        saved = save_for_peers(student, Path(folder) / "student")
        plain, half = (_their_cross_encoder(saved, given) for given in ({}, {"dtype": torch.bfloat16}))
        variants = [
            Variant("ST default", "batch_size=32, fp32", partial(_theirs, plain, pairs), "default"),
            Variant("ST bf16", "batch_size=32, dtype=bfloat16", partial(_theirs, half, pairs), "default"),
            Variant("fp32", f"batches of {PASS}, fp32, stored tokens", partial(_ours, student, pairs, "fp32")),
            Variant("bf16", f"batches of {PASS}, bf16, stored tokens", partial(_ours, student, pairs, "bf16")),
            Variant("fp32 with texts", "the same, tokenising first", partial(_with_texts, student, pairs)),
        ]
        times = interleave(variants, options.rounds)
    for ours in reversed(PRECISIONS):
        for theirs, goal in (("ST default", 3.5), ("ST bf16", 1.3)):
            note = f"L3_H384; {times.variants[ours].setting}; predict: {times.variants[theirs].setting}"
            what = f"re-ranking {count} passages, {ours} over CrossEncoder.predict {theirs.removeprefix('ST ')}"
            yield times.row(what, ours, theirs, Goal(goal), note)
    what = f"re-ranking {count} passages, fp32 with tokenising over CrossEncoder.predict default"
    yield times.row(what, "fp32 with texts", "ST default")


def save_for_peers(student: Any, folder: Path) -> Path:
    """Write a student as a transformers model with its tokenizer."""
    model = student.model if isinstance(student, BertCat) else student.encoder
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


disable_progress_bars()
logging.disable_progress_bar()
logging.set_verbosity_error()


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ended, and how many tokens that are not padding it read."""

    def __init__(self, embeddings: torch.nn.Embedding) -> None:
        self.ends: list[float] = []
        self.tokens: list[int] = []
        self._read = 0
        self._handle = embeddings.register_forward_pre_hook(self._count)

    def _count(self, embeddings: Any, args: tuple[torch.Tensor, ...]) -> None:
        self._read += int((args[0] != embeddings.padding_idx).sum())

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Close a step."""
        self.ends.append(now())
        self.tokens.append(self._read)
        self._read = 0

    def seconds_per_token(self) -> float:
        """Return what the steps after the first took, data loading included."""
        self._handle.remove()
        return (self.ends[-1] - self.ends[0]) / sum(self.tokens[1:])


def steps(
    trainer: type[Any], arguments: type[Any], model: Any, loss: Any, columns: Mapping[str, list[Any]], **options: Any
) -> float:
    """Train for as many steps as the columns give, and return the seconds per token after the first."""
    clock = Clock(model.transformers_model.get_input_embeddings())
    with TemporaryDirectory() as folder:
        given = arguments(output_dir=folder, num_train_epochs=1, use_cpu=True, learning_rate=1e-5, **QUIET, **options)
        trainer(
            model=model, args=given, train_dataset=Dataset.from_dict(dict(columns)), loss=loss, callbacks=[clock]
        ).train()
    return clock.seconds_per_token()


def _cross_encoder_steps(
    folder: Path, pairs: Pairs, size: int, trained: dict[str, bool], model: dict[str, str], turn: int
) -> float:
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import MSELoss

    rows = np.random.default_rng(turn + 1).choice(len(pairs.queries), (CROSS_STEPS + 1) * size, replace=False)
    columns = {
        "query": [pairs.queries[row] for row in rows],
        "passage": [pairs.passages[row] for row in rows],
        "label": np.zeros(len(rows)).tolist(),
    }
    found = _their_cross_encoder(folder, model)
    options = {"per_device_train_batch_size": size, **trained}
    return steps(CrossEncoderTrainer, CrossEncoderTrainingArguments, found, MSELoss(found), columns, **options)


def _bi_encoder_steps(folder: Path, pairs: Pairs, size: int, turn: int) -> float:
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    rows = np.random.default_rng(turn + 1).choice(len(pairs.queries) // 2, (PAIR_STEPS + 1) * size, replace=False) * 2
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


def _their_cross_encoder(folder: Path, model: dict[str, Any]) -> Any:
    from sentence_transformers.cross_encoder import CrossEncoder

    raw = torch.nn.Identity()
    return CrossEncoder(
        str(folder), num_labels=1, max_length=LENGTH, activation_fn=raw, device="cpu", model_kwargs=model
    )


def _theirs(peer: Any, pairs: Pairs, turn: int) -> float:
    start = now()
    peer.predict([(pairs.queries[0], passage) for passage in pairs.passages], show_progress_bar=False)
    return (now() - start) / len(pairs.passages)


def _ours(student: Any, pairs: Pairs, precision: Precision, turn: int) -> float:
    count, start = len(pairs.passages), now()
    score_pairs(
        student,
        pairs.tokens,
        np.zeros(count, np.int64),
        np.arange(count),
        batch_size=PASS,
        precision=precision,
        processes=Processes(),
        progress=lambda done, total: None,
    )
    return (now() - start) / count


def _with_texts(student: Any, pairs: Pairs, turn: int) -> float:
    start = now()
    tokenizer()(pairs.passages, add_special_tokens=False)
    return (now() - start) / len(pairs.passages) + _ours(student, pairs, "fp32", turn)
