"""Loose ends of published collections: rules, their counts, and right values from trec_eval and BEIR's own rule."""

import json

import numpy as np
import pytest
import pytrec_eval

from distilkit.data.candidates import Candidates
from distilkit.data.collection import open_collection, write_collection
from distilkit.data.columns import ColumnOrder
from distilkit.data.own_documents import own_documents
from distilkit.data.reading import beir_qrels, trec_qrels
from distilkit.data.sources import BeirSource, MsMarcoSource
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.policy import without_own
from distilkit.evaluation.trec import read_qrels


def beir(folder, corpus, queries, qrels):
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in rows)
        )
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{row}\n" for row in qrels))
    return folder


def load(source, folder):
    source.write(folder)
    return open_collection(folder)


CORPUS = [("d1", "one"), ("d2", "two"), ("d3", "three")]
QUERIES = [("q1", "first"), ("q2", "second")]


def test_judged_passages_that_the_corpus_lacks_count_as_trec_eval_counts_them(tmp_path):
    folder = beir(tmp_path / "b", CORPUS, QUERIES, ["q1\td1\t2", "q1\tgone\t1", "q1\tlost\t0", "q2\td2\t1"])
    collection = load(BeirSource(folder), tmp_path / "c")
    assert collection.info["unreachable"] == {"test": 2}
    assert collection.qrels("test")["q1"] == {"d1": 2, "gone": 1, "lost": 0}
    run = {"q1": [("d1", 2.0), ("d3", 1.0)], "q2": [("d2", 1.0)]}
    found = evaluate(run, collection.qrels("test"), ["nDCG@10", "R@10"])
    measured = pytrec_eval.RelevanceEvaluator(collection.qrels("test"), {"ndcg_cut.10", "recall.10"}).evaluate(
        {query: dict(ranked) for query, ranked in run.items()}
    )
    # By hand: 2 of the ideal 2 + 1 / log2(3), and one of two relevant documents.
    assert found.per_query["nDCG@10"]["q1"] == pytest.approx(2 / (2 + 1 / np.log2(3)))
    assert found.per_query["R@10"]["q1"] == 0.5
    for query in run:
        assert found.per_query["nDCG@10"][query] == pytest.approx(measured[query]["ndcg_cut_10"])
        assert found.per_query["R@10"][query] == pytest.approx(measured[query]["recall_10"])


def test_judgements_of_another_collection_are_refused(tmp_path):
    folder = beir(tmp_path / "b", CORPUS, QUERIES, ["q1\tx1\t1", "q1\tx2\t1", "q2\td2\t1"])
    with pytest.raises(UserError, match=r"test.tsv:2: the passage id 'x1' is unknown; expected one of the corpus"):
        load(BeirSource(folder), tmp_path / "c")


def test_equal_repeated_rows_are_read_once_and_counted(tmp_path):
    plain = load(BeirSource(beir(tmp_path / "a", CORPUS, QUERIES, ["q1\td1\t1"])), tmp_path / "ca")
    twice = beir(tmp_path / "b", [*CORPUS, CORPUS[1], CORPUS[0], CORPUS[1]], [*QUERIES, QUERIES[1]], ["q1\td1\t1"] * 2)
    merged = load(BeirSource(twice), tmp_path / "cb")
    assert merged.info["merged"] == {"passages": 3, "queries": 1}
    assert merged.info["repeated"] == {"test": 1}
    assert merged.fingerprint == plain.fingerprint
    assert merged.passages.ids(range(3)) == ["d1", "d2", "d3"]
    assert not {"merged", "repeated"} & plain.info.keys()


def test_unequal_repeated_rows_are_refused_with_both_lines(tmp_path):
    corpus = [CORPUS[0], CORPUS[1], CORPUS[0], ("d1", "eins")]
    folder = beir(tmp_path / "b", corpus, QUERIES, ["q1\td1\t1"])
    with pytest.raises(UserError) as error:
        load(BeirSource(folder), tmp_path / "c")
    path = folder / "corpus.jsonl"
    assert str(error.value) == f"{path}:1 and {path}:4: the passage id 'd1' has two different texts; expected one"
    folder = beir(tmp_path / "g", CORPUS, QUERIES, ["q1\td1\t1", "q2\td2\t1", "q1\td1\t2"])
    path = folder / "qrels/test.tsv"
    with pytest.raises(UserError) as error:
        load(BeirSource(folder), tmp_path / "h")
    problem = "query 'q1' and passage 'd1' are judged 1 there and 2 here; expected one grade"
    assert str(error.value) == f"{path}:2 and {path}:4: {problem}"


