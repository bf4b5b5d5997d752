"""The losses of lists against numbers of sentence-transformers 6.2.0 (float32), and of scipy for the divergence.

LambdaLoss with LambdaRankScheme is a mean over ordered pairs in bits there: times pairs and ln 2 it is a list's sum.
"""

import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from distilkit.losses import adr_mse, kl_divergence, lambda_rank, list_mle, list_net

STUDENT = [[1.2, -0.4, 0.3, 2.1, -1.5], [0.5, 1.5, -0.5]]
TEACHER = [[4.1, -2.2, 1.3, 3.7, -0.6], [2.5, 0.5, -1.0]]
GRADES = [[3.0, 0.0, 1.0, 2.0, 0.0], [2.0, 1.0, 0.0]]
GOLDEN = {
    list_net: (TEACHER, [1.1204462051391602, 1.3173999786376953]),
    list_mle: (TEACHER, [3.5575578212738037, 1.534533977508545]),
    adr_mse: (TEACHER, [0.48991841077804565, 0.4371758997440338]),
}
TIED_ADR = [0.38621005415916443, 0.4371758997440338]
LAMBDA = [0.3036132487364319, 0.3183431003072759]


def padded(lists: list[list[float]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(one, dtype=torch.float64) for one in lists], True, 7.0)


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.mark.parametrize("loss", GOLDEN)
def test_each_list_and_both_in_one_batch(loss: object) -> None:
    teacher, expected = GOLDEN[loss]  # type: ignore[index]
    for row in range(2):
        alone = [torch.tensor([lists[row]], dtype=torch.float64) for lists in (STUDENT, teacher)]
        assert loss(*alone).item() == pytest.approx(expected[row], rel=1e-6)  # type: ignore[operator]
    batch = loss(padded(STUDENT), padded(teacher), MASK)  # type: ignore[operator]
    assert batch.item() == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_candidates_of_one_grade_share_a_rank() -> None:
    found = adr_mse(padded(STUDENT), padded(GRADES), MASK)
    assert found.item() == pytest.approx(sum(TIED_ADR) / 2, rel=1e-6)


def test_lambda_rank_by_grades() -> None:
    student, grades = padded(STUDENT), padded(GRADES)
    found = lambda_rank(student, torch.zeros_like(student), MASK, labels=grades)
    assert found.item() == pytest.approx(sum(LAMBDA) / 2, rel=1e-6)


@pytest.mark.parametrize(("of_student", "of_teacher"), [(1.0, 1.0), (2.0, 0.5), (0.25, 4.0)])
def test_the_divergence_is_scipys(of_student: float, of_teacher: float) -> None:
    expected = [
        rel_entr(softmax([t / of_teacher for t in teacher]), softmax([s / of_student for s in student])).sum()
        for student, teacher in zip(STUDENT, TEACHER, strict=True)
    ]
    found = kl_divergence(padded(STUDENT), padded(TEACHER), MASK, of_student, of_teacher)
    assert found.item() == pytest.approx(sum(expected) / 2, rel=1e-12)
