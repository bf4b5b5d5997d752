"""Rankers that read query and passage apart: queries encoded once a step, passages in groups of like length."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_training import MAX_LENGTH, PASSAGES, QUERIES, random_lists, random_store, stage_of, tiny_bert, trainer_of

from distilkit.data.side_tokens import Side, SideTokens
from distilkit.models.batch import GroupedSides
from distilkit.models.dot import BertDot, DotOptions
from distilkit.training.objective import Objective
from distilkit.training.step_loader import StepLoader, TrainingSet

TOKENS = SideTokens(
    *(
        Side(random_store(texts, longest, seed), (2,), (3,), MAX_LENGTH, 0, types=True)
        for texts, longest, seed in ((QUERIES, 8, 1), (PASSAGES, 30, 2))
    )
)


def dot() -> BertDot:
    return BertDot(tiny_bert(2, 8, 5).encoder, DotOptions()).train()


def examples(cached: bool) -> TrainingSet:
    given = TrainingSet.of_lists(random_lists(), "triples")
    targets = np.random.default_rng(0).normal(size=given.passages.shape).astype(np.float32)
    return TrainingSet(given.queries, given.passages, given.labels, targets if cached else None)


def losses_and_gradients(loader: StepLoader) -> tuple[dict[str, Any], dict[str, Any]]:
    objective = Objective(loader.stage, dot(), None, None, None)
    batch = loader(0)
    assert len(batch.micro_batches) == 1
    losses = objective(batch.micro_batches[0], loader.examples.ways, batch.counts)
    losses["loss"].backward()
    gradients = {name: one.grad for name, one in objective.named_parameters() if one.grad is not None}
    return {name: value.detach() for name, value in losses.items()}, gradients


def test_losses_and_gradients_are_those_of_one_batch() -> None:
    for strategy, cached in (("margin_mse", True), ("fine_tune(cross_entropy=0, listwise=1.0)", False)):
        stage = stage_of(strategy)
        # A budget in tokens takes all pairs at once, each with its query.
        grouped, whole = (StepLoader(stage, examples(cached), TOKENS, None, token_budget=one) for one in (0, 10**6))
        (batch,) = grouped(0).micro_batches[0]
        assert isinstance(batch.tokens, GroupedSides)
        assert len(batch.tokens.documents) > 1
        assert len(batch.tokens.query) == len(set(grouped.examples.queries[grouped._examples_of(0)].ravel().tolist()))
        (plain,) = whole(0).micro_batches[0]
        assert not isinstance(plain.tokens, GroupedSides)
        found, expected = losses_and_gradients(grouped), losses_and_gradients(whole)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_hardly_any_passage_is_padded() -> None:
    loader = StepLoader(stage_of("margin_mse"), examples(True), TOKENS, None)
    (batch,) = loader(0).micro_batches[0]
    masks = [documents.attention_mask for documents in batch.tokens.documents]
    real, padded = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
    (whole,) = StepLoader(stage_of("margin_mse"), examples(True), TOKENS, None, token_budget=10**6)(0).micro_batches[0]
    assert real == int(whole.tokens.document.attention_mask.sum())
    assert padded - real < 0.6 * (whole.tokens.document.attention_mask.numel() - real)


def test_a_teacher_in_the_steps_reads_pairs_of_like_length() -> None:
    """Its tokens come batch by batch, so the student's do too."""
    loader = StepLoader(stage_of("margin_mse"), examples(False), TOKENS, TOKENS)
    for batch in loader(0).micro_batches[0]:
        assert not isinstance(batch.tokens, GroupedSides)
        assert batch.teacher_tokens is not None
        assert len(batch.teacher_tokens) == len(batch.tokens)


def test_a_run_trains_on_groups(tmp_path: Path) -> None:
    stage = stage_of("margin_mse", max_steps=3)
    trainer = trainer_of(stage, tmp_path, Objective(stage, dot(), None, None, None))
    trainer.loader.tokens, trainer.loader.examples = TOKENS, examples(True)
    before = trainer.objective.student.encoder.embeddings.word_embeddings.weight.detach().clone()
    trainer.train()
    assert trainer.state.step == 3
    assert not torch.equal(before, trainer.objective.student.encoder.embeddings.word_embeddings.weight)
