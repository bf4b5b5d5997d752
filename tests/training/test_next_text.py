"""The loss of pairs of consecutive texts: as written down by hand, and the same however a batch is cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_processes import end_well, together
from safetensors.torch import load_file, save_file
from tiny_training import MAX_LENGTH, TEMPLATE, Recorder, objective_of, random_store, trainer_of, weights_of
from torch import Tensor

from distilkit.data.batches import length_buckets
from distilkit.data.plain_text import TextTokens
from distilkit.data.plain_text.pairs import TextPairs
from distilkit.settings import TrainSettings
from distilkit.strategies import Stage, parse_strategy
from distilkit.training import step_loader
from distilkit.training.objective import Objective
from distilkit.training.step_loader import StepLoader, TrainingSet
from distilkit.training.trainer import Trainer

TEXTS, WEIGHT = 16, 2.0
STORE = random_store(TEXTS, 26, 8)
PAIRS = TextPairs.draw(np.minimum(STORE.lengths, MAX_LENGTH - TEMPLATE.specials), np.arange(TEXTS), 2)
TOKENS = TextTokens(STORE, TEMPLATE, MAX_LENGTH, pairs=PAIRS)
EXAMPLES = TrainingSet.of_texts(TOKENS.continues)
INTERNAL = "attention=0.2, hidden=0.5, embedding=1.5"
ALONE = "attention=0.0, hidden=0.0, embedding=0.0"
# With so large an epsilon Adam follows the gradient, not its sign alone.
STEADY = {"max_steps": 3, "adam_epsilon": 10.0, "learning_rate": 0.5, "lr_scheduler_type": "constant"}


def general(weights: str = ALONE, **train: object) -> Stage:
    """Return a general stage whose steps read every text."""
    settings = {"learning_rate": 1e-3, "per_device_train_batch_size": TEXTS, "logging_steps": 1, "bf16": False} | train
    strategy = parse_strategy(f"standard_kd(general=true, weights={{{weights}, next_text={WEIGHT}}})")
    return strategy.stages(TrainSettings.model_validate(settings), 1)[0]


def losses_and_gradients(
    objective: Objective, loaders: list[StepLoader]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the sums of the losses and gradients of everything that some loaders read in the first step."""
    objective.zero_grad()
    sums: dict[str, Tensor] = {}
    for batch in (loader(0) for loader in loaders):
        for micro_batch in batch.micro_batches:
            losses = objective(micro_batch, 1, batch.counts)
            losses["loss"].backward()
            sums = {name: sums.get(name, torch.zeros(())) + value.detach() for name, value in losses.items()}
    return sums, {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def in_double(stage: Stage, labels: int = 1) -> Objective:
    objective = objective_of(stage, labels=labels).double()
    if objective.teacher is not None:
        objective.teacher.double()
    return objective


@pytest.mark.parametrize("labels", [1, 2])
def test_it_is_the_binary_cross_entropy_of_the_pairs_scores(labels: int) -> None:
    stage = general()
    objective = in_double(stage, labels)
    losses, gradients = losses_and_gradients(objective, [StepLoader(stage, EXAMPLES, TOKENS, None)])
    # Each pair by itself, without padding, from its tokens, through transformers' own model.
    model = objective.student.model
    total, classifier = torch.zeros((), dtype=torch.float64), torch.zeros_like(model.classifier.weight)
    for row in range(TEXTS):
        text = STORE[row].tolist()
        split, size = int(PAIRS.first[row]), int(PAIRS.second[row])
        start = int(PAIRS.starts[row])
        second = STORE[int(PAIRS.owners[row])].tolist()[start : start + size]
        continues = int(PAIRS.owners[row]) == row
        assert not continues or start == split
        ids = torch.tensor([[2, *text[:split], 3, *second, 3]])
        types = torch.tensor([[0] * (split + 2) + [1] * (size + 1)])
        pooled = model.bert(input_ids=ids, token_type_ids=types).pooler_output
        logits = model.classifier(pooled)
        score = logits[0, 1] - logits[0, 0] if labels == 2 else logits[0, 0]
        chance = 1 / (1 + torch.exp(-score))
        total = total - torch.log(chance if continues else 1 - chance) / TEXTS
        slope = ((chance - float(continues)) * pooled[0]).detach() / TEXTS
        classifier += slope if labels == 1 else torch.stack([-slope, slope])
    expected = dict(
        zip([*gradients], torch.autograd.grad(total, [*map(objective.get_parameter, gradients)]), strict=True)
    )
    assert losses["next_text"].item() == pytest.approx(total.item(), rel=1e-6)
    assert losses["loss"].item() == pytest.approx(WEIGHT * total.item(), rel=1e-6)
    assert set(losses) == {"loss", "next_text"}
    torch.testing.assert_close(gradients["student.model.classifier.weight"], WEIGHT * classifier.detach())
    assert {name.split(".")[2] for name in gradients} == {"bert", "classifier"}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, WEIGHT * expected[name], rtol=1e-5, atol=1e-8, msg=name)


