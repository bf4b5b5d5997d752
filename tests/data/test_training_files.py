"""Training files of the peers: by ids or texts, as JSON lines, CSV or Parquet; and what is left out of them."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilkit.data.collection import open_collection, write_collection
from distilkit.data.leaks import HeldOut, MeasuredQueries
from distilkit.data.triples import Triples, left_out, lists_of, write_triples
from distilkit.data.triples.reading import format_of
from distilkit.errors import UserError

PASSAGES = {"p7": "the red apple", "p3": "a river of copper", "p9": "under the sea", "p4": "Title text of it"}
QUERIES = {"20": "what is red", "3": "where is copper", "11": "what swims", "12": "WHAT  is red"}
WANTED = [("20", "p7", ["p3", "p9"]), ("3", "p3", ["p4"])]
ROWS = [[0, 0, 1], [0, 0, 2], [1, 1, 3]]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "collection"
    qrels = {"train": {"20": {"p7": 1}}, "test": {"12": {"p7": 1}}}
    write_collection(folder, name="small", passages=PASSAGES.items(), queries=QUERIES.items(), qrels=qrels)
    return open_collection(folder)


def read(path, collection, **settings):
    folder = path.parent / "out"
    folder.mkdir()
    write_triples(folder, path, collection, **settings)
    return Triples.open(folder)


def text(id):
    return PASSAGES[id]


def tevatron(id):
    title, _, rest = text(id).partition(" ") if id == "p4" else ("", "", text(id))
    return {"docid": id, "title": title, "text": rest}


JSON_LINES = {
    "sentence_transformers_texts": lambda q, p, ns: [
        {"anchor": QUERIES[q], "positive": text(p), "negative": text(n)} for n in ns
    ],
    "n_tuple": lambda q, p, ns: [
        {"query": QUERIES[q], "positive": text(p), **{f"negative_{i}": text(n) for i, n in enumerate(ns, 1)}}
    ],
    "flagembedding": lambda q, p, ns: [
        {"query": QUERIES[q], "pos": [text(p)], "neg": [text(n) for n in ns], "pos_scores": [1], "neg_scores": [0]}
    ],
    "sbert_mined": lambda q, p, ns: [{"qid": q, "pos": [p], "neg": {"bm25": ns[:1], "ance": ns}}],
    "sbert_scored": lambda q, p, ns: [
        {"qid": int(q), "pos": [{"pid": p, "ce-score": 9}], "neg": {"bm25": [{"pid": n, "ce-score": 1} for n in ns]}}
    ],
    "tevatron": lambda q, p, ns: [
        {
            "query_id": q,
            "query": QUERIES[q],
            "positive_passages": [tevatron(p)],
            "negative_passages": [tevatron(n) for n in ns],
        }
    ],
    "ids_and_texts": lambda q, p, ns: [
        {"query_id": q, "query": QUERIES[q], "positive_id": p, "positive": text(p), "negative_ids": ns}
    ],
    "colbert": lambda q, p, ns: [[q, p, *ns]],
    "colbert_texts": lambda q, p, ns: [[QUERIES[q], text(p), *map(text, ns)]],
}


@pytest.mark.parametrize("name", JSON_LINES)
def test_json_lines_of_the_peers_give_the_same_rows(tmp_path, collection, name):
    path = tmp_path / "train.jsonl"
    lines = [line for wanted in WANTED for line in JSON_LINES[name](*wanted)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(path, collection).rows.tolist() == ROWS


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("holds", ["ids", "texts"])
def test_tables_give_the_same_rows(tmp_path, collection, kind, holds):
    rows = [(q, p, n) for q, p, ns in WANTED for n in ns]
    names = ["query_id", "pos_id", "neg_id"] if holds == "ids" else ["query", "positive", "negative"]
    if holds == "texts":
        rows = [(QUERIES[q], text(p), text(n)) for q, p, n in rows]
    path = tmp_path / f"train.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *rows])
    else:
        pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
    assert (format_of(path).name, format_of(path).holds) == (kind, holds)
    assert read(path, collection).rows.tolist() == ROWS


def test_parquet_may_hold_lists_and_empty_cells(tmp_path, collection):
    path = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"qid": ["20", "3"], "pos": ["p7", "p3"], "neg": [["p3", "p9"], ["p4"]]}), path)
    assert read(path, collection).rows.tolist() == ROWS
    (tmp_path / "more").mkdir()
    path = tmp_path / "more" / "wide.csv"
    path.write_text("query_id,positive_id,negative_id_1,negative_id_2\n20,p7,p3,p9\n3,p3,p4,\n")
    assert read(path, collection).rows.tolist() == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "query_id,positive\n20,p7\n", "a.csv:2: there is no id of the negative; expected 'negative_id'"),
        ("a.csv", "query_id,pos_id,neg_id\n20,p7\n", "a.csv:2: expected 3 fields, as in the header"),
        ("a.csv", "query_id,pos_id,neg_id\n20,p7,p3\n20,p7,p8\n", "a.csv:3: the passage id 'p8' is unknown"),
        ("a.csv", "query_id,pos_id,neg_id\n", "a.csv: the table is empty"),
        ("a.jsonl", '{"qid": "20", "pos": "p7", "neg": {"bm25": "p3"}}\n', "a.jsonl:1: expected a passage, or a list"),
        ("a.jsonl", '{"qid": "20", "pos": [true], "neg": ["p3"]}\n', "a.jsonl:1: expected an id or a text, got True"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, collection, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        read(tmp_path / name, collection)
    assert message in str(error.value)


def test_an_unknown_row_of_parquet_is_named(tmp_path, collection):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"qid": ["20", "20"], "pos": ["p7", "p7"], "neg": ["p3", "p8"]}), path)
    with pytest.raises(UserError, match=r"t.parquet: row 2: the passage id 'p8' is unknown"):
        read(path, collection)


def test_a_positive_is_no_negative_of_its_query_and_counted(tmp_path, collection, monkeypatch):
    # By hand: p7 and p3 are positives of 20, so that two of its four triples go; of query 3 p7 is none.
    rows = [("20", "p7", "p7"), ("20", "p7", "p9"), ("20", "p3", "p7"), ("20", "p3", "p4"), ("3", "p3", "p7")]
    path = tmp_path / "t.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    monkeypatch.setattr("distilkit.data.triples.store.PIECE", 2)
    triples = read(path, collection)
    assert triples.rows.tolist() == [[0, 0, 2], [0, 1, 3], [1, 1, 0]]
    assert (triples.counts["kept"], triples.counts["contradictory"]) == (3, 2)
    said = ["2 of 5 triples have a negative that is a positive of the same query: left out"]
    assert left_out(triples.counts) == said
    path.write_text("20\tp7\tp7\n")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="none of its 1 triples can be trained on; 1 of 1 triples have a negative that"):
        write_triples(tmp_path / "none", path, collection)


def test_triples_of_measured_queries_are_refused_by_id_and_left_out_by_text(tmp_path, collection):
    held = HeldOut.of(collection, [MeasuredQueries("queries of the set test", collection, ["12"])])
    path = tmp_path / "t.tsv"
    path.write_text("20\tp7\tp3\n3\tp3\tp9\n")
    triples = read(path, collection, held=held)
    assert triples.rows.tolist() == [[1, 1, 2]]
    assert triples.counts["measured"] == 1
    path.write_text("3\tp3\tp9\n12\tp7\tp3\n")
    (tmp_path / "refused").mkdir()
    with pytest.raises(UserError, match=r"t.tsv:2: the query '12' is among the queries of the set test"):
        write_triples(tmp_path / "refused", path, collection, held=held)


def test_triples_of_one_positive_make_lists_of_their_first_negatives():
    rows = np.array([[0, 5, 1], [1, 6, 2], [0, 5, 3], [0, 5, 1], [0, 5, 4], [1, 6, 8], [0, 7, 9]], np.uint32)
    queries, passages, short = lists_of(rows, 2)
    assert (queries.tolist(), passages.tolist(), short) == ([0, 1], [[5, 1, 3], [6, 2, 8]], 1)
    # No more than the richest positive has.
    queries, passages, short = lists_of(rows, 9)
    assert (queries.tolist(), passages.tolist(), short) == ([0], [[5, 1, 3, 4]], 2)
    queries, passages, short = lists_of(rows[1:2], 3)
    assert (queries.tolist(), passages.tolist(), short) == ([1], [[6, 2]], 0)
