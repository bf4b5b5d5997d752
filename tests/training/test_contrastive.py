"""contrastive: InfoNCE in float64, over a batch that is cut into micro-batches and processes, with dropout."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_grouped_sides import TOKENS
from tiny_training import random_lists, stage_of, tiny_bert, trainer_of

from distilkit.data.examples import Lists
from distilkit.losses import info_nce
from distilkit.models.colbert import ColBert, ColBertOptions
from distilkit.models.dot import BertDot, DotOptions
from distilkit.models.encoded import Encoded
from distilkit.progress import OneProcess
from distilkit.training.in_batch import EncodedLists, random_state, set_random_state, shares_of, targets_of
from distilkit.training.objective import Objective
from distilkit.training.step_loader import StepLoader, TrainingSet

STRATEGY = "contrastive(temperature=0.5)"
BATCH = 8


def student(kind: str, dropout: float = 0.0) -> Any:
    encoder = tiny_bert(2, 8, 5, dropout).encoder
    if kind == "bert_dot":
        return BertDot(encoder, DotOptions(scale=2.0)).double().train()
    return ColBert(encoder, ColBertOptions("papers", dim=4)).double().train()


def test_the_loss_in_float64() -> None:
    scores, positives = [[1.0, -0.5, 0.25], [0.3, 2.0, 1.5]], [0, 1]
    excluded = [[False, False, True], [False, False, False]]
    expected = 0.0
    for row, positive, gone in zip(scores, positives, excluded, strict=True):
        powers = [0.0 if out else math.exp(score / 0.5) for score, out in zip(row, gone, strict=True)]
        expected -= math.log(powers[positive] / math.fsum(powers)) / 2
    found = info_nce(torch.tensor(scores, dtype=torch.float64), torch.tensor(positives), torch.tensor(excluded), 0.5)
    assert abs(found.item() - expected) < 1e-10


def test_positives_of_one_query_are_no_negatives_of_each_other() -> None:
    # Query 7 has the positives 1 and 2; of query 8 passage 1 is a negative like any other.
    positives, excluded = targets_of(torch.tensor([[7, 1, 5], [7, 2, 1], [8, 3, 1]]))
    assert positives.tolist() == [0, 2, 4]
    assert excluded.int().tolist() == [[0, 0, 1, 1, 0, 1], [1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]]


class OneOfTwo(OneProcess):
    """A process beside another one, whose vectors are known."""

    count = 2

    def __init__(self, rank: int, all_lists: list[EncodedLists]) -> None:
        self.rank, self.all_lists = rank, all_lists

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def gather(self, values: list[Any]) -> list[Any]:
        return [len(one) for one in self.all_lists] if isinstance(values[0], int) else self.all_lists


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


def by_hand(model: Any, loader: StepLoader) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss of the whole batch and its gradients, from one graph."""
    objective = Objective(loader.stage, model, None, None, None)
    parts = [objective.encoded_lists(one, loader.examples.ways) for one in loader(0).micro_batches]
    whole = EncodedLists.joined(parts)
    positives, excluded = targets_of(whole.rows)
    scores = model.score_all(whole.queries, whole.passages) * getattr(model.options, "scale", 1.0)
    loss = info_nce(scores, positives, excluded, 0.5)
    loss.backward()
    return loss.item(), gradients(model)


