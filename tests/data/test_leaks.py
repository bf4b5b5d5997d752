"""Queries that are measured are not trained on: equal ids are refused, equal texts left out and counted."""

import pytest

from distilkit.data.collection import Collection, open_collection, write_collection
from distilkit.data.leaks import HeldOut, MeasuredQueries, plain
from distilkit.errors import UserError

QUERIES = {
    "t1": "Who was  Ada Lovelace?",
    "t2": "a river",
    "t3": "萤火虫 会发光",
    "e1": "who was ada lovelace?",
    "e2": "another river",
    "e3": "萤火虫会发光",
}


@pytest.fixture
def make(tmp_path):
    def write(name, queries, **splits) -> Collection:
        qrels = {split: {query: {"d": 1} for query in ids} for split, ids in splits.items()}
        write_collection(
            tmp_path / name, name=name, passages=[("d", "text")], queries=queries.items(), qrels=qrels, info={}
        )
        return open_collection(tmp_path / name)

    return write


def held(collection, *measured):
    return HeldOut.of(collection, measured).without(collection, collection.qrels("train"))


def test_training_queries_of_a_measured_text_are_left_out_and_counted(make):
    collection = make("one", QUERIES, train=["t1", "t2", "t3"], test=["e1", "e2", "e3"])
    train, said = held(collection, MeasuredQueries("queries of the set test", collection, ["e1", "e2", "e3"]))
    assert train == {"t2": {"d": 1}}
    assert said == [
        "2 of 3 training queries have the text of one of the queries of the set test (case and blanks aside): left out "
        "of training"
    ]


def test_they_are_told_by_their_text_in_another_collection_and_not_by_their_id(make):
    collection = make("one", QUERIES, train=["t1", "t2"])
    other = make("other", {"t2": "WHO was Ada Lovelace?", "x": "no river"}, test=["t2", "x"])
    train, _ = held(collection, MeasuredQueries("queries of the set other", other, ["t2", "x"]))
    assert set(train) == {"t2"}


def test_equal_ids_are_refused_but_of_queries_drawn_from_the_training_queries(make):
    collection = make("one", QUERIES, train=["t1", "t2"], test=["t2", "e2"])
    measured = MeasuredQueries("queries of the set test", collection, ["t2", "e2"])
    problem = "1 of the 2 training queries are measured too: the first, 't2', is among the queries of the set test"
    with pytest.raises(UserError, match=problem):
        held(collection, measured)
    drawn = MeasuredQueries("validation queries", collection, ["e1"], drawn=True)
    assert set(held(collection, drawn)[0]) == {"t2"}


def test_training_needs_a_query_of_its_own(make):
    collection = make("one", QUERIES, train=["t1"], test=["e1"])
    with pytest.raises(UserError, match=r"1 of 1 training queries .* and none is left; expected training queries"):
        held(collection, MeasuredQueries("queries of the set test", collection, ["e1"]))


def test_of_several_sets_the_first_that_has_a_query_is_named(make):
    collection = make("one", QUERIES, train=["t1", "t2", "t3"])
    sets = [MeasuredQueries(name, collection, ids) for name, ids in (("dev ones", ["e1"]), ("test ones", ["e1", "e3"]))]
    _, said = held(collection, *sets)
    assert [sentence.partition(" have")[0] for sentence in said] == ["1 of 3 training queries"] * 2
    assert ["dev ones" in said[0], "test ones" in said[1]] == [True, True]
    assert HeldOut.of(collection, sets).key() == HeldOut.of(collection, sets[1:]).key()
    assert HeldOut.of(collection, sets).key() != HeldOut.of(collection, sets[:1]).key()


@pytest.mark.parametrize(("one", "other"), [("ＡＢＣ １", "abc1"), ("Straße", "STRASSE"), (" a\u3000b\n", "AB")])
def test_texts_are_equal_but_for_case_blanks_and_width(one, other):
    assert plain(one) == plain(other)
