"""tas_balanced: its loss in float64, over a batch that is cut into micro-batches and processes, stopped and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import whole_batches
from cli_processes import end_well, together
from safetensors.torch import load_file
from tiny_training import assert_equal, weights_of
from torch import Tensor
from whole_batches import BATCH, STRATEGIES, losses, trainer

from distilkit.errors import Stopped
from distilkit.losses import in_batch_margin_mse
from distilkit.progress import OneProcess
from distilkit.strategies import parse_strategy
from distilkit.training.in_batch import EncodedLists, shares_of


def by_hand(student: list[list[float]], teacher: list[list[float]]) -> float:
    """Return the mean of two halves, of others' positives and of others' negatives, each over all i ≠ j.

    The columns are p_1⁺, p_1⁻, p_2⁺, p_2⁻, and so on.
    """
    count, halves = len(student), []
    for kind in (0, 1):
        errors = []
        for i in range(count):
            for j in range(count):
                if i != j:
                    margin = student[i][2 * i] - student[i][2 * j + kind]
                    wanted = teacher[i][2 * i] - teacher[i][2 * j + kind]
                    errors.append((margin - wanted) ** 2)
        halves.append(sum(errors) / len(errors))
    return sum(halves) / 2


def test_the_loss_in_float64() -> None:
    generator = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(5, 10, dtype=torch.float64, generator=generator) * 3 for _ in range(2))
    positives = torch.arange(5) * 2
    own = (torch.arange(10) // 2)[None] == torch.arange(5)[:, None]
    found = in_batch_margin_mse(student, teacher, positives, own)
    assert abs(found.item() - by_hand(student.tolist(), teacher.tolist())) < 1e-10
    assert in_batch_margin_mse(student[:1, :2], teacher[:1, :2], positives[:1], own[:1, :2]).item() == 0


def in_double(made: Any) -> Any:
    made.objective.double()
    made.objective.in_batch_teacher.ranker.double()
    return made


class OneOfTwo(OneProcess):
    """A process beside another one, which gather the same kinds of things in the same order."""

    count = 2

    def __init__(self, rank: int, gathered: list[list[Any]]) -> None:
        self.rank, self._gathered = rank, iter(gathered)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def gather(self, values: list[Any]) -> list[Any]:
        return next(self._gathered)


def encoded(made: Any) -> list[EncodedLists]:
    with torch.no_grad():
        return [made.objective.encoded_lists(one, 2) for one in made.loader(0).micro_batches]


@pytest.mark.parametrize("processes", [1, 2])
def test_cutting_the_batch_changes_neither_loss_nor_gradient(processes: int, tmp_path: Path) -> None:
    made = in_double(trainer("tas_balanced", tmp_path, size=2))
    objective, batch, parts = made.objective, made.loader(0), encoded(made)
    teacher, cpu = objective.in_batch_teacher, torch.device("cpu")
    groups: list[Any] = [OneProcess()]
    owned = [parts]
    if processes == 2:
        owned = [parts[:1], parts[1:]]
        whole = [EncodedLists.joined(own) for own in owned]
        theirs = [teacher.encoded(one.rows, cpu) for one in whole]
        gathered = [whole, theirs, [len(one) for one in whole]]
        groups = [OneOfTwo(rank, gathered) for rank in range(2)]
    shares = [
        share
        for group, own in zip(groups, owned, strict=True)
        for share in shares_of(objective.student, made.stage, own, batch.counts, group, teacher)
    ]
    total = 0.0
    for micro_batch, share in zip(batch.micro_batches, shares, strict=True):
        found = objective(micro_batch, 2, batch.counts, share)
        found["loss"].backward()
        total += found["in_batch_margin_mse"].item()
    gradients = {name: one.grad.clone() for name, one in objective.named_parameters() if one.grad is not None}
    objective.zero_grad()
    expected, wanted = from_one_graph(in_double(trainer("tas_balanced", tmp_path)))
    assert abs(total - expected) < 1e-10
    torch.testing.assert_close(gradients, wanted, rtol=1e-8, atol=1e-10)


def from_one_graph(made: Any) -> tuple[float, dict[str, Tensor]]:
    """Return the in-batch loss of the whole batch by plain arithmetic, and the gradients of the weighted sum."""
    objective, batch = made.objective, made.loader(0)
    (lists,) = [objective.encoded_lists(one, 2) for one in batch.micro_batches]
    teacher = objective.in_batch_teacher
    scores = objective.student.score_all(lists.queries, lists.passages)
    targets = teacher.scores(teacher.encoded(lists.rows, torch.device("cpu")))
    places = torch.cat([bucket.places for bucket in batch.micro_batches[0]]).argsort()
    pairs = torch.cat([bucket.targets for bucket in batch.micro_batches[0]])[places].view(-1, 2)
    positives = torch.arange(len(scores)) * 2
    own = (torch.arange(2 * len(scores)) // 2)[None] == torch.arange(len(scores))[:, None]
    margins = scores.gather(1, positives[:, None]) - scores
    wanted = targets.gather(1, positives[:, None]) - targets
    in_batch = ((margins - wanted) ** 2)[~own].mean()
    pairwise = ((margins.gather(1, positives[:, None] + 1)[:, 0] - (pairs[:, 0] - pairs[:, 1])) ** 2).mean()
    (pairwise + 0.5 * in_batch).backward()
    assert abs(in_batch.item() - by_hand(scores.tolist(), targets.tolist())) < 1e-10
    gradients = {name: one.grad for name, one in objective.named_parameters() if one.grad is not None}
    return in_batch.item(), gradients


@pytest.mark.parametrize("name", STRATEGIES)
def test_accumulated_batches_train_as_one(name: str, tmp_path: Path) -> None:
    one, cut = (trainer(name, tmp_path / str(size), size=size) for size in (BATCH, 2))
    one.train()
    cut.train()
    torch.testing.assert_close(weights_of(cut), weights_of(one), rtol=1e-4, atol=1e-5)
    assert losses(one)[-1]["loss"] != losses(one)[0]["loss"]


def test_a_stopped_training_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    whole, stopped, resumed = (trainer("tas_balanced", tmp_path / name) for name in ("whole", "cut", "cut"))
    whole.train()
    stopped.reporter.stop_at = 4  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        stopped.train()
    resumed.train()
    assert resumed.state.step == whole.state.step
    assert_equal(weights_of(resumed), weights_of(whole))


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """Each has negatives of the other's queries: without them the losses would not be those of one process."""
    with together(whole_batches.main, tmp_path, folder=tmp_path / "said") as ranks:
        end_well(ranks)
    for name in STRATEGIES:
        one = trainer(name, tmp_path / name / "one")
        one.train()
        found = json.loads((tmp_path / name / "losses.json").read_text())
        assert len(found) == len(losses(one))
        for step, expected in zip(found, losses(one), strict=True):
            assert step == pytest.approx(expected, rel=1e-4, abs=1e-5)
        weights = load_file(tmp_path / name / "weights.safetensors")
        torch.testing.assert_close(weights, weights_of(one), rtol=1e-4, atol=1e-5)


def test_parts_are_left_out() -> None:
    from distilkit.settings import TrainSettings

    train = TrainSettings(negatives=3, num_train_epochs=2.0)
    (whole,) = parse_strategy("tas_balanced(negative_pool=12)").stages(train, 1)
    assert (whole.train.negatives, whole.train.num_train_epochs) == (12, 0.5)
    (pairs,) = parse_strategy("tas_balanced(in_batch=0.0, bins=1, clusters=1)").stages(train, 1)
    assert [term.name for term in pairs.terms] == ["margin_mse"]
    assert not pairs.reads_batch
    (batch,) = parse_strategy("tas_balanced(pairwise=0.0)").stages(train, 1)
    assert [term.name for term in batch.terms] == ["in_batch_margin_mse"]
    # The names of models are not part of a key; what they hold is.
    other = parse_strategy('tas_balanced(in_batch_teacher="x", cluster_encoder="y")').stages(train, 1)[0]
    assert other.numbers(1, "fp32") == parse_strategy("tas_balanced").stages(train, 1)[0].numbers(1, "fp32")
