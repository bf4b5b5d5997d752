"""Which queries are drawn for training, and which passages stand against their positives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection, Qrels, Run, open_collection, write_collection
from distilkit.data.examples import draw_lists, draw_queries
from distilkit.errors import UserError

Make = Callable[[int, Qrels], Collection]


@pytest.fixture
def collection_of(tmp_path: Path) -> Make:
    """Return a function that makes a collection of some passages p0, p1 ... with judgements."""

    def make(passages: int, qrels: Qrels) -> Collection:
        write_collection(
            tmp_path / str(passages),
            name="tiny",
            passages=[(f"p{number}", f"passage {number}") for number in range(passages)],
            queries=[(query, f"query {query}") for query in qrels],
            qrels={"train": qrels},
            candidates={},
            info={},
        )
        return open_collection(tmp_path / str(passages))

    return make


QRELS: Qrels = {"q0": {"p1": 1, "p2": 2, "p3": 0}, "q1": {"p9": 1}, "q2": {"p4": 1}}
RUN: Run = {"q0": [(f"p{number}", 10.0 - number) for number in range(8)], "q1": [("p9", 1.0), ("p0", 0.5)]}


def ids(collection: Collection, rows: np.ndarray) -> list[list[str]]:
    return [collection.passages.ids(row) for row in rows]


def test_candidates_are_ranked_by_score_and_then_by_id_downwards(collection_of: Make) -> None:
    collection = collection_of(30, QRELS)
    run = {"q0": [("p1", 1.0), ("p10", 2.0), ("p2", 1.0), ("p12", 1.0)], "q1": [("p3", 5.0)]}
    candidates = Candidates.of_run(collection, run, ["q1", "q0", "q2"], 3)
    assert ids(collection, candidates.passages[1:2]) == [["p10", "p2", "p12"]]
    assert candidates.passages[0, 1:].tolist() == [-1, -1]
    assert (candidates.passages[2] == -1).all()
    assert candidates.run(collection) == {"q1": [("p3", 5.0)], "q0": [("p10", 2.0), ("p2", 1.0), ("p12", 1.0)]}


def test_candidates_read_back_and_take_other_scores(collection_of: Make, tmp_path: Path) -> None:
    collection = collection_of(30, QRELS)
    written = Candidates.of_run(collection, RUN, ["q0", "q1"], 5)
    written.write(tmp_path)
    candidates = Candidates.open(tmp_path)
    queries, passages = candidates.pairs()
    assert len(queries) == len(passages) == 7
    assert collection.queries.ids(queries) == ["q0"] * 5 + ["q1"] * 2
    scores = np.arange(7.0)
    rescored = candidates.run(collection, scores)
    assert rescored["q1"] == [("p9", 5.0), ("p0", 6.0)]
    assert candidates.run(collection) == {"q0": RUN["q0"][:5], "q1": RUN["q1"]}


def test_every_positive_gets_negatives_that_are_none(collection_of: Make) -> None:
    collection = collection_of(30, QRELS)
    candidates = Candidates.of_run(collection, RUN, sorted(QRELS), 8)
    for seed in range(20):
        lists = draw_lists(collection, QRELS, sorted(QRELS), candidates, 4, seed)
        assert collection.queries.ids(lists.queries) == ["q0", "q0", "q1", "q2"]
        rows = ids(collection, lists.passages)
        assert [row[0] for row in rows] == ["p1", "p2", "p9", "p4"]
        for query, row in zip(["q0", "q0", "q1", "q2"], rows, strict=True):
            positives = {passage for passage, grade in QRELS[query].items() if grade > 0}
            assert not positives & set(row[1:])
            assert len(set(row)) == 5
        # q0's candidates suffice, one judged 0 among them; q1's and q2's are filled up from the corpus.
        assert set(rows[0][1:]) <= {"p0", "p3", "p4", "p5", "p6", "p7"}
        assert "p0" in rows[2]


def test_lists_follow_from_the_seed(collection_of: Make) -> None:
    collection = collection_of(30, QRELS)
    candidates = Candidates.of_run(collection, RUN, sorted(QRELS), 8)
    one, same, other = (draw_lists(collection, QRELS, sorted(QRELS), candidates, 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.passages, same.passages)
    assert not np.array_equal(one.passages, other.passages)


def test_a_corpus_that_is_just_large_enough_is_used_up(collection_of: Make) -> None:
    qrels: Qrels = {"q0": {"p1": 1, "p2": 1}}
    collection = collection_of(5, qrels)
    candidates = Candidates.of_run(collection, {}, ["q0"], 2)
    lists = draw_lists(collection, qrels, ["q0"], candidates, 3, 1)
    assert {frozenset(row[1:]) for row in ids(collection, lists.passages)} == {frozenset({"p0", "p3", "p4"})}
    with pytest.raises(UserError, match=r"query 'q0' needs 4 negatives.*5 passages, 2 of them relevant"):
        draw_lists(collection, qrels, ["q0"], candidates, 4, 1)


def test_queries_are_drawn_among_those_with_a_relevant_passage() -> None:
    qrels: Qrels = {f"q{number}": {"p": number % 3} for number in range(30)}
    eligible = sorted(query for query, judged in qrels.items() if judged["p"])
    assert draw_queries(qrels, None, 1) == eligible == draw_queries(qrels, 20, 1) == draw_queries(qrels, 99, 1)
    drawn = draw_queries(qrels, 7, 1)
    assert len(set(drawn)) == 7
    assert set(drawn) <= set(eligible)
    assert drawn == sorted(drawn) == draw_queries(qrels, 7, 1)
    assert drawn != draw_queries(qrels, 7, 2)


def test_queries_without_a_relevant_passage_are_refused() -> None:
    with pytest.raises(UserError, match="no relevant passage"):
        draw_queries({"q": {"p": 0}}, None, 1)
