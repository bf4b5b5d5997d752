"""Baselines as typed, their letters, and the superscripts that follow from p_adjusted."""

import itertools

import pytest

from distilkit.comparison.letters import assign, parse_baselines, superscripts
from distilkit.errors import UserError

NAMES = ["bm25", "teacher", "x:t", "student"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, {"teacher": None}),
        (["bm25"], {"bm25": None}),
        (["teacher bm25"], {"teacher": None, "bm25": None}),
        (["teacher:R", "bm25"], {"teacher": "R", "bm25": None}),
        (["x:t"], {"x:t": None}),
        (["x:t:z"], {"x:t": "z"}),
    ],
)
def test_baselines_as_typed(asked, expected):
    assert parse_baselines(asked, NAMES) == expected


def test_without_a_teacher_the_first_system_is_the_baseline():
    assert parse_baselines([], ["b", "a"]) == {"b": None}


def test_a_name_with_blanks_is_one_baseline():
    assert parse_baselines(["my model"], ["my model", "my"]) == {"my model": None}
    assert parse_baselines(["my model:m"], ["my model", "my"]) == {"my model": "m"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("teachr", "'teachr'; did you mean 'teacher'?; the systems are: bm25, teacher, x:t, student"),
        ("zzz", "no system is called 'zzz'; the systems are: bm25, teacher, x:t, student"),
        ("teacher:10", "one letter from A to Z"),
        ("teacher:", "one letter from A to Z"),
    ],
)
def test_a_wrong_baseline_lists_the_systems(asked, words):
    with pytest.raises(UserError) as caught:
        parse_baselines([asked], NAMES)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("baselines", "letters"),
    [
        ({"teacher": None, "bm25": None}, "tb"),
        ({"Teacher": None, "BM25": None}, "tb"),
        ({"teacher": None, "tasb": None, "bm25": None}, "abc"),
        ({"teacher": "T", "tasb": None, "bm25": None}, "tab"),
        ({"teacher": "A", "tasb": None, "tk": None}, "abc"),
        ({"teacher": None, "bm25": "t"}, "at"),
        ({"2stage": None, "bm25": None}, "ab"),
        ({"élan": None}, "a"),
    ],
)
def test_letters(baselines, letters):
    assert assign(baselines) == dict(zip(baselines, letters, strict=True))


def test_there_are_letters_for_any_number_of_baselines():
    letters = list(assign({f"run{number}": None for number in range(80)}).values())
    assert letters[:27] == [*"abcdefghijklmnopqrstuvwxyz", "a1"]
    assert len(set(letters)) == 80


def test_one_letter_for_two_baselines_is_refused():
    with pytest.raises(UserError, match="the same letter"):
        assign({"a": "x", "b": "X"})


def test_superscripts_are_capital_for_the_smaller_alpha_and_in_the_baselines_order():
    letters = {"teacher": "t", "bm25": "b"}
    for (teacher, one), (bm25, other) in itertools.product(
        [(0.009, "T"), (0.01, "t"), (0.049, "t"), (0.05, ""), (None, "")],
        [(0.0, "B"), (0.02, "b"), (1.0, ""), (None, "")],
    ):
        adjusted = {
            ("RR@10", frozenset(("s", "teacher"))): teacher,
            ("RR@10", frozenset(("s", "bm25"))): bm25,
            ("nDCG@10", frozenset(("s", "bm25"))): 0.0,
        }
        assert superscripts("s", "RR@10", adjusted, letters, (0.05, 0.01)) == one + other
    assert superscripts("s", "RR@10", {("RR@10", frozenset(("s", "bm25"))): 0.0}, letters, (0.1,)) == "b"
    # Two baselines mark each other.
    both = {("RR@10", frozenset(("teacher", "bm25"))): 0.02}
    assert [superscripts(name, "RR@10", both, letters, (0.05, 0.01)) for name in letters] == ["b", "t"]
