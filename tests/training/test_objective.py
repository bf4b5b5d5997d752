"""A stage's losses: golden numbers of the released code, and the same value and gradient however a batch is cut up."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from filled_models import fill, filled_bert
from tiny_training import FINE_TUNE, SIMPLIFIED, WAYS, objective_of, random_lists, random_tokens, stage_of
from torch import Tensor

from distilkit.data.batches import length_buckets
from distilkit.losses import (
    attention_mse,
    embedding_mse,
    hard_cross_entropy,
    hidden_mse,
    list_cross_entropy,
    soft_cross_entropy,
)
from distilkit.models.batch import TokenBatch
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.projection import Projections
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import Objective, _order
from distilkit.training.step_loader import LengthBucket, TrainingSet

IDS = [[2, 5, 9, 3, 7, 11, 3, 0, 0, 0], [2, 6, 3, 8, 12, 13, 14, 3, 0, 0]]
TYPES = [[0, 0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]
MASK = [[1] * 7 + [0] * 3, [1] * 8 + [0] * 2]
GOLDEN = {
    "released_code": {
        "attention": 123.2712101030274 + 12.867177022526239,
        "embedding": 8.958041964603845,
        "hidden": 3.3402411860873187 + 3.7252146764361056,
        "soft": 0.32796419098765706,
        "hard": 0.7081443575458426,
        "loss": 153.1979935012144,
    },
    "paper": {
        "attention": 162.09313052471478 + 17.936598051272757,
        "embedding": 8.446445634645313,
        "hidden": 3.545783951034337 + 3.7316339005832493,
    },
}
STUDENT_PLAIN = [[-0.9060451377752246, 0.5541409960980348], [-0.906204120113433, 0.5543678112656805]]
TEACHER_PLAIN = [[4.378715048580349, 5.453796731738877], [4.377132699570231, 5.451967756785981]]


def golden_losses(variant: str) -> dict[str, float]:
    """Return the losses of Simplified TinyBERT on the golden models and batch."""
    stage = stage_of(f'simplified_tinybert(variant="{variant}")')
    projections = Projections(8, 16, 3).double()
    fill(projections)
    objective = Objective(stage, filled_bert(2, 8), filled_bert(4, 16), projections, uniform_layer_map(4, 2)).eval()
    tokens = TokenBatch(torch.tensor(IDS), torch.tensor(MASK), torch.tensor(TYPES))
    batch = LengthBucket(tokens, torch.tensor([1, 0]), torch.arange(2))
    return {name: value.item() for name, value in objective([batch], 1, Counts(2, 2, 15, 7**2 + 8**2)).items()}


@pytest.mark.parametrize("variant", GOLDEN)
def test_golden_terms(variant: str) -> None:
    losses = golden_losses(variant)
    for name, expected in GOLDEN[variant].items():
        assert losses[name] == pytest.approx(expected, rel=0, abs=1e-10), name
    assert losses.keys() == GOLDEN["released_code"].keys()


def test_golden_predictions_of_the_paper_come_from_the_plain_head() -> None:
    losses, soft, hard = golden_losses("paper"), 0.0, 0.0
    for student, teacher, label in zip(STUDENT_PLAIN, TEACHER_PLAIN, [1, 0], strict=True):
        log_student = [value - math.log(sum(map(math.exp, student))) for value in student]
        p_teacher = [math.exp(value) / sum(map(math.exp, teacher)) for value in teacher]
        soft -= sum(p * log for p, log in zip(p_teacher, log_student, strict=True)) / 2
        hard -= log_student[label] / 2
    assert losses["soft"] == pytest.approx(soft, rel=0, abs=1e-10)
    assert losses["hard"] == pytest.approx(hard, rel=0, abs=1e-10)
    assert losses["loss"] == pytest.approx(sum(value for name, value in losses.items() if name != "loss"), abs=1e-10)


TOKENS, LISTS = random_tokens(), random_lists(8)
Parts = list[list[np.ndarray]]


def examples(strategy: str) -> TrainingSet:
    return TrainingSet.of_lists(LISTS, stage_of(strategy).examples)


def cut(strategy: str, name: str) -> Parts:
    """Return a batch as accumulation steps, each a list of micro-batches, each the rows of its examples' pairs."""
    found = examples(strategy)
    ways = found.queries.shape[1]
    rows = np.arange(found.queries.size).reshape(-1, ways)
    lengths = TOKENS.lengths(found.queries.ravel(), found.passages.ravel())
    match name:
        case "one padded batch":
            return [[rows.ravel()]]
        case "sorted by length":
            return [length_buckets(lengths, pass_cost=1)]
        case "accumulated":
            return [[part.ravel()] for part in np.array_split(rows, 4)]
        case "both":
            parts = [part.ravel() for part in np.array_split(rows, 2)]
            return [[part[group] for group in length_buckets(lengths[part], 1)] for part in parts]
    raise ValueError(name)


