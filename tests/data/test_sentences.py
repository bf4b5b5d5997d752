"""[data] queries = "sentences": titles and first sentences of passages stand for a log of queries."""

import json
from pathlib import Path

import pytest

from distilkit.data.collection import Collection, open_collection
from distilkit.data.sentences import first_sentence, own_passages
from distilkit.data.sources.beir import BeirSource
from distilkit.data.sources.msmarco import MsMarcoSource
from distilkit.errors import UserError

PASSAGES = [
    {"_id": "a", "title": "On red apples", "text": "Apples grow here. They are red."},
    {"_id": "b", "title": "", "text": "Rivers run to the sea. All of them do."},
    {"_id": "c", "title": "", "text": "Short."},
    {"_id": "d", "title": "", "text": "A sentence of its own without an end"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in PASSAGES))
    return tmp_path / "data"


def written(source: BeirSource | MsMarcoSource, folder: Path) -> Collection:
    source.write(folder)
    return open_collection(folder)


def test_titles_and_first_sentences_are_queries(folder: Path, tmp_path: Path) -> None:
    found = written(BeirSource(folder, sentences=10), tmp_path / "made")
    texts = dict(zip(found.queries.ids(range(3)), found.queries.texts(range(3)), strict=True))
    assert texts == {
        "sentence:a": "On red apples",
        "sentence:b": "Rivers run to the sea.",
        "sentence:d": "A sentence of its own without an end",
    }
    assert found.splits == ()
    assert own_passages(found, ["sentence:b", "b", "sentence:z"]).tolist() == [1, -1, -1]


def test_they_stand_beside_a_log_and_are_as_many_as_asked_for(folder: Path, tmp_path: Path) -> None:
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "what grows"}\n')
    one, two = (written(BeirSource(folder, sentences=count), tmp_path / str(count)) for count in (1, 2))
    assert (len(one.queries), len(two.queries)) == (2, 3)
    assert BeirSource(folder, sentences=1).key() != BeirSource(folder, sentences=2).key()
    assert "sentences" not in BeirSource(folder).key()


def test_of_ms_marcos_passages_too(tmp_path: Path) -> None:
    (tmp_path / "collection.tsv").write_text("1\tApples grow here. They are red.\n2\tNo.\n")
    (tmp_path / "queries.test.tsv").write_text("7\twhat grows\n")
    (tmp_path / "qrels.test.tsv").write_text("7 0 1 1\n")
    found = written(MsMarcoSource(tmp_path, sentences=5), tmp_path / "made")
    assert found.queries.ids(range(2)) == ["7", "sentence:1"]
    assert found.queries.text(1) == "Apples grow here."


def test_no_queries_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no queries.jsonl \(or queries.jsonl.gz\); expected a BEIR folder"):
        BeirSource(folder).key()
    (folder / "corpus.jsonl").write_text('{"_id": "c", "text": "Short."}\n')
    with pytest.raises(UserError, match="there are no queries; expected at least one"):
        written(BeirSource(folder, sentences=5), tmp_path / "made")


def test_a_first_sentence_ends_at_its_mark() -> None:
    assert first_sentence(" What is it? It is 3.5 cm. ") == "What is it?"
    assert first_sentence("苹果是红的。河流很长。") == "苹果是红的。"
