"""ranking_imitation: each of its losses against float64 arithmetic on ranks."""

import math
from collections.abc import Callable

import pytest
import torch

from distilkit.settings import TrainSettings
from distilkit.strategies import Term, parse_strategy

STUDENT = [[1.2, -0.4, 0.3, 2.1], [0.5, 1.5, -0.5, 0.0]]
RANKS = [[1, 4, 3, 2], [3, 1, 2, 4]]


def term_of(loss: str) -> Term:
    (stage,) = parse_strategy(f'ranking_imitation(loss="{loss}")').stages(TrainSettings(), 1)
    (term,) = stage.terms
    assert stage.examples == "lists"
    assert term.order_suffices
    return term


def ranknet(scores: list[float], ranks: list[int], weight: Callable[[int], float]) -> float:
    pairs = [(i, j) for i in range(4) for j in range(4) if ranks[i] < ranks[j]]
    return math.fsum(weight(ranks[i]) * math.log1p(math.exp(scores[j] - scores[i])) for i, j in pairs) / len(pairs)


def rank_errors(scores: list[float], ranks: list[int], weight: Callable[[int], float]) -> float:
    def smooth(i: int) -> float:
        return 1 + math.fsum(1 / (1 + math.exp(scores[i] - scores[j])) for j in range(4) if j != i)

    return math.fsum(weight(rank) * (rank - smooth(i)) ** 2 for i, rank in enumerate(ranks)) / 4


def even(rank: int) -> float:
    return 1.0


def discounted(rank: int) -> float:
    return 1 / math.log2(1 + rank)


@pytest.mark.parametrize(
    ("loss", "by_hand", "weight"),
    [
        ("ranknet", ranknet, even),
        ("discounted_ranknet", ranknet, discounted),
        ("adr_mse", rank_errors, discounted),
        ("rank_mse", rank_errors, even),
    ],
)
def test_a_loss_of_ranks(loss: str, by_hand: Callable[..., float], weight: Callable[[int], float]) -> None:
    term = term_of(loss)
    expected = math.fsum(by_hand(s, r, weight) for s, r in zip(STUDENT, RANKS, strict=True)) / 2
    student, teacher = torch.tensor(STUDENT, dtype=torch.float64), -torch.tensor(RANKS, dtype=torch.float64)
    assert abs(term.loss()(student, teacher, **term.options).item() - expected) < 1e-10
    # Scores of the same order teach the same; a batch that is cut has the same loss.
    assert abs(term.loss()(student, teacher.exp(), **term.options).item() - expected) < 1e-10
    parts = [term.loss()(student[i : i + 1], teacher[i : i + 1], **term.options, normaliser=2) for i in range(2)]
    assert abs(sum(part.item() for part in parts) - expected) < 1e-10


@pytest.mark.parametrize("loss", ["list_mle", "lambda_rank"])
def test_the_other_losses_of_order_can_be_chosen(loss: str) -> None:
    assert term_of(loss).name == loss


def test_equal_scores_have_no_order() -> None:
    term = term_of("ranknet")
    assert term.loss()(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 3.0]]), **term.options) == 0


def test_an_unknown_discount_is_refused() -> None:
    with pytest.raises(ValueError, match="discount must be 'log2' or 'none'"):
        term_of("adr_mse").loss()(torch.ones(1, 2), torch.ones(1, 2), discount="ln")
