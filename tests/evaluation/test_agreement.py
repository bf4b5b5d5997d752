"""Agreement with a teacher against values worked out by hand."""

import math

import pytest

from distilkit.errors import RunFailed, UserError
from distilkit.evaluation.agreement import AGREEMENT, agreement, require_agreement

TEACHER = {"q": [("a", 3.0), ("b", 2.0), ("c", 1.0)]}
NAMES = list(AGREEMENT)


def test_the_teacher_agrees_with_itself() -> None:
    assert agreement(TEACHER, TEACHER, NAMES) == dict.fromkeys(NAMES, 1.0)


def test_two_that_change_places() -> None:
    found = agreement({"q": [("a", 1.0), ("b", 2.0), ("c", 0.0)]}, TEACHER, NAMES)
    # The teacher's first three have the gains 10, 9 and 8.
    best = 10 + 9 / math.log2(3) + 8 / 2
    assert found["agreement_nDCG@10"] == pytest.approx((9 + 10 / math.log2(3) + 8 / 2) / best, abs=1e-12)
    assert found["agreement_tau"] == pytest.approx(1 / 3)
    assert found["agreement_top1"] == 0.0
    assert found["agreement_top10"] == 1.0


def test_beyond_the_tenth_document_only_tau_looks() -> None:
    teacher = {"q": [(f"d{i:02}", -float(i)) for i in range(20)]}
    student = {"q": [(document, -score) for document, score in teacher["q"]]}
    found = agreement(student, teacher, NAMES)
    assert found == {
        "agreement_nDCG@10": 0.0,
        "agreement_tau": -1.0,
        "agreement_top1": 0.0,
        "agreement_top10": 0.0,
    }


def test_a_query_that_the_student_lacks_counts() -> None:
    found = agreement({}, TEACHER, ["agreement_nDCG@10", "agreement_top1"])
    assert found == {"agreement_nDCG@10": 0.0, "agreement_top1": 0.0}


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="is not a measure of agreement with the teacher"):
        require_agreement("RR@10")
    with pytest.raises(RunFailed, match="agreement_tau has no value for any of 1 queries"):
        agreement({"q": [("a", 1.0)]}, {"q": [("a", 1.0)]}, ["agreement_tau"])