def test_both_labels_are_there() -> None:
    assert 3 < TOKENS.continues.sum() < TEXTS - 3
    (bucket,) = StepLoader(general(), EXAMPLES, TOKENS, None, token_budget=10**6)(0).micro_batches[0]
    lengths = TOKENS.lengths(np.zeros(TEXTS, np.int64), np.arange(TEXTS))
    assert sorted(zip(bucket.tokens.attention_mask.sum(1).tolist(), bucket.labels.tolist(), strict=True)) == sorted(  # type: ignore[union-attr]
        zip(lengths.tolist(), TOKENS.continues.tolist(), strict=True)
    )


@pytest.mark.parametrize("weights", [ALONE, INTERNAL])
@pytest.mark.parametrize("cut", ["buckets", "micro-batches", "processes", "packed"])
def test_a_batch_may_be_cut_up(cut: str, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = general(weights)
    objective = in_double(stage)
    whole = losses_and_gradients(objective, [StepLoader(stage, EXAMPLES, TOKENS, None, token_budget=10**6)])
    loaders = [StepLoader(stage, EXAMPLES, TOKENS, None)]
    if cut == "buckets":
        monkeypatch.setattr(step_loader, "length_buckets", lambda lengths: length_buckets(lengths, 1))
        assert len(loaders[0](0).micro_batches[0]) > 2
    elif cut == "packed":
        loaders = [replace(loaders[0], packed=True)]
    elif cut == "micro-batches":
        loaders = [replace(loaders[0], token_budget=60)]
        assert len(loaders[0](0).micro_batches) > 2
    else:
        half = replace(stage, train=stage.train.model_copy(update={"per_device_train_batch_size": TEXTS // 2}))
        loaders = [StepLoader(half, EXAMPLES, TOKENS, None, rank=rank, processes=2) for rank in (0, 1)]
    # Losses are in float32 at least, whatever the models' type.
    torch.testing.assert_close(losses_and_gradients(objective, loaders), whole, rtol=1e-5, atol=1e-7)
    assert "student.model.classifier.weight" in whole[1]


def trainer(folder: Path, weights: str = ALONE, **train: object) -> Trainer:
    stage = general(weights, **train)
    return replace(trainer_of(stage, folder, objective_of(stage)), examples=EXAMPLES, tokens=TOKENS)


def values(made: Trainer) -> list[dict[str, float]]:
    made.train()
    assert isinstance(made.reporter, Recorder)
    return list(made.reporter.of("train").values())


def test_the_student_learns_which_texts_continue(tmp_path: Path) -> None:
    made = trainer(tmp_path, max_steps=80, learning_rate=1e-2, lr_scheduler_type="constant", eval_steps=1)
    made.validate = lambda ranker: pytest.fail("validated")
    found = values(made)
    assert found[0]["next_text"] > 0.5
    assert found[-1]["next_text"] < 0.1
    with torch.no_grad():
        (micro_batch,) = made.loader(0).micro_batches
        right = [((made.objective._student(one).scores > 0).long() == one.labels).float() for one in micro_batch]
    assert torch.cat(right).mean() == 1


def test_accumulated_batches_are_one(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", INTERNAL, **STEADY)
    parts = trainer(
        tmp_path / "parts", INTERNAL, per_device_train_batch_size=4, gradient_accumulation_steps=4, **STEADY
    )
    one, other = values(whole), values(parts)
    assert one[0]["next_text"] > 0
    torch.testing.assert_close(other, one, rtol=2e-4, atol=1e-6)
    torch.testing.assert_close(weights_of(parts), weights_of(whole), rtol=2e-4, atol=1e-6)


def train_together(folder: Path) -> None:
    """Train as one of two processes, and let the main one write."""
    made = trainer(folder / "checkpoints", INTERNAL, per_device_train_batch_size=TEXTS // 2, **STEADY)
    made.train()
    if made.processes.is_main:
        save_file(weights_of(made), folder / "weights.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    with together(train_together, tmp_path, folder=tmp_path / "said") as ranks:
        end_well(ranks)
    alone = trainer(tmp_path / "one", INTERNAL, **STEADY)
    before = weights_of(alone)["student.model.classifier.weight"]
    alone.train()
    trained = load_file(tmp_path / "weights.safetensors")
    torch.testing.assert_close(trained, weights_of(alone), rtol=1e-5, atol=2e-6)
    assert not torch.equal(trained["student.model.classifier.weight"], before)
