from pathlib import Path

import pytest

from distilkit.data.bm25 import Bm25
from distilkit.data.collection import open_collection
from distilkit.data.sources import BeirSource

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def load(name, folder, candidates="bm25"):
    if not (DATA / name).is_dir():
        pytest.skip(f"the collection {name} is not here")
    BeirSource(DATA / name, candidates).write(folder)
    return open_collection(folder)


@pytest.mark.parametrize(
    ("name", "passages", "queries", "judgements"),
    [
        ("squad-sent", 13_447, (18_333, 1_498, 2_498), (18_360, 1_499, 2_500)),
        ("boolq-passage", 2_939, (2_494, 262, 514), (2_494, 262, 514)),
        ("scifact", 5_183, (729, 80, 300), (828, 91, 339)),
    ],
)
def test_counts_are_those_of_the_publications(tmp_path, name, passages, queries, judgements):
    collection = load(name, tmp_path)
    assert len(collection.passages) == collection.info["passages"] == passages
    assert collection.splits == ("train", "dev", "test")
    splits = [collection.info["splits"][split] for split in collection.splits]
    assert [split["queries"] for split in splits] == list(queries)
    assert [split["judgements"] for split in splits] == list(judgements)
    assert [len(collection.qrels(split)) for split in collection.splits] == list(queries)
    assert collection.candidates("train") is None
    assert collection.candidates("test").keys() <= collection.qrels("test").keys()


def test_bm25_reaches_the_published_recall_on_scifact(tmp_path):
    collection = load("scifact", tmp_path, candidates=None)
    qrels = collection.qrels("test")
    queries = sorted(qrels)
    bm25 = Bm25(collection.passages, k1=0.9, b=0.4)
    found, _ = bm25.retrieve(collection.queries.texts(collection.queries.find(queries)), 100)
    recalls = []
    for query, row in zip(queries, found, strict=True):
        relevant = {passage for passage, grade in qrels[query].items() if grade > 0}
        recalls.append(len(relevant & set(collection.passages.ids(row[row >= 0]))) / len(relevant))
    # BEIR's paper has .908 for R@100; Anserini's flat index has .925.
    assert 0.90 < sum(recalls) / len(recalls) < 0.94