def losses_and_gradients(strategy: str, parts: Parts, labels: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    objective = objective_of(stage_of(strategy), labels=labels).double()
    for teacher in objective._teacher:
        teacher.double()
    found = examples(strategy)
    queries, passages, relevant = found.queries.ravel(), found.passages.ravel(), found.labels.ravel()
    lengths = TOKENS.lengths(queries, passages)
    counts = Counts(len(lengths), len(found), int(lengths.sum()), int((lengths**2).sum()))
    sums: dict[str, Tensor] = {}
    for part in parts:
        first = min(int(group.min()) for group in part)
        batches = []
        for group in part:
            columns = {
                name: torch.from_numpy(value) for name, value in TOKENS.batch(queries[group], passages[group]).items()
            }
            places = torch.from_numpy(group - first)
            batches.append(LengthBucket(TokenBatch(**columns), torch.from_numpy(relevant[group]), places))
        losses = objective(batches, found.queries.shape[1], counts)
        losses["loss"].backward()
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros(())) + value.detach()
    return sums, {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
@pytest.mark.parametrize("name", ["sorted by length", "accumulated", "both"])
def test_a_batch_may_be_cut_up(strategy: str, name: str, labels: int) -> None:
    parts = cut(strategy, name)
    assert sum(len(part) for part in parts) > 1
    whole = losses_and_gradients(strategy, cut(strategy, "one padded batch"), labels)
    torch.testing.assert_close(losses_and_gradients(strategy, parts, labels), whole, rtol=1e-10, atol=1e-12)


FIGURES = ("positive_score", "negative_score", "margin", "pairwise_accuracy")


def test_lists_tell_how_scores_are_ordered() -> None:
    losses, _ = losses_and_gradients(FINE_TUNE, cut(FINE_TUNE, "both"), 1)
    tokens, _ = whole_batch(examples(FINE_TUNE))
    with torch.no_grad():
        scores = objective_of(stage_of(FINE_TUNE)).double().student.score(tokens).view(-1, WAYS)
    expected = {
        "positive_score": scores[:, 0].mean(),
        "negative_score": scores[:, 1:].mean(),
        "margin": (scores[:, :1] - scores[:, 1:]).mean(),
        "pairwise_accuracy": (scores[:, :1] > scores[:, 1:]).double().mean(),
    }
    for name in FIGURES:
        assert losses[name].item() == pytest.approx(expected[name].item(), abs=1e-9), name


def test_a_tie_is_not_in_the_right_order() -> None:
    found = _order(torch.tensor([[1.0, 1.0, 0.0, 2.0], [3.0, 3.0, 3.0, 3.0]]), 2)
    assert found["pairwise_accuracy"].item() == pytest.approx(1 / 6)


def whole_batch(found: TrainingSet) -> tuple[TokenBatch, Tensor]:
    columns = TOKENS.batch(found.queries.ravel(), found.passages.ravel())
    tokens = TokenBatch(**{name: torch.from_numpy(value) for name, value in columns.items()})
    return tokens, torch.from_numpy(found.labels.ravel())


def by_hand(strategy: str) -> Callable[[], tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Return the losses of one padded batch from the loss functions alone, and their gradients."""

    def compute() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        stage = stage_of(strategy)
        objective = objective_of(stage).double()
        tokens, labels = whole_batch(examples(strategy))
        mask = tokens.attention_mask
        own = objective.student.forward_internals(tokens, (0, 1), (0, 1, 2))
        classes = torch.cat([torch.zeros_like(own.logits), own.logits], dim=1)
        if strategy == FINE_TUNE:
            listed = list_cross_entropy(own.logits.view(-1, WAYS))
            terms = {"hard": hard_cross_entropy(classes, labels), "list": listed}
            loss = 0.5 * terms["hard"] + 2.0 * terms["list"]
        else:
            teacher = objective._teacher[0].double()
            theirs = teacher.forward_internals(tokens, (1, 3), (0, 2, 4))
            states = [objective.projections.fit_dense(state) for state in own.states]
            targets = torch.cat([torch.zeros_like(theirs.logits), theirs.logits], dim=1)
            terms = {
                "attention": attention_mse(own.attentions, theirs.attentions, mask),
                "hidden": hidden_mse(states[1:], theirs.states[1:], mask),
                "embedding": embedding_mse(states[0], theirs.states[0], mask),
                "soft": soft_cross_entropy(classes, targets, temperature=2.0),
                "hard": hard_cross_entropy(classes, labels),
            }
            weights = {"attention": 0.3, "hidden": 1.5, "embedding": 0.7, "soft": 2.0, "hard": 0.5}
            loss = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
        loss.backward()
        values = {name: value.detach() for name, value in {"loss": loss, **terms}.items()}
        return values, {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}

    return compute


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
def test_losses_and_gradients_are_those_of_the_loss_functions(strategy: str) -> None:
    losses, gradients = losses_and_gradients(strategy, cut(strategy, "both"), 1)
    found = {name: value for name, value in losses.items() if name not in FIGURES}, gradients
    torch.testing.assert_close(found, by_hand(strategy)(), rtol=1e-10, atol=1e-12)


def test_the_teacher_is_neither_trained_nor_saved() -> None:
    objective = objective_of(stage_of(SIMPLIFIED))
    teacher = {id(parameter) for parameter in objective._teacher[0].parameters()}
    assert not teacher & {id(parameter) for parameter in objective.parameters()}
    objective.train()
    assert not objective._teacher[0].training


def test_a_teacher_that_is_missing_is_named() -> None:
    objective = objective_of(stage_of(SIMPLIFIED))
    alone = Objective(objective.stage, objective.student, None, None, None)
    tokens, labels = whole_batch(examples(SIMPLIFIED))
    with pytest.raises(ValueError, match="the loss 'attention' needs a teacher"):
        alone([LengthBucket(tokens, labels, torch.arange(len(labels)))], 1, Counts(1, 1, 1, 1))
