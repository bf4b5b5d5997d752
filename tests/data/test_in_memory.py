"""Collections out of memory are the same, by their content, as a folder of it."""

import json

import pytest
from datasets import Dataset, DatasetDict

from distilkit.data.collection import Collection, open_collection
from distilkit.data.sources import BeirSource
from distilkit.errors import UserError

CORPUS = {"d1": {"title": "A title", "text": "one"}, "2": {"title": "", "text": "two"}, "d3": {"text": "三"}}
QUERIES = {"q1": "first", "7": "seventh"}
QRELS = {"train": {"q1": {"d1": 2, "2": 0}}, "dev": {"7": {"d3": 1}}, "test": {"7": {"2": 1}}}


@pytest.fixture
def folder(tmp_path):
    """Return the collection of a BEIR folder."""
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    corpus = [{"_id": id, **value} for id, value in CORPUS.items()]
    queries = [{"_id": id, "text": text} for id, text in QUERIES.items()]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (beir / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, qrels in QRELS.items():
        rows = "".join(f"{q}\t{d}\t{grade}\n" for q, judged in qrels.items() for d, grade in judged.items())
        (beir / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    BeirSource(beir).write(tmp_path / "written")
    return open_collection(tmp_path / "written")


def rows(qrels):
    return [
        {"query-id": q, "corpus-id": d, "score": grade} for q, judged in qrels.items() for d, grade in judged.items()
    ]


def columns(entries):
    return {name: [entry[name] for entry in entries] for name in entries[0]}


def test_dictionaries(folder):
    found = Collection.from_dicts(CORPUS, QUERIES, QRELS)
    assert found.fingerprint == folder.fingerprint
    assert found.hashes == folder.hashes
    assert found.splits == ("train", "dev", "test")
    plain = Collection.from_dicts({"d1": "A title one", 2: "two", "d3": "三"}, {"q1": "first", 7: "seventh"}, QRELS)
    assert plain.fingerprint == folder.fingerprint
    assert Collection.from_dicts(CORPUS, QUERIES, {"q1": {"d1": 1}}).qrels("test") == {"q1": {"d1": 1}}
    ranked = {"test": {"7": [("2", 2.0), ("d1", 1.0)]}}
    assert Collection.from_dicts(CORPUS, QUERIES, QRELS, candidates=ranked).candidates("test") == ranked["test"]


def test_data_sets_of_hugging_face(folder):
    corpus = Dataset.from_dict(columns([{"_id": id, "title": "", **value} for id, value in CORPUS.items()]))
    queries = Dataset.from_dict({"_id": list(QUERIES), "text": list(QUERIES.values())})
    names = {"train": "train", "dev": "validation", "test": "test"}
    qrels = DatasetDict({names[split]: Dataset.from_dict(columns(rows(one))) for split, one in QRELS.items()})
    assert Collection.from_huggingface(corpus, queries, qrels).fingerprint == folder.fingerprint


def test_frames_of_pandas(folder):
    pandas = pytest.importorskip("pandas")
    corpus = pandas.DataFrame([{"_id": id, **value} for id, value in CORPUS.items()])
    queries = pandas.DataFrame({"qid": list(QUERIES), "query": list(QUERIES.values())})
    every = [{**row, "split": split} for split, qrels in QRELS.items() for row in rows(qrels)]
    assert Collection.from_pandas(corpus, queries, pandas.DataFrame(every)).fingerprint == folder.fingerprint
    each = {split: pandas.DataFrame(rows(qrels)) for split, qrels in QRELS.items()}
    assert Collection.from_pandas(corpus, queries, each).fingerprint == folder.fingerprint
    one = pandas.DataFrame({"qid": [7], "docno": ["d1"], "label": [1.0]})
    assert Collection.from_pandas(corpus, queries, one).qrels("test") == {"7": {"d1": 1}}


def test_it_vanishes_with_the_object_unless_it_has_a_folder(tmp_path):
    found = Collection.from_dicts(CORPUS, QUERIES, QRELS)
    where = found.folder
    assert where.is_dir()
    del found
    assert not where.exists()
    kept = Collection.from_dicts(CORPUS, QUERIES, QRELS, name="mine", folder=tmp_path / "kept")
    assert open_collection(tmp_path / "kept").fingerprint == kept.fingerprint
    assert open_collection(tmp_path / "kept").name == "mine"
    with pytest.raises(UserError, match="is there already; expected an empty folder"):
        Collection.from_dicts(CORPUS, QUERIES, QRELS, folder=tmp_path / "kept")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"corpus": {"d1": None}}, "corpus, 'd1': expected a text and, where there is one, a title, got None"),
        ({"corpus": {1.5: "x"}}, "corpus, 1.5: expected an id, a string or a whole number, got 1.5"),
        ({"queries": {"q 1": "x"}}, "memory, queries: the query id 'q 1' is empty or holds a blank"),
        (
            {"qrels": {"test": {"q1": {"d1": 0.5}}}},
            "qrels, test, 'q1': expected the grade to be a whole number",
        ),
        ({"qrels": {"q1": ["d1"]}}, "qrels, test: expected a dictionary of query, passage and grade"),
        ({"qrels": {"q9": {"d1": 1}}}, "memory, qrels/test: the query id 'q9' is unknown"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changed, message):
    with pytest.raises(UserError) as error:
        Collection.from_dicts(**{"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, **changed})
    assert message in str(error.value)


def test_a_missing_column_is_named():
    queries = Dataset.from_dict({"_id": ["q1"], "txt": ["x"]})
    corpus = Dataset.from_dict({"_id": ["d1"], "text": ["x"]})
    qrels = Dataset.from_dict({"query-id": ["q1"], "corpus-id": ["d1"], "score": [1]})
    with pytest.raises(UserError, match="queries: there is no column 'text'"):
        Collection.from_huggingface(corpus, queries, qrels)
