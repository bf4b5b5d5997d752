"""Every format of teacher scores: told by its beginning, read, and blamed by line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilkit.data.teacher_scores import FORMATS, TeacherScores
from distilkit.data.teacher_scores.formats import ORDERED, sniff
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError

QUERIES = {"q1": "what is red", "q2": "who runs", "q3": "how far"}
PASSAGES = {"d1": "red is a colour", "d2": "a fox runs", "d3": "blue is not red", "d4": "it is far"}
SCORES = {("q1", "d1"): 5.25, ("q1", "d3"): -1.5, ("q2", "d2"): 0.1, ("q2", "d1"): -7.0}
TRIPLES = [("q1", "d1", "d3"), ("q2", "d2", "d1")]
MARGINS = {triple: SCORES[triple[:2]] - SCORES[triple[0], triple[2]] for triple in TRIPLES}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("collection")
    write_texts(folder / "queries.arrow", QUERIES.items())
    write_texts(folder / "passages.arrow", PASSAGES.items())
    return SimpleNamespace(queries=Texts(folder / "queries.arrow"), passages=Texts(folder / "passages.arrow"))


def lines(rows: list[str]) -> Callable[[Path], None]:
    return lambda path: path.with_suffix(".txt").write_text("".join(f"{row}\n" for row in rows)) and None


def table(**columns: list[Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path.with_suffix(".parquet"))


def objects(rows: list[Any]) -> Callable[[Path], None]:
    return lines([json.dumps(row) for row in rows])


def tsv(texts: bool) -> list[str]:
    rows = []
    for query, positive, negative in TRIPLES:
        ids = (QUERIES[query], PASSAGES[positive], PASSAGES[negative]) if texts else (query, positive, negative)
        rows.append("\t".join([str(SCORES[query, positive]), str(SCORES[query, negative]), *ids]))
    return rows


def listed(query: str) -> tuple[list[str], list[float]]:
    found = [(document, score) for (one, document), score in SCORES.items() if one == query]
    return [document for document, _ in found], [score for _, score in found]


BY_QUERY = {query: listed(query) for query in ("q1", "q2")}
SEVEN = [line.split("\t") for line in tsv(texts=True)]
TEXTS = [(QUERIES[q], PASSAGES[p], PASSAGES[n]) for q, p, n in TRIPLES]

SAMPLES: list[tuple[str, Callable[[Path], None]]] = [
    ("tsv_ids", lines(tsv(texts=False))),
    ("tsv_texts", lines(tsv(texts=True))),
    ("tsv_passages", lines(["\t".join([p, "1.5 2.5", n, "0.5", *texts]) for p, n, *texts in SEVEN])),
    ("trec", lines([f"{q} Q0 {d} {rank} {score} tag" for rank, ((q, d), score) in enumerate(SCORES.items(), 1)])),
    ("trec", lines([f"{q}\tQ0\t{d}\t1\t{score}\ttag" for (q, d), score in SCORES.items()])),
    ("colbert", objects([[q, *map(list, zip(ids, scores, strict=True))] for q, (ids, scores) in BY_QUERY.items()])),
    (
        "sbert_hard_negatives",
        objects(
            [
                {
                    "qid": q,
                    "pos": [{"pid": p, "ce-score": SCORES[q, p]}],
                    "neg": {system: [{"pid": n, "ce-score": SCORES[q, n]}] for system in ("bm25", "other")},
                }
                for q, p, n in TRIPLES
            ]
        ),
    ),
    (
        "flagembedding",
        objects(
            [
                {"query": x, "pos": [y], "neg": [z], "pos_scores": [SCORES[q, p]], "neg_scores": [SCORES[q, n]]}
                for (x, y, z), (q, p, n) in zip(TEXTS, TRIPLES, strict=True)
            ]
        ),
    ),
    (
        "tevatron",
        objects(
            [
                {
                    "query_id": q,
                    "query": QUERIES[q],
                    "positive_passages": [{"docid": p, "title": "", "text": PASSAGES[p], "score": SCORES[q, p]}],
                    "negative_passages": [{"docid": n, "title": "", "text": PASSAGES[n], "score": SCORES[q, n]}],
                }
                for q, p, n in TRIPLES
            ]
        ),
    ),
    (
        "pylate",
        table(
            query_id=list(BY_QUERY),
            document_ids=[ids for ids, _ in BY_QUERY.values()],
            scores=[scores for _, scores in BY_QUERY.values()],
        ),
    ),
    (
        "pylate",
        table(
            query_id=list(BY_QUERY),
            document_ids=[str(ids) for ids, _ in BY_QUERY.values()],
            scores=[str(scores) for _, scores in BY_QUERY.values()],
        ),
    ),
    ("pylate", objects([{"query_id": q, "document_ids": d, "scores": s} for q, (d, s) in BY_QUERY.items()])),
    (
        "sentence_transformers",
        table(
            query=[one[0] for one in TEXTS],
            positive=[one[1] for one in TEXTS],
            negative_1=[one[2] for one in TEXTS],
            scores=[[SCORES[q, p], SCORES[q, n]] for q, p, n in TRIPLES],
        ),
    ),
    (
        "sentence_transformers",
        objects(
            [
                {"anchor": QUERIES[q], "passage": PASSAGES[d], "label": score}
                for (q, d), score in SCORES.items()
            ]
        ),
    ),
    ("hub_scores", table(qid=[q for q, _ in SCORES], docno=[d for _, d in SCORES], score=list(SCORES.values()))),
    (
        "distilkit",
        table(
            query_id=[q for q, _ in SCORES],
            doc_id=[d for _, d in SCORES],
            score=pa.array(SCORES.values(), pa.float32()),
        ),
    ),
]  # fmt: skip
MARGIN_SAMPLES: list[tuple[str, Callable[[Path], None]]] = [
    (
        "hub_margins",
        table(
            query_id=[one[0] for one in TRIPLES],
            positive_id=[one[1] for one in TRIPLES],
            negative_id=[one[2] for one in TRIPLES],
            score=list(MARGINS.values()),
        ),
    ),
    (
        "sentence_transformers",
        table(
            query=[one[0] for one in TEXTS],
            positive=[one[1] for one in TEXTS],
            negative=[one[2] for one in TEXTS],
            label=list(MARGINS.values()),
        ),
    ),
    (
        "sentence_transformers",
        objects(
            [
                {"query": t[0], "positive": t[1], "negative_1": t[2], "label": [margin]}
                for t, margin in zip(TEXTS, MARGINS.values(), strict=True)
            ]
        ),
    ),
]  # fmt: skip


def written(write: Callable[[Path], None], folder: Path) -> Path:
    write(folder / "scores")
    (path,) = folder.iterdir()
    return path


def test_every_format_has_a_sample() -> None:
    # Those that say an order alone have tests of their own.
    assert {name for name, _ in SAMPLES + MARGIN_SAMPLES} == {*FORMATS} - {*ORDERED}


@pytest.mark.parametrize(("name", "write"), SAMPLES)
def test_scores_are_read(name: str, write: Callable[[Path], None], tmp_path: Path, collection: Any) -> None:
    path = written(write, tmp_path)
    assert sniff(path) == name
    scores = TeacherScores.open(path, collection=collection)
    found = scores.lookup([q for q, _ in SCORES], [d for _, d in SCORES])
    assert found.dtype == "float32"
    assert found[:, 0].tolist() == pytest.approx(list(SCORES.values()), rel=1e-6)
    assert (len(scores), scores.margins_only, scores.teachers) == (4, False, ("score",))


@pytest.mark.parametrize(("name", "write"), MARGIN_SAMPLES)
def test_margins_are_read(name: str, write: Callable[[Path], None], tmp_path: Path, collection: Any) -> None:
    path = written(write, tmp_path)
    assert sniff(path) == name
    scores = TeacherScores.open(path, collection=collection)
    positive, negative = scores.lookup_pairs(*zip(*TRIPLES, strict=True))
    assert (positive - negative)[:, 0].tolist() == pytest.approx(list(MARGINS.values()), rel=1e-6)
    assert scores.margins_only
    with pytest.raises(UserError, match="holds margins of pairs, not scores of passages"):
        scores.lookup(["q1"], ["d1"])
    assert (scores.find(["q1", "q1"], ["d1", "d3"], ["d3", "d1"]) < 0).sum() == 1


@pytest.mark.parametrize("name", ["tsv_ids", "colbert"])
def test_packed_files(name: str, tmp_path: Path) -> None:
    path = written(dict(SAMPLES)[name], tmp_path)
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert TeacherScores.open(packed).lookup(["q1"], ["d1"]).tolist() == [[5.25]]


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    for number, (query, document) in enumerate(SCORES):
        pq.write_table(
            pa.table({"query_id": [query], "passage_id": [document], "score": [SCORES[query, document]]}),
            tmp_path / f"train-{number}.parquet",
        )
    assert len(TeacherScores.open(tmp_path)) == 4


def test_whole_numbers_are_ids(tmp_path: Path) -> None:
    columns = {"query_id": [7], "positive_id": [1], "negative_id": [2], "score": [1.5]}
    pq.write_table(pa.table(columns), tmp_path / "margins.parquet")
    assert TeacherScores.open(tmp_path / "margins.parquet").find(["7"], ["1"], ["2"]).tolist() == [0]
    (tmp_path / "lists").mkdir()
    path = written(objects([[7, [1, 2.5], [2, 1]]]), tmp_path / "lists")
    assert TeacherScores.open(path).lookup(["7", "7"], ["1", "2"]).tolist() == [[2.5], [1.0]]


def test_the_format_can_be_forced(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text("1\t0\tred\td1\td2\n")
    with pytest.raises(UserError, match="expected a collection in which to find their ids"):
        TeacherScores.open(path, format="tsv_texts")
    with pytest.raises(UserError, match="no score format is called 'tsv_id'; did you mean 'tsv_ids'"):
        TeacherScores.open(path, format="tsv_id")
    assert len(TeacherScores.open(path, format="tsv_ids")) == 2


BROKEN: list[tuple[str, str, str]] = [
    ("tsv_ids", "1\t0\tq\ta\tb\n2\t1\tq\ta\n", ":2: expected 5 fields between tabs, got 4"),
    ("tsv_ids", "1\t0\tq\ta\tb\n\n2\tx1\tq\ta\tb\n", ":3: expected the score to be a finite number, got 'x1'"),
    ("tsv_ids", "1\t0\tq\ta\tb\n2\tnan\tq\ta\tb\n", ":2: expected the score to be a finite number, got nan"),
    ("tsv_ids", "1\t0\tq\ta\tb\n-inf\t2\tq\ta\tb\n", ":2: expected the score to be a finite number, got -inf"),
    ("tsv_ids", "1\t0\tq\ta\tb\n1e39\t2\tq\ta\tb\n", ":2: expected the score to be a finite number, got inf"),
    ("tsv_ids", "1\t0\tq\ta\tb\n1_0\t2\tq\ta\tb\n", ":2: expected the score to be a finite number, got '1_0'"),
    ("tsv_ids", "1\t0\tq\ta\tb\n1\t2\tq\t\tb\n", ":2: a query or passage is empty"),
    ("tsv_ids", f"1\t0\tq\ta\t{'b' * 600}\n", "is not an id; expected one word of at most 512 bytes"),
    ("tsv_passages", "1\t0 1\t2\t3\tq\ta\n", ":1: expected 7 fields between tabs, got 6"),
    (
        "trec",
        "q Q0 d 1 0.5 t\nq Q0 d 2 0.5\n",
        ":2: expected six fields (query id, Q0, passage id, rank, score, tag), got 5",
    ),
    ("trec", "q Q0 d 1 NaN t\n", ":1: expected the score to be a finite number, got nan"),
    ("colbert", '["q", ["d", 1]]\n["q", ["d"]]\n', ":2: expected [passage_id, score], got ['d']"),
    ("colbert", '["q", ["d", 1]]\n["q", ["d", NaN]]\n', ":2: expected the score to be a finite number, got nan"),
    ("colbert", '["q", ["d", 1]]\n["q", ["d", tru\n', ":2: broken JSON"),
    ("colbert", '["q", ["d", "1"]]\n', ":1: expected the score to be a finite number, got '1'"),
    ("colbert", '{"q": 1}\n', ":1: expected a list, got"),
    ("colbert", '[["q"], ["d", 1]]\n', ":1: expected an id or a text, got ['q']"),
    ("sbert_hard_negatives", '{"qid": 1, "pos": [5], "neg": {}}\n', ":1: expected passages as {pid, ce-score}, got 5"),
    (
        "flagembedding",
        '{"query": "a", "pos": ["b"], "neg": [], "pos_scores": [], "neg_scores": []}\n',
        ":1: pos and pos_scores have 1 and 0 entries",
    ),
    (
        "tevatron",
        '{"query_id": 1, "positive_passages": [{"docid": 2}], "negative_passages": []}\n',
        ":1: expected positive_passages as",
    ),
    (
        "pylate",
        '{"query_id": 1, "document_ids": "[1, 2", "scores": [1, 2]}\n',
        ":1: expected document_ids to be a list, got '[1, 2'",
    ),
    (
        "pylate",
        '{"query_id": 1, "document_ids": [1, 2], "scores": [1]}\n',
        ":1: document_ids and scores have 2 and 1 entries",
    ),
    (
        "sentence_transformers",
        '{"query": "a", "positive": "b", "negative": "c", "label": [1, 2, 3]}\n',
        ":1: 3 labels for 2 passages",
    ),
    (
        "sentence_transformers",
        '{"query": "a", "p": "b", "n": "c", "label": 1}\n{"query": "a", "p": "b", "n": "c", "label": [1, 2]}\n',
        ":2: a margin among scores",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BROKEN)
def test_broken_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        list(FORMATS[name].read(path)) if FORMATS[name].holds == "texts" else TeacherScores.open(path, format=name)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_broken_tables(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    for scores, message in (
        ([1.0, float("inf")], "row 2: expected the score to be"),
        ([1.0, None], "row 2: the column 'score' is empty"),
    ):
        pq.write_table(pa.table({"qid": ["a", "b"], "docno": ["c", "d"], "score": scores}), path)
        with pytest.raises(UserError, match=message):
            TeacherScores.open(path)
    pq.write_table(pa.table({"qid": [["a"]], "docno": ["c"], "score": [1.0]}), path)
    with pytest.raises(UserError, match=r"column 'qid' is list<.*>; expected ids"):
        TeacherScores.open(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        TeacherScores.open(path)
    with pytest.raises(UserError, match=r"there is no such file"):
        TeacherScores.open(tmp_path / "nowhere.tsv")
    (tmp_path / "empty.tsv").write_text("\n")
    with pytest.raises(UserError, match="the file is empty"):
        TeacherScores.open(tmp_path / "empty.tsv")
    (tmp_path / "notes.txt").write_text("these are not scores\n")
    with pytest.raises(UserError, match="looks like no format of teacher scores; known: colbert: JSON lines"):
        TeacherScores.open(tmp_path / "notes.txt")


def test_unknown_texts(tmp_path: Path, collection: Any) -> None:
    path = tmp_path / "scores.tsv"
    rows = [*tsv(texts=True), f"1\t2\t{QUERIES['q3']}\tno such passage\t{PASSAGES['d4']}", "1\t2\twho else\ta b\tc d"]
    path.write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"scores.tsv:3: a text of this row is not in the collection"):
        TeacherScores.open(path, collection=collection)
    scores = TeacherScores.open(path, collection=collection, on_unknown="skip")
    assert scores.counts["unknown"] == 3  # a positive and two of a query that is nowhere
    assert scores.counts["kept"] == len(scores) == 5
    assert scores.lookup(["q3"], ["d4"]).tolist() == [[2.0]]


def test_a_text_of_several_ids(tmp_path: Path) -> None:
    write_texts(tmp_path / "queries.arrow", [("q", "same query"), ("r", "same query")])
    write_texts(tmp_path / "passages.arrow", [("a", "one text"), ("b", "two text"), ("c", "one text")])
    tables = SimpleNamespace(queries=Texts(tmp_path / "queries.arrow"), passages=Texts(tmp_path / "passages.arrow"))
    (tmp_path / "scores.tsv").write_text("3\t4\tsame query\tone text\ttwo text\n")
    scores = TeacherScores.open(tmp_path / "scores.tsv", collection=tables)
    assert scores.lookup(["q", "q", "q", "r", "r", "r"], ["a", "b", "c"] * 2)[:, 0].tolist() == [3, 4, 3] * 2
