"""Hard negatives: which candidates the filters leave out, as sentence-transformers' mine_hard_negatives does."""

from collections import Counter

import numpy as np
import pytest

from distilkit.data.candidates import Candidates
from distilkit.data.collection import open_collection, write_collection
from distilkit.data.examples import NegativeFilters, draw_lists
from distilkit.errors import UserError

# The positive scores 0.8; four candidates.
POSITIVE, SCORES = 0.8, np.array([0.9, 0.75, 0.7, -0.5])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (NegativeFilters(max_score=0.72), [False, False, True, True]),
        (NegativeFilters(absolute_margin=0.0), [False, True, True, True]),
        (NegativeFilters(absolute_margin=0.1), [False, False, True, True]),
        # 5 % of 0.8 below it: 0.76.
        (NegativeFilters(relative_margin=0.05), [False, True, True, True]),
        (NegativeFilters(relative_margin=0.1), [False, False, True, True]),
        (NegativeFilters(max_score=0.8, relative_margin=0.1), [False, False, True, True]),
    ],
)
def test_which_candidates_remain(filters, expected):
    counts = Counter()
    kept = filters.kept(POSITIVE, SCORES + np.array([0, 0, 0, 0]), counts)
    assert kept.tolist() == expected
    assert counts.total() == expected.count(False)


def test_a_margin_of_a_negative_score_is_below_it():
    assert NegativeFilters(relative_margin=0.1).kept(-2.0, np.array([-2.1, -2.2, -3.0]), Counter()).tolist() == [
        False,
        True,
        True,
    ]


@pytest.fixture
def collection(tmp_path):
    passages = [(f"d{i}", f"text {i}") for i in range(8)]
    qrels = {"train": {"q": {"d0": 1, "d1": 1}}}
    write_collection(tmp_path, name="c", passages=passages, queries=[("q", "query")], qrels=qrels)
    return open_collection(tmp_path)


def scores(queries, passages):
    """Score passage 0 with 0.9, 1 with 0.8 and so on: 2 is above passage 1 less 0.15, 3 is not."""
    assert (queries == 0).all()
    return 0.9 - passages / 10


def test_each_positive_is_filtered_by_its_own_score_and_all_is_counted(collection):
    candidates = Candidates(np.array([0]), np.array([[5, 0, 2, 3, 4, -1]]), np.zeros((1, 6)))
    filters = NegativeFilters(range_min=1, absolute_margin=0.15)
    lists = draw_lists(collection, collection.qrels("train"), ["q"], candidates, 2, 1, (), filters, scores)
    # The first candidate goes, and the positive among them; of passage 1 (0.8) also passage 2 (0.7).
    assert [set(row[1:]) <= {2, 3, 4} for row in lists.passages.tolist()] == [True, True]
    assert set(lists.passages[1, 1:].tolist()) == {3, 4}
    (said,) = lists.said
    assert (
        said
        == "of 8 candidates 2 (negative_range_min = 1), 1 (negative_absolute_margin = 0.15) are not taken as negatives"
    )


def test_what_lacks_is_drawn_from_the_corpus_and_counted(collection):
    candidates = Candidates(np.array([0]), np.array([[2, 3]]), np.zeros((1, 2)))
    filters = NegativeFilters(max_score=0.65)
    lists = draw_lists(collection, collection.qrels("train"), ["q"], candidates, 3, 1, (), filters, scores)
    assert all(3 in row[1:] and not {0, 1} & set(row[1:]) for row in lists.passages.tolist())
    assert lists.said[0].endswith(
        "2 (negative_max_score = 0.65) are not taken as negatives; "
        "4 of 6 negatives are drawn from the whole corpus instead"
    )


def test_without_filters_nothing_is_said_and_the_draw_is_as_before(collection):
    candidates = Candidates(np.array([0]), np.array([[5, 0, 2, 3, 4, -1]]), np.zeros((1, 6)))
    lists = draw_lists(collection, collection.qrels("train"), ["q"], candidates, 2, 1)
    assert lists.said == ()
    with_own = draw_lists(collection, collection.qrels("train"), ["q"], candidates, 5, 1, (6,))
    assert not (with_own.passages[:, 1:] == 6).any()
    with pytest.raises(UserError, match="needs 6 negatives, but the corpus has 8 passages"):
        draw_lists(collection, collection.qrels("train"), ["q"], candidates, 6, 1, (6,))
