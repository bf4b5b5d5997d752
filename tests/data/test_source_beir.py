import gzip
import shutil

import pytest

from distilkit.data.collection import open_collection
from distilkit.data.sources import SOURCES, BeirSource
from distilkit.errors import UserError

CORPUS = """\
{"_id": "d1", "title": "A title", "text": "and a text"}
{"_id": "d2", "title": "", "text": "no title", "metadata": {"url": "x"}}
{"_id": 3, "text": "a number for an id"}
"""
QUERIES = '{"_id": "q1", "text": "who?"}\n\n{"_id": 2, "text": "ümlaut"}\r\n'
FILES = {
    "corpus.jsonl": CORPUS,
    "queries.jsonl": QUERIES,
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n",
    "qrels/test.tsv": "2\t3\t2\n",
    "candidates/bm25.test.trec": "2 Q0 d1 1 4.5 x\n2 Q0 3 2 4.25 x\n",
    "candidates/pool.train.trec": "q1 Q0 d1 1 0 x\n",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "small"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def load(folder, **settings):
    target = folder.parent / "collection"
    shutil.rmtree(target, ignore_errors=True)
    BeirSource(folder, **settings).write(target)
    return open_collection(target)


def test_a_small_folder(folder):
    collection = load(folder, candidates="bm25")
    assert collection.name == "small"
    assert collection.passages.ids(range(3)) == ["d1", "d2", "3"]
    assert collection.passages.texts(range(3)) == ["A title and a text", "no title", "a number for an id"]
    assert collection.queries.texts(range(2)) == ["who?", "ümlaut"]
    assert collection.splits == ("train", "test")
    assert collection.qrels("train") == {"q1": {"d1": 1, "d2": 0}}
    assert collection.qrels("test") == {"2": {"3": 2}}
    assert collection.candidates("train") is None
    assert collection.candidates("test") == {"2": [("d1", 4.5), ("3", 4.25)]}
    assert collection.info["source"] == "beir"
    assert collection.fingerprint == "11b6f139c70154409016daf7e833d33b66ee3ebd18c7624f1c3ef565eca21825"


def test_candidates_are_read_where_they_are_asked_for(folder):
    assert load(folder).candidates("test") is None
    assert load(folder, candidates="pool").candidates("train") == {"q1": [("d1", 0.0)]}


def test_packed_files_make_the_same_collection(folder):
    plain = load(folder, candidates="bm25").fingerprint
    for name in FILES:
        path = folder / name
        (folder / (name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load(folder, candidates="bm25").fingerprint == plain


def test_the_key_depends_on_what_is_read_and_on_no_path(folder):
    key = BeirSource(folder).key()
    shutil.copytree(folder, folder.parent / "moved")
    assert BeirSource(folder.parent / "moved").key() == key
    assert BeirSource(folder, candidates="bm25").key() != key
    (folder / "README.md").write_text("not read")
    assert BeirSource(folder).key() == key
    (folder / "queries.jsonl").write_text(QUERIES.replace("who", "whom"))
    assert BeirSource(folder).key() != key


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("corpus.jsonl", CORPUS + '{"_id": "d4"\n', "corpus.jsonl:4: broken JSON ("),
        ("corpus.jsonl", '{"text": "x"}\n', "corpus.jsonl:1: the field '_id' is missing; expected _id and text"),
        ("corpus.jsonl", '{"_id": "x"}\n', "corpus.jsonl:1: the field 'text' is missing; expected _id and text"),
        ("corpus.jsonl", "[1]\n", "corpus.jsonl:1: expected a JSON object with _id and text, got a list"),
        (
            "corpus.jsonl",
            '{"_id": null, "text": "x"}\n',
            "corpus.jsonl:1: expected _id to be a string or a whole number, got null",
        ),
        (
            "corpus.jsonl",
            '{"_id": true, "text": "x"}\n',
            "corpus.jsonl:1: expected _id to be a string or a whole number, got true or false",
        ),
        ("corpus.jsonl", '{"_id": "x", "text": null}\n', "corpus.jsonl:1: expected text to be a string, got null"),
        (
            "corpus.jsonl",
            '{"_id": "x", "text": "", "title": 1.5}\n',
            "corpus.jsonl:1: expected title to be a string, got a number",
        ),
        ("corpus.jsonl", "\n", "corpus.jsonl: there are no passages; expected at least one with an id and a text"),
        (
            "corpus.jsonl",
            CORPUS + '{"_id": "d1", "text": ""}',
            "corpus.jsonl:4: the passage id 'd1' has two different texts; expected one",
        ),
        (
            "corpus.jsonl",
            '{"_id": "d 1", "text": ""}\n',
            "corpus.jsonl:1: the passage id 'd 1' is empty or holds a blank; expected one word",
        ),
        ("queries.jsonl", "", "queries.jsonl: there are no queries; expected at least one with an id and a text"),
        (
            "queries.jsonl",
            QUERIES + '{"_id": "2", "text": ""}\n',
            "queries.jsonl:4: the query id '2' has two different texts; expected one",
        ),
        (
            "qrels/test.tsv",
            "query-id\tcorpus-id\tscore\n2 3 1\n",
            "test.tsv:2: expected three fields separated by tabs (query-id, corpus-id, score), got 1",
        ),
        ("qrels/test.tsv", "2\t3\tgood\n", "test.tsv:1: expected the grade to be a whole number, got 'good'"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "test.tsv: there are no judgements; expected at least one"),
        (
            "qrels/test.tsv",
            "2\t3\t1\nq9\t3\t1\n",
            "test.tsv:2: the query id 'q9' is unknown; expected one of the queries",
        ),
        (
            "qrels/test.tsv",
            "2\td9\t1\n2\td8\t1\n2\t3\t1\n",
            "test.tsv:1: the passage id 'd9' is unknown; expected one of the corpus",
        ),
        (
            "qrels/test.tsv",
            "2\t3\t1\n2\t3\t0\n",
            "test.tsv:2: query '2' and passage '3' are judged 1 there and 0 here; expected one grade",
        ),
        (
            "candidates/bm25.test.trec",
            "2 Q0 d1 1 4.5\n",
            "bm25.test.trec:1: expected six fields (query id, Q0, passage id, rank, score, tag), got 5",
        ),
        (
            "candidates/bm25.test.trec",
            "2 Q0 d1 1 nan x\n",
            "bm25.test.trec:1: expected the score to be a finite number, got 'nan'",
        ),
        (
            "candidates/bm25.test.trec",
            "2 Q0 d1 1 1 x\n7 Q0 d1 1 1 x\n",
            "bm25.test.trec:2: the query id '7' is unknown; expected one of the queries",
        ),
        (
            "candidates/bm25.test.trec",
            "2 Q0 d1 1 1 x\n2 Q0 d7 1 1 x\n",
            "bm25.test.trec:2: the passage id 'd7' is unknown; expected one of the corpus",
        ),
        (
            "candidates/bm25.test.trec",
            "2 Q0 d1 1 1 x\n2 Q0 d1 2 1 x\n",
            "bm25.test.trec:2: passage 'd1' occurs twice for query '2'; expected every candidate once",
        ),
    ],
)
def test_bad_content_is_refused_with_file_and_line(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(UserError) as error:
        load(folder, candidates="bm25")
    assert message in str(error.value)
    assert str(error.value).startswith(str(folder / file))


def test_the_same_judgement_twice_is_harmless(folder):
    (folder / "qrels/test.tsv").write_text("2\t3\t1\n2\t3\t1\n")
    assert load(folder).qrels("test") == {"2": {"3": 1}}


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "corpus.jsonl",
            "has no corpus.jsonl (or corpus.jsonl.gz); expected a BEIR folder: corpus.jsonl, queries.jsonl",
        ),
        ("queries.jsonl", "has no queries.jsonl (or queries.jsonl.gz); expected a BEIR folder"),
        ("", "there is no folder"),
    ],
)
def test_a_missing_file_is_named(folder, missing, message):
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for step in (BeirSource(folder).key, lambda: BeirSource(folder).write(folder.parent / "out")):
        with pytest.raises(UserError) as error:
            step()
        assert message in str(error.value)
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)