@pytest.fixture
def msmarco(tmp_path):
    folder = tmp_path / "ms"
    folder.mkdir()
    files = {
        "collection.tsv": "1\tapple pie\n2\tbanana\n3\triver\n4\tvalley\n",
        "queries.train.tsv": "10\tapple\n",
        "qrels.train.tsv": "10\t0\t1\t1\n",
        "queries.dl19.tsv": "20\tbanana\n21\tvalley\n",
        "qrels.dl19.tsv": "20 0 2 2\n21 0 4 1\n",
        "queries.dlhard.tsv": "20\tbanana\n22\triver\n",
        "qrels.dlhard.tsv": "20 0 2 1\n22 0 3 3\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_overlapping_query_sets_are_merged_where_they_agree(msmarco, tmp_path):
    collection = load(MsMarcoSource(msmarco), tmp_path / "c")
    assert collection.queries.ids(range(4)) == ["10", "20", "21", "22"]
    assert collection.qrels("dl19") == {"20": {"2": 2}, "21": {"4": 1}}
    assert collection.qrels("dlhard") == {"20": {"2": 1}, "22": {"3": 3}}
    assert collection.info["merged"] == {"queries": 1}


def test_query_sets_that_disagree_are_refused_with_both_lines(msmarco, tmp_path):
    (msmarco / "queries.dlhard.tsv").write_text("22\triver\n20\tcherry\n")
    with pytest.raises(UserError) as error:
        load(MsMarcoSource(msmarco), tmp_path / "c")
    first, second = msmarco / "queries.dl19.tsv", msmarco / "queries.dlhard.tsv"
    assert str(error.value) == f"{first}:1 and {second}:2: the query id '20' has two different texts; expected one"


@pytest.mark.parametrize(
    "header",
    ["query-id\tcorpus-id\tscore", "query_id\tdoc_id\trelevance", "qid\tpid\tlabel", "Query-ID\tDocID\tGrade"],
)
def test_headers_of_the_usual_names_are_read(tmp_path, header):
    path = tmp_path / "q.tsv"
    path.write_text(f"{header}\nq1\td1\t1\n")
    assert [row.key for row in beir_qrels(path)] == [("q1", "d1")]
    assert read_qrels(path) == {"q1": {"d1": 1}}
    path.write_text("query_id\titer\tdocno\trel\nq1\t0\td1\t1\n")
    assert [row.key for row in trec_qrels(path)] == [("q1", "d1")]
    assert read_qrels(path) == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus-id\tquery-id\tscore\nd1\tq1\t1\n", "q.tsv:1: the columns are corpus-id, "),
        (
            "q1\td1\t1\t0\n",
            "q.tsv:1: the second field is 'd1', and should be 0: the columns seem to be in another order",
        ),
        ("20 7187158 1 0\n", "q.tsv:1: the second field is '7187158'"),
        ("".join(f"1 {i} 1 0\n" for i in range(20)), "q.tsv: there are 20 different second fields and 1 documents"),
        ("20\t2\t7187158\n", "q.tsv:1: the grade is 7187158"),
        ("".join(f"{i}\t{i % 3}\t{i}\n" for i in range(20)), "q.tsv: there are 20 different grades and 3 documents"),
        ("q1\t2\td1\n", "q.tsv:1: expected the grade to be a whole number, got 'd1'"),
    ],
)
def test_columns_in_another_order_are_refused(tmp_path, text, message):
    path = tmp_path / "q.tsv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_qrels(path)
    assert message in str(error.value)


def test_columns_in_the_usual_order_are_read_whatever_their_ids(tmp_path):
    order = ColumnOrder(tmp_path / "q")
    for number, (query, passage, grade) in enumerate([("1", "1", 0), ("2", "1", 3), ("2", "2", -2)]):
        order.row(number, "Q0" if query == "1" else "0", passage, grade)
    order.end()


def test_judgements_of_other_queries_than_the_runs_are_refused(tmp_path, cli):
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 9 t\n")
    (tmp_path / "turned.tsv").write_text("d1\tq1\t1\n")
    found = cli("evaluate", tmp_path / "run.trec", "--qrels", tmp_path / "turned.tsv", "--measures", "nDCG@10")
    assert found.code == 2
    assert "none of its 1 queries is judged" in found.err
    assert "are the columns in another order?" in found.err


