"""TREC runs and judgements: round trips, both forms of judgements, and errors that name file and line."""

import gzip
from pathlib import Path

import ir_measures
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilkit.errors import RunFailed, UserError
from distilkit.evaluation.trec import read_qrels, read_run, write_qrels, write_run

ids = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff\0"), min_size=1, max_size=8).filter(
    lambda text: text.split() == [text]
)
scores = st.floats(allow_nan=False, allow_infinity=False)
runs = st.dictionaries(ids, st.dictionaries(ids, scores, min_size=1, max_size=5), max_size=4)


@given(runs)
def test_a_written_run_reads_back_equal(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_run(path, {query: list(found.items()) for query, found in run.items()}, "tag")
    assert {query: dict(found) for query, found in read_run(path).items()} == run


def test_a_run_is_written_in_the_policys_order_with_ranks_from_one(tmp_path):
    path = tmp_path / "run.trec"
    write_run(path, {"q": [("a", 0.1), ("b", 2.0), ("c", 0.1), ("d", 1 / 3)]}, "my tag\n")
    assert path.read_text() == (
        "q Q0 b 1 2.0 my_tag\nq Q0 d 2 0.3333333333333333 my_tag\nq Q0 c 3 0.1 my_tag\nq Q0 a 4 0.1 my_tag\n"
    )


def test_packed_files_read_as_plain_ones_and_are_equal_when_written_twice(tmp_path):
    run = {"q": [("a", 1.5)]}
    for name in ("one.trec.gz", "two.trec.gz", "plain.trec"):
        write_run(tmp_path / name, run, "t")
        assert read_run(tmp_path / name) == run
    assert (tmp_path / "one.trec.gz").read_bytes() == (tmp_path / "two.trec.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.trec.gz").read_bytes()) == (tmp_path / "plain.trec").read_bytes()


def test_blank_lines_carriage_returns_tabs_and_any_rank_are_read(tmp_path):
    path = tmp_path / "run.trec"
    path.write_bytes(b"\xef\xbb\xbfq\tQ0\ta\t0\t1e-3\tt\r\n\r\nq Q0 b 0 -2 t")
    assert read_run(path) == {"q": [("a", 0.001), ("b", -2.0)]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("q Q0 a 1 nan t", "finite number, got 'nan'"),
        ("q Q0 a 1 -inf t", "finite number, got '-inf'"),
        ("q Q0 a 1 1_000 t", "finite number, got '1_000'"),
        ("q Q0 a 1 high t", "finite number, got 'high'"),
        ("q Q0 a 1 0.5", "expected six fields"),
        ("q Q0 a 1 0.5 my tag", "got 7"),
        ("q0 Q0 d 1 0.5 t", "document 'd' is listed twice for query 'q0'"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path, line, words):
    path = tmp_path / "run.trec"
    path.write_text(f"q0 Q0 d 1 2.0 t\n\n{line}\n")
    with pytest.raises(UserError, match=r"run\.trec:3: ") as caught:
        read_run(path)
    assert words in str(caught.value)


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "bytes.trec").write_bytes(b"q Q0 \xff 1 1 t\n")
    (tmp_path / "cut.trec.gz").write_bytes(gzip.compress(b"q Q0 a 1 1 t\n")[:-9])
    (tmp_path / "plain.trec.gz").write_bytes(b"q Q0 a 1 1 t\n")
    for name, problem in (
        ("bytes.trec", "not UTF-8 text, near line 1"),
        ("cut.trec.gz", "cannot be read after line 1"),
        ("plain.trec.gz", "cannot be read after line 0"),
        ("absent.trec", r"cannot be read after line 0 \(No such file or directory\)"),
    ):
        with pytest.raises(UserError, match=f"{name}: {problem}"):
            read_run(tmp_path / name)


def test_a_run_that_no_file_can_hold_is_refused_and_leaves_no_file(tmp_path):
    for run, error in (
        ({"q": [("a b", 1.0)]}, UserError),
        ({"": [("a", 1.0)]}, UserError),
        ({"q": [("a", float("nan"))]}, RunFailed),
        ({"q": [("a", 1.0), ("a", 2.0)]}, RunFailed),
    ):
        with pytest.raises(error):
            write_run(tmp_path / "run.trec", run, "t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    "text",
    [
        "q1 0 d1 2\nq1 0 d2 0\nq2 0 d1 -1\n",
        "q1\t0\td1\t2\nq1\t0\td2\t0\nq2\t0\td1\t-1\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n",
        "q1\td1\t2\r\nq1\td2\t0\r\n\r\nq2\td1\t-1",
    ],
)
def test_every_form_of_judgements_reads_the_same(tmp_path, text, suffix):
    path = tmp_path / f"qrels{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix else text.encode())
    assert read_qrels(path) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}


def test_judgements_are_written_as_others_read_them(tmp_path):
    qrels = {"q1": {"d1": 2, "d_2": 0}, "q2": {"d1": -1}}
    write_qrels(tmp_path / "qrels.tsv", qrels)
    assert (tmp_path / "qrels.tsv").read_text() == "q1 0 d1 2\nq1 0 d_2 0\nq2 0 d1 -1\n"
    found = {}
    for one in ir_measures.read_trec_qrels(str(tmp_path / "qrels.tsv")):
        found.setdefault(one.query_id, {})[one.doc_id] = one.relevance
    assert found == qrels == read_qrels(tmp_path / "qrels.tsv")
    # As PyTerrier and ranx read them.
    frame = pandas.read_csv(tmp_path / "qrels.tsv", sep=r"\s+", names=["qid", "iter", "docno", "label"])
    assert frame["label"].tolist() == [2, 0, -1]


def test_beir_ids_may_hold_blanks(tmp_path):
    write_qrels(tmp_path / "qrels.tsv", {"a query": {"a document": 1}})
    assert (tmp_path / "qrels.tsv").read_text() == "query-id\tcorpus-id\tscore\na query\ta document\t1\n"
    assert read_qrels(tmp_path / "qrels.tsv") == {"a query": {"a document": 1}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no judgements"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgements"),
        ("q 0 d 1\nq 0 d 2\n", ":2: query 'q' and passage 'd' are judged 1 there and 2 here"),
        ("q 0 d yes\n", ":1: expected the grade to be a whole number, got 'yes'"),
        ("q\td\t1\nq\te\t1.5\n", ":2: expected the grade to be a whole number, got '1.5'"),
        ("q 0 d\n", ":1: expected 'query 0 document grade' (TREC) or"),
        ("q Q0 d 1 0.5 t\n", "got 6 fields"),
    ],
)
def test_a_bad_line_of_judgements_is_named(tmp_path: Path, text, words):
    path = tmp_path / "qrels.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"qrels\.tsv") as caught:
        read_qrels(path)
    assert words in str(caught.value)


def test_the_same_judgement_twice_is_one(tmp_path):
    (tmp_path / "qrels").write_text("q 0 d 1\nq 0 d 1\n")
    assert read_qrels(tmp_path / "qrels") == {"q": {"d": 1}}
