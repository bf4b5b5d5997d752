import pytest

from distilkit.data.collection import open_collection, write_collection
from distilkit.data.examples import validation_split
from distilkit.errors import UserError

TRAIN = {f"q{i}": {"p1": int(i != 0)} for i in range(10)}
DEV = {"d1": {"p1": 1}, "d2": {"p1": 1}}


@pytest.fixture
def collection(tmp_path):
    def make(**qrels):
        queries = [(query, "") for judged in qrels.values() for query in judged]
        write_collection(tmp_path, name="c", passages=[("p1", "")], queries=queries, qrels=qrels)
        return open_collection(tmp_path)

    return make


def test_dev_is_the_default(collection):
    assert validation_split(collection(train=TRAIN, dev=DEV)) == (TRAIN, DEV)


def test_without_dev_queries_are_taken_out_of_train(collection):
    train, validation = validation_split(collection(train=TRAIN), queries=3)
    assert len(validation) == 3
    assert "q0" not in validation  # it has no relevant passage, so no ranking of it is better than another
    assert {**train, **validation} == TRAIN
    assert not set(train) & set(validation)


def test_the_choice_depends_on_the_seed_and_not_on_the_order(collection):
    forward = validation_split(collection(train=TRAIN), queries=3)
    assert set(forward[1]) == {"q2", "q3", "q7"}
    assert validation_split(collection(train=dict(reversed(TRAIN.items()))), queries=3) == forward
    assert validation_split(collection(train=TRAIN), queries=3, seed=2) != forward


def test_a_larger_choice_holds_the_smaller_one(collection):
    small, large = (validation_split(collection(train=TRAIN), queries=n)[1] for n in (3, 5))
    assert set(small) < set(large)


def test_where_to_take_from_can_be_said(collection):
    made = collection(train=TRAIN, dev=DEV)
    assert set(validation_split(made, take_from="train", queries=2)[1]) < set(TRAIN)
    train, validation = validation_split(made, take_from="dev", queries=1)
    assert train == TRAIN
    assert set(validation) < set(DEV)


def test_without_train_judgements_there_is_nothing_to_train_on(collection):
    with pytest.raises(UserError, match="'c' has no train judgements to train on; it has: dev, test"):
        validation_split(collection(dev=DEV, test={"t": {"p1": 1}}))


def test_test_queries_are_never_validated_on(collection):
    with pytest.raises(UserError, match=r"validation\.from is 'test'; expected 'train' or 'dev'"):
        validation_split(collection(train=TRAIN, test=DEV), take_from="test")


@pytest.mark.parametrize("queries", [0, 9])
def test_more_queries_than_there_are_is_refused(collection, queries):
    expected = f"validation.queries is {queries}; expected 1 to 8, as train has 9 queries with a relevant passage"
    with pytest.raises(UserError, match=expected):
        validation_split(collection(train=TRAIN), queries=queries)