def beir_without_identical(run):
    """Return a run as BEIR's EvaluateRetrieval.evaluate sees it with ignore_identical_ids=True."""
    return {
        query: {document: score for document, score in ranked if document != query} for query, ranked in run.items()
    }


def test_a_query_that_is_a_document_is_left_out_of_its_results_as_in_beir(tmp_path, cli):
    run = {"a1": [("a1", 9.0), ("d1", 8.0)], "a2": [("d3", 7.0), ("d2", 6.0), ("a2", 5.0)]}
    qrels = {"a1": {"d1": 1}, "a2": {"d2": 1}}
    kept, count = without_own(run)
    assert {query: dict(ranked) for query, ranked in kept.items()} == beir_without_identical(run)
    assert count == 2
    expected = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(beir_without_identical(run))
    mean = sum(one["ndcg_cut_10"] for one in expected.values()) / 2
    assert mean == pytest.approx((1 + 1 / np.log2(3)) / 2)
    (tmp_path / "r.trec").write_text("".join(f"{q} Q0 {d} 0 {s} t\n" for q, ranked in run.items() for d, s in ranked))
    (tmp_path / "q.tsv").write_text("".join(f"{q} 0 {d} 1\n" for q, judged in qrels.items() for d in judged))
    asked = ["evaluate", tmp_path / "r.trec", "--qrels", tmp_path / "q.tsv", "--measures", "nDCG@10", "--json"]
    (found,) = json.loads(cli(*asked).out)
    assert found["measures"]["nDCG@10"] == pytest.approx(mean)
    assert found["policy"]["own"] == 2
    assert "2 queries are documents themselves" in cli(*asked[:-1]).out
    with (tmp_path / "q.tsv").open("a") as file:
        file.write("a1 0 d1 1\na2 0 d2 1\na1 0 d1 1\n")
    (again,) = json.loads(cli(*asked).out)
    assert (again["measures"], again["policy"]["repeated"]) == (found["measures"], 3)
    assert "3 judgements are repeated with the same grade: each counts once" in cli(*asked[:-1]).out
    (kept_all,) = json.loads(cli(*asked, "--keep-self").out)
    assert kept_all["measures"]["nDCG@10"] == pytest.approx((1 / np.log2(3) * 2) / 2)


def test_numbers_name_different_things_unless_one_says_otherwise():
    run = {"1": [("1", 2.0), ("2", 1.0)]}
    assert without_own(run) == (run, 0)
    assert without_own(run, True) == ({"1": [("2", 1.0)]}, 1)
    assert without_own({"a": [("a", 1.0)]}, False) == ({"a": [("a", 1.0)]}, 0)


@pytest.fixture
def arguments(tmp_path):
    """Return a collection like ArguAna (q1 is a document) and like Cranfield (2 is another thing than document 2)."""
    passages = [("q1", "A title. Cats are  nice"), ("2", "rivers"), ("d3", "dogs")]
    queries = [("q1", "cats ARE nice"), ("2", "valleys"), ("q3", "dogs")]
    write_collection(
        tmp_path / "own", name="own", passages=passages, queries=queries, qrels={"test": {"q1": {"d3": 1}}}
    )
    return open_collection(tmp_path / "own")


def test_which_queries_are_documents(arguments):
    ids = ["q1", "2", "q3"]
    assert own_documents(arguments, ids, "auto").tolist() == [0, -1, -1]
    assert own_documents(arguments, ids, True).tolist() == [0, 1, -1]
    assert own_documents(arguments, ids, False).tolist() == [-1, -1, -1]
    assert own_documents(arguments, ["2", "q3"], "auto").tolist() == [-1, -1]


def test_candidates_leave_out_the_query_and_are_filled_up(arguments):
    run = {"q1": [("q1", 3.0), ("d3", 2.0), ("2", 1.0)], "2": [("2", 2.0), ("d3", 1.0)]}
    own = own_documents(arguments, ["q1", "2"], "auto")
    given = Candidates.of_run(arguments, run, ["q1", "2"], 2, own)
    assert given.passages.tolist() == [[2, 1], [1, 2]]
    deeper = Candidates.of_run(arguments, run, ["q1", "2"], 3)
    assert deeper.without(own).passages.tolist() == [[2, 1], [1, 2]]
    assert deeper.without(own).scores.tolist() == [[2.0, 1.0], [2.0, 1.0]]
