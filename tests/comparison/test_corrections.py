"""Corrections against R's p.adjust and their own laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilkit.comparison.corrections import adjust, corrections
from distilkit.errors import UserError

families = st.lists(st.none() | st.floats(0, 1), max_size=12)


def test_golden_values():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.5), method)
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert adjust(p, "none") == p
    assert adjust(p, "bonferroni") == pytest.approx([0.05, 0.2, 0.15, 0.025, 1.0])
    assert adjust(p, "holm") == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])
    assert adjust(p, "bh") == pytest.approx([0.025, 0.05, 0.05, 0.025, 0.5])
    assert adjust(p, "benjamini_hochberg") == adjust(p, "bh")


@pytest.mark.parametrize("method", list(corrections))
@given(p=families)
def test_no_test_leaves_the_family(method, p):
    corrected = adjust(p, method)
    assert [value is None for value in corrected] == [value is None for value in p]
    assert [value for value in corrected if value is not None] == adjust([one for one in p if one is not None], method)


@given(families)
def test_corrections_are_ordered_and_keep_the_order_of_p(p):
    family = [value for value in p if value is not None]
    for method in corrections:
        corrected = adjust(family, method)
        assert all(before <= after <= 1 for before, after in zip(family, corrected, strict=True))
        paired = sorted(zip(family, corrected, strict=True))
        assert [after for _, after in paired] == sorted(corrected)
    # Not strictly: (m/j)·p and m·p/j round apart.
    for low, middle, high in zip(
        adjust(family, "bh"), adjust(family, "holm"), adjust(family, "bonferroni"), strict=True
    ):
        assert low <= middle * (1 + 1e-12) <= high * (1 + 1e-11)


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_comparisons_changes_nothing(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for method in corrections:
        there = adjust(p, method)
        assert adjust([p[place] for place in order], method) == [there[place] for place in order]


def test_an_unknown_correction_names_the_nearest():
    with pytest.raises(UserError, match="no correction is called 'holms'; did you mean 'holm'"):
        adjust([0.5], "holms")