def test_judgements_are_not_needed_and_their_folder_holds_some(folder):
    shutil.rmtree(folder / "qrels")
    assert load(folder).splits == ()
    (folder / "qrels").mkdir()
    with pytest.raises(UserError, match=r"qrels has none of train.tsv, dev.tsv and test.tsv; expected a BEIR folder"):
        BeirSource(folder).key()


def test_candidates_that_are_not_there_are_named(folder):
    with pytest.raises(
        UserError, match=r"no candidates called 'bm52' \(expected bm52.SPLIT.trec .* train, test\); did you mean 'bm25'"
    ):
        BeirSource(folder, candidates="bm52").key()


def test_a_file_in_another_encoding_is_refused(folder):
    (folder / "corpus.jsonl").write_bytes('{"_id": "d1", "text": "é"}\n'.encode("latin-1"))
    with pytest.raises(UserError, match=r"corpus.jsonl: not UTF-8 text, near line 1; expected UTF-8"):
        load(folder)


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(CORPUS.encode() * 1000)[:-20]])
def test_a_damaged_packed_file_is_refused(folder, content):
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(content)
    with pytest.raises(
        UserError, match=r"corpus.jsonl.gz: cannot be read after line \d+ \(.*\); expected a whole file"
    ):
        load(folder)


def test_a_byte_order_mark_is_no_content(folder):
    (folder / "corpus.jsonl").write_text("\ufeff" + CORPUS)
    assert load(folder).passages.id(0) == "d1"


def test_an_unknown_source_is_refused_with_the_nearest_name():
    assert list(SOURCES) == ["beir", "collection", "huggingface", "ir_datasets", "msmarco", "pydocs"]
    with pytest.raises(UserError, match="no data source is called 'biir'; did you mean 'beir'"):
        SOURCES["biir"]
