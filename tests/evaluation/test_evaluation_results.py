"""The files of an evaluation: what is written, that it reads back equal, and errors that name file and line."""

import json

import pytest

from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import read_run
from distilkit.run_folders.results import read_measures, read_per_query, write_per_query

QRELS = {"q10": {"a": 1}, "q9": {"b": 1}, "a,b": {"c": 2}}
RUN = {"q10": [("x", 0.3), ("y", 0.2), ("a", 0.1)], "q9": [("b", 1.0)], "else": [("b", 1.0)]}


def test_the_three_files(tmp_path):
    evaluation = evaluate(RUN, QRELS, "nDCG@10 RR@10")
    folder = tmp_path / "eval" / "test"
    write_evaluation(folder, "test", RUN, evaluation, "student")
    assert sorted(one.name for one in folder.iterdir()) == ["measures.json", "per_query.csv", "run.trec"]
    assert (folder / "per_query.csv").read_text() == (
        'query_id,nDCG@10,RR@10\n"a,b",0.0,0.0\nq10,0.5,0.3333333333333333\nq9,1.0,1.0\n'
    )
    assert json.loads((folder / "measures.json").read_text()) == {
        "set": "test",
        "n": 3,
        "measures": {"nDCG@10": 0.5, "RR@10": 4 / 9},
        "policy": {
            "order": "score descending, then document id descending as a string; the rank column is unused",
            "n": 3,
            "missing": 1,
            "unjudged": 1,
            "own": 0,
        },
    }
    assert read_per_query(folder / "per_query.csv") == evaluation.per_query
    assert read_measures(folder / "measures.json").measures == evaluation.means
    assert read_run(folder / "run.trec") == RUN


def test_values_read_back_equal(tmp_path):
    table = {"RR@10": {"q": 1 / 3, "p": 0.1 + 0.2, "r": 5e-324}}
    write_per_query(tmp_path / "t.csv", table)
    assert read_per_query(tmp_path / "t.csv") == table


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "t.csv:1: expected the header"),
        ("query,RR@10\n", "t.csv:1: expected the header"),
        ("query_id\nq\n", "t.csv:1: expected the header"),
        ("query_id,RR@10\nq,1\np,nan\n", "t.csv:3: expected a query id and 1 finite numbers"),
        ("query_id,RR@10\nq,1,2\n", "t.csv:2: expected"),
        ("query_id,RR@10\nq,one\n", "t.csv:2: expected"),
        ("query_id,RR@10\nq,1\nq,1\n", "t.csv:3: query 'q' is listed twice"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_per_query(tmp_path / "t.csv")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"measures": {}, "policy": 1}'])
def test_a_bad_summary_is_named(tmp_path, text):
    (tmp_path / "measures.json").write_text(text)
    with pytest.raises(UserError, match=r"measures\.json: "):
        read_measures(tmp_path / "measures.json")
