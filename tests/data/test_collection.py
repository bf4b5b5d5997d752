import json
import math

import pytest

from distilkit.data.collection import ContentError, open_collection, write_collection
from distilkit.errors import UserError

PASSAGES = [("p1", "one"), ("p2", "two"), ("p10", "ten")]
QUERIES = [("q1", "first"), ("q2", "second")]
QRELS = {"test": {"q1": {"p1": 2, "p2": 0}}, "train": {"q2": {"p2": -1}}}
CANDIDATES = {"test": {"q1": [("p1", 1.5), ("p2", 0.1 + 0.2), ("p10", 1.5)]}}


def write(folder, **changes):
    content = {"passages": PASSAGES, "queries": QUERIES, "qrels": QRELS, "candidates": CANDIDATES}
    write_collection(folder, **{"name": "small", **content, **changes})
    return open_collection(folder)


def test_what_is_written_is_read(tmp_path):
    collection = write(tmp_path / "c", info={"source": "here"})
    assert collection.name == "small"
    assert collection.passages.texts(range(3)) == ["one", "two", "ten"]
    assert collection.queries.ids(range(2)) == ["q1", "q2"]
    assert collection.splits == ("train", "test")
    assert {split: collection.qrels(split) for split in collection.splits} == QRELS
    assert collection.candidates("train") is None
    splits = {"train": {"queries": 1, "judgements": 1}, "test": {"queries": 1, "judgements": 2}}
    assert collection.info == {"passages": 3, "queries": 2, "splits": splits, "source": "here"}
    assert sorted(path.relative_to(tmp_path / "c").as_posix() for path in (tmp_path / "c").rglob("*.*")) == [
        "candidates/test.trec",
        "manifest.json",
        "passages.arrow",
        "qrels/test.tsv",
        "qrels/train.tsv",
        "queries.arrow",
    ]


def test_candidates_come_back_exactly_and_in_the_order_of_evaluation(tmp_path):
    assert write(tmp_path).candidates("test") == {"q1": [("p10", 1.5), ("p1", 1.5), ("p2", 0.1 + 0.2)]}


def test_judgements_are_read_once(tmp_path):
    collection = write(tmp_path)
    assert collection.qrels("test") is collection.qrels("test")
    assert collection.candidates("test") is collection.candidates("test")


def test_the_fingerprint_ignores_place_and_name_and_the_order_of_judgements(tmp_path):
    first = write(tmp_path / "a")
    reordered = {"train": QRELS["train"], "test": {"q1": {"p2": 0, "p1": 2}}}
    ranked = {"test": {"q1": CANDIDATES["test"]["q1"][::-1]}}
    second = write(tmp_path / "b" / "c", name="other", qrels=reordered, candidates=ranked, info={"note": 1})
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"passages": [("p1", "one"), ("p2", "two"), ("p10", "Ten")]},
        {"passages": [("p1", "one"), ("p10", "ten"), ("p2", "two")]},
        {"passages": [*PASSAGES, ("p3", "")]},
        {"queries": [("q1", "first"), ("q2", "2nd")]},
        {"qrels": {**QRELS, "test": {"q1": {"p1": 1, "p2": 0}}}},
        {"qrels": {"dev": QRELS["test"], "train": QRELS["train"]}, "candidates": {}},
        {"qrels": {"test": QRELS["test"]}},
        {"candidates": {}},
        {"candidates": {"test": {"q1": [("p1", 1.5), ("p2", 0.3), ("p10", 1.5)]}}},
    ],
)
def test_every_change_of_content_changes_the_fingerprint(tmp_path, change):
    assert write(tmp_path / "a").fingerprint != write(tmp_path / "b", **change).fingerprint


def test_the_fingerprint_tells_where_an_id_ends_and_its_text_begins(tmp_path):
    one = write(tmp_path / "a", passages=[*PASSAGES, ("x", "y1:z0:")])
    other = write(tmp_path / "b", passages=[*PASSAGES, ("x", "y"), ("z", "")])
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("change", "table", "message"),
    [
        ({"passages": []}, "passages", "there are no passages; expected at least one with an id and a text"),
        ({"queries": []}, "queries", "there are no queries; expected at least one with an id and a text"),
        (
            {"passages": [*PASSAGES, ("p2", "again")]},
            "passages",
            "the passage id 'p2' has two different texts; expected one",
        ),
        ({"queries": [*QUERIES, ("q1", "")]}, "queries", "the query id 'q1' has two different texts; expected one"),
        (
            {"passages": [("a b", "")]},
            "passages",
            "the passage id 'a b' is empty or holds a blank; expected one word",
        ),
        ({"queries": [("", "")]}, "queries", "the query id '' is empty or holds a blank; expected one word"),
        (
            {"passages": [("p1", "\ud800")]},
            "passages",
            "the passage 'p1' is not valid Unicode (half of a surrogate pair); expected whole characters",
        ),
        ({"qrels": {"dev": {}}}, "qrels/dev", "there are no judgements; expected at least one"),
        (
            {"qrels": {"dev": {"q9": {"p1": 1}}}},
            "qrels/dev",
            "the query id 'q9' is unknown; expected one of the queries",
        ),
        (
            {"qrels": {"dev": {"q1": {"p1": 1, "p9": 0}, "q2": {"p8": 1}}}},
            "qrels/dev",
            "the passage id 'p9' is unknown; expected one of the corpus",
        ),
        (
            {"candidates": {"test": {"q1": [("p9", 1.0)]}}},
            "candidates/test",
            "the passage id 'p9' is unknown; expected one of the corpus",
        ),
        (
            {"candidates": {"test": {"q1": [("p1", 1.0), ("p1", 2.0)]}}},
            "candidates/test",
            "passage 'p1' occurs twice for query 'q1'; expected every candidate once",
        ),
        (
            {"candidates": {"test": {"q1": [("p1", math.nan)]}}},
            "candidates/test",
            "the score nan is not finite; expected a number",
        ),
    ],
)
def test_unsound_content_is_refused(tmp_path, change, table, message):
    with pytest.raises(ContentError) as error:
        write(tmp_path, **change)
    assert str(error.value) == message
    assert error.value.table == table


def test_a_split_without_judgements_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="'small' has no judgements for split 'dev'; splits with some: train, test"):
        write(tmp_path).qrels("dev")


def test_a_folder_that_is_no_collection_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not a collection: expected the file manifest\.json in it"):
        open_collection(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="expected a collection of format 1, got 99"):
        open_collection(tmp_path)
