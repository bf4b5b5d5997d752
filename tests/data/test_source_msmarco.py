import gzip
import shutil

import pytest

from distilkit.data.collection import open_collection
from distilkit.data.sources import MsMarcoSource
from distilkit.errors import UserError

FILES = {
    "collection.tsv": "0\tzero\n1\tone\twith a tab\n2\ttwo\n",
    "queries.train.tsv": "10\tten\n11\televen\n",
    "queries.dev.small.tsv": "20\ttwenty\n",
    "qrels.train.tsv": "10\t0\t1\t1\n11\t0\t2\t1\n",
    "qrels.dev.small.tsv": "20 0 0 1\n20 0 2 3\n",
    "top1000.dev.tsv": "20\t0\ttwenty\tzero\n20\t1\ttwenty\tone\twith a tab\n",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "msmarco"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


def load(folder, **settings):
    target = folder.parent / "collection"
    shutil.rmtree(target, ignore_errors=True)
    MsMarcoSource(folder, **settings).write(target)
    return open_collection(target)


def test_a_small_folder(folder):
    collection = load(folder)
    assert collection.passages.texts(range(3)) == ["zero", "one\twith a tab", "two"]
    assert collection.queries.ids(range(3)) == ["10", "11", "20"]
    assert collection.splits == ("train", "dev")
    assert collection.qrels("train") == {"10": {"1": 1}, "11": {"2": 1}}
    assert collection.qrels("dev") == {"20": {"0": 1, "2": 3}}
    assert collection.candidates("train") is None
    assert collection.candidates("dev") == {"20": [("1", 0.0), ("0", 0.0)]}
    assert collection.info["candidates"] == {"dev": "top1000"}


def test_packed_files_make_the_same_collection(folder):
    plain = load(folder).fingerprint
    for name in FILES:
        (folder / (name + ".gz")).write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    assert load(folder).fingerprint == plain


def test_ranked_candidates_win_over_the_unordered_ones(folder):
    (folder / "candidates").mkdir()
    (folder / "candidates" / "bm25.dev.trec").write_text("20 Q0 2 1 7.5 x\n")
    assert load(folder).candidates("dev") == {"20": [("2", 7.5)]}
    assert load(folder, candidates="top1000").candidates("dev") == {"20": [("1", 0.0), ("0", 0.0)]}
    assert load(folder, candidates="bm25").info["candidates"] == {"dev": "bm25"}


def test_small_judgements_win_and_all_queries_serve_them(folder):
    (folder / "queries.dev.tsv").write_text("20\ttwenty\n21\ttwenty-one\n")
    (folder / "qrels.dev.tsv").write_text("21\t0\t1\t1\n")
    collection = load(folder)
    assert collection.queries.ids(range(4)) == ["10", "11", "20", "21"]
    assert list(collection.qrels("dev")) == ["20"]


def test_further_judged_queries_are_splits_of_their_own(folder):
    before = MsMarcoSource(folder).key()
    (folder / "queries.dl19.tsv").write_text("90\tninety\n91\tnot judged\n")
    (folder / "qrels.dl19.tsv").write_text("90 Q0 0 3\n90 Q0 1 0\n90 Q0 2 1\n")
    (folder / "candidates").mkdir()
    (folder / "candidates" / "bm25.dl19.trec").write_text("90 Q0 2 1 7.5 x\n")
    collection = load(folder)
    assert collection.splits == ("train", "dev", "dl19")
    assert collection.qrels("dl19") == {"90": {"0": 3, "1": 0, "2": 1}}
    assert collection.candidates("dl19") == {"90": [("2", 7.5)]}
    assert collection.queries.ids(range(5)) == ["10", "11", "20", "90", "91"]
    assert MsMarcoSource(folder).key() != before
    (folder / "qrels.dl19.tsv.gz").write_bytes(gzip.compress(b"90 Q0 0 1\n"))
    assert load(folder).qrels("dl19") == {"90": {"0": 3, "1": 0, "2": 1}}  # the plain file wins, as for any other
    (folder / "queries.dl19.tsv").unlink()
    with pytest.raises(UserError, match=r"has no queries\.dl19\.tsv"):
        MsMarcoSource(folder).key()


def test_further_queries_alone_are_no_collection(folder):
    for name in ("qrels.train.tsv", "qrels.dev.small.tsv"):
        (folder / name).unlink()
    (folder / "qrels.dl19.tsv").write_text("10 Q0 0 1\n")
    with pytest.raises(UserError, match=r"has none of qrels\.train\.tsv, qrels\.dev\.tsv and qrels\.test\.tsv"):
        MsMarcoSource(folder).key()


def test_the_key_depends_on_what_is_read_and_on_no_path(folder):
    key = MsMarcoSource(folder).key()
    shutil.copytree(folder, folder.parent / "moved")
    assert MsMarcoSource(folder.parent / "moved").key() == key
    (folder / "top1000.dev.tsv").write_text("20\t0\n")
    assert MsMarcoSource(folder).key() != key


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("collection.tsv", "0 zero\n", "collection.tsv:1: expected an id, a tab and a text, got no tab"),
        (
            "collection.tsv",
            "0\ta\n1\tb\n0\tc\n",
            "collection.tsv:1 and {folder}/collection.tsv:3: the passage id '0' has two different texts; expected one",
        ),
        ("queries.train.tsv", "ten", "queries.train.tsv:1: expected an id, a tab and a text, got no tab"),
        (
            "queries.dev.small.tsv",
            "20\ttwenty\n11\tanother\n",
            "queries.train.tsv:2 and {folder}/queries.dev.small.tsv:2: the query id '11' has two different texts; "
            "expected one",
        ),
        (
            "qrels.train.tsv",
            "10\t1\t1\n",
            "qrels.train.tsv:1: expected four fields (query id, 0, passage id, grade), got 3",
        ),
        ("qrels.train.tsv", "10 0 1 x\n", "qrels.train.tsv:1: expected the grade to be a whole number, got 'x'"),
        (
            "qrels.train.tsv",
            "10 0 1 1\n12 0 1 1\n",
            "qrels.train.tsv:2: the query id '12' is unknown; expected one of the queries",
        ),
        (
            "qrels.train.tsv",
            "10 0 1 1\n10 0 9 1\n10 0 8 1\n",
            "qrels.train.tsv:2: the passage id '9' is unknown; expected one of the corpus",
        ),
        (
            "top1000.dev.tsv",
            "20\n",
            "top1000.dev.tsv:1: expected query id, passage id and texts separated by tabs, got no tab",
        ),
        (
            "top1000.dev.tsv",
            "20\t0\t\t\n20\t9\t\t\n",
            "top1000.dev.tsv:2: the passage id '9' is unknown; expected one of the corpus",
        ),
    ],
)
def test_bad_content_is_refused_with_file_and_line(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(UserError) as error:
        load(folder)
    assert str(error.value) == str(folder / message.format(folder=folder))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["collection.tsv"], "has no collection.tsv (or collection.tsv.gz); expected an MS MARCO folder"),
        (["queries.train.tsv"], "has no queries.train.tsv (or queries.train.tsv.gz); expected an MS MARCO folder"),
        (["qrels.train.tsv", "qrels.dev.small.tsv"], "has none of qrels.train.tsv, qrels.dev.tsv and qrels.test.tsv"),
    ],
)
def test_a_missing_file_is_named(folder, missing, message):
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(UserError) as error:
        MsMarcoSource(folder).key()
    assert str(error.value).startswith(f"{folder} {message}")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; expected an MS MARCO folder"):
        MsMarcoSource(tmp_path / "nowhere").key()


def test_candidates_that_are_not_there_are_named(folder):
    with pytest.raises(UserError, match="has no candidates called 'splade'"):
        MsMarcoSource(folder, candidates="splade").key()
    (folder / "top1000.dev.tsv").unlink()
    with pytest.raises(UserError, match=r"has no top1000\.SPLIT\.tsv for one of train, dev"):
        MsMarcoSource(folder, candidates="top1000").key()