def loader_of(size: int) -> StepLoader:
    stage = stage_of(STRATEGY, per_device_train_batch_size=size, gradient_accumulation_steps=BATCH // size)
    return StepLoader(stage, TrainingSet.of_lists(random_lists(BATCH), "lists"), TOKENS, None)


@pytest.mark.parametrize("kind", ["bert_dot", "colbert"])
@pytest.mark.parametrize("processes", [1, 2])
def test_cutting_the_batch_changes_neither_loss_nor_gradient(kind: str, processes: int) -> None:
    loader, model = loader_of(2), student(kind)
    objective, batch, ways = Objective(loader.stage, model, None, None, None), loader(0), loader.examples.ways
    with torch.no_grad():
        parts = [objective.encoded_lists(one, ways) for one in batch.micro_batches]
    assert len(parts) == 4
    groups: list[Any] = [OneProcess()]
    owned = [parts]
    if processes == 2:
        owned = [parts[:1], parts[1:]]
        groups = [OneOfTwo(rank, [EncodedLists.joined(own) for own in owned]) for rank in range(2)]
    shares = [
        share
        for group, own in zip(groups, owned, strict=True)
        for share in shares_of(model, loader.stage, own, batch.counts, group)
    ]
    total = 0.0
    for micro_batch, share in zip(batch.micro_batches, shares, strict=True):
        losses = objective(micro_batch, ways, batch.counts, share)
        losses["loss"].backward()
        total += losses["contrastive"].item()
    found = {name: one.clone() for name, one in gradients(model).items()}
    model.zero_grad()
    expected, wanted = by_hand(model, loader_of(BATCH))
    assert abs(total - expected) < 1e-10
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


def test_a_process_without_an_example_takes_part() -> None:
    assert shares_of(student("bert_dot"), stage_of(STRATEGY), [], loader_of(2)(0).counts, OneProcess()) == []


def test_dropout_is_the_same_in_both_passes() -> None:
    loader, model = loader_of(2), student("bert_dot", dropout=0.5)
    objective, (first, *_) = Objective(loader.stage, model, None, None, None), loader(0).micro_batches
    device = torch.device("cpu")
    state = random_state(device)
    one, other = (objective.encoded_lists(first, loader.examples.ways).passages.states for _ in range(2))
    assert not torch.equal(one, other)
    set_random_state(state, device)
    assert torch.equal(objective.encoded_lists(first, loader.examples.ways).passages.states, one)


@pytest.mark.parametrize("size", [8, 2])
def test_it_is_trained(size: int, tmp_path: Path) -> None:
    stage = stage_of(STRATEGY, per_device_train_batch_size=size, gradient_accumulation_steps=8 // size, max_steps=6)
    stage = stage_of(STRATEGY, **{**vars(stage.train), "learning_rate": 1e-2, "lr_scheduler_type": "constant"})
    model = BertDot(tiny_bert(2, 8, 5).encoder, DotOptions()).train()
    trainer = trainer_of(stage, tmp_path, Objective(stage, model, None, None, None))
    trainer.tokens = TOKENS
    trainer.__post_init__()
    trainer.train()
    losses = [values["contrastive"] for values in trainer.reporter.of("train").values()]  # type: ignore[attr-defined]
    assert losses[-1] < losses[0]
    # 8 lists of 3: a random choice among the batch's 24 passages costs ln 24, among a list's three ln 3.
    assert losses[0] > math.log(3)


def test_lists_are_in_their_own_order() -> None:
    """Whatever order texts are encoded in, a list's passages are its own."""
    lists = Lists(np.array([3, 1]), np.array([[5, 9, 2], [7, 0, 4]]))
    stage = stage_of(STRATEGY)
    loader = StepLoader(stage, TrainingSet.of_lists(lists, "lists"), TOKENS, None)
    model = student("bert_dot").eval()
    found = Objective(stage, model, None, None, None).encoded_lists(loader(0).micro_batches[0], 3)
    for row in found.rows.tolist():
        assert row in [[3, 5, 9, 2], [1, 7, 0, 4]]
    scores = model.score_encoded(Encoded(found.queries.states.repeat_interleave(3, 0)), found.passages)
    queries, passages = found.rows[:, :1].expand(-1, 3).reshape(-1), found.rows[:, 1:].reshape(-1)
    from distilkit.models.batch import batch_of

    with torch.no_grad():
        expected = model.score(batch_of(TOKENS.batch(queries.numpy(), passages.numpy())))
    torch.testing.assert_close(scores, expected)
