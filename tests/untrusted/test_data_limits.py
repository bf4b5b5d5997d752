"""Limits of what collections, judgements, runs and scores may hold."""

import gzip
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilkit.data import reading
from distilkit.data.columns import LARGEST
from distilkit.data.judgements import judgements_of
from distilkit.data.plain_text.reading import read_texts
from distilkit.data.reading import Row
from distilkit.data.teacher_scores.formats import FORMATS, sniff
from distilkit.data.teacher_scores.head import Head, open_parquet
from distilkit.data.teacher_scores.provenance import read_provenance
from distilkit.data.triples.reading import format_of
from distilkit.errors import RunFailed, UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.trec import read_qrels, read_run

Cli = Callable[..., Any]
calm = settings(deadline=None, suppress_health_check=[*HealthCheck], max_examples=60)


@pytest.mark.parametrize(
    "grade", [str(LARGEST + 1), "-1001", "100000", "2000000000", "3000000000", "9" * 20, "9" * 5000]
)
def test_large_grades_are_refused(cli: Cli, tmp_path: Path, grade: str) -> None:
    qrels, run = tmp_path / "qrels.tsv", tmp_path / "run.trec"
    run.write_text("q Q0 a 1 2.0 t\nq Q0 b 2 1.0 t\n")
    for text in (f"q 0 a 1\nq 0 b {grade}\n", f"q\ta\t1\nq\tb\t{grade}\n"):
        qrels.write_text(text)
        done = cli("evaluate", run, "--qrels", qrels, "--measures", "nDCG@10")
        assert done.code == 2
        assert f"{qrels}:2: " in done.err
        assert "whole number" in done.err
        assert len(done.err) < 400


@pytest.mark.parametrize("grade", ["1_0", "١", "1.0", "", "x", "0x1", "1e1", "+-1", "１"])
def test_grades_that_are_none(tmp_path: Path, grade: str) -> None:
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t{grade}\n")
    with pytest.raises(UserError, match=r"qrels\.tsv:3: expected"):
        read_qrels(tmp_path / "qrels.tsv")


def test_the_largest_grades_are_measured_right_and_at_once() -> None:
    began = time.monotonic()
    qrels = {f"q{number}": {"a": LARGEST, "b": 1, "c": -LARGEST} for number in range(50)}
    run = {query: [("a", 2.0), ("b", 1.0), ("c", 3.0)] for query in qrels}
    found = evaluate(run, qrels, "nDCG@10 RR@10 AP@10")
    gain = (LARGEST / 1.584962500721156 + 1 / 2) / (LARGEST + 1 / 1.584962500721156)
    assert found.means["nDCG@10"] == pytest.approx(gain, abs=1e-6)
    assert found.means["RR@10"] == 0.5
    assert time.monotonic() - began < 30
    with pytest.raises(UserError, match="the judgements: the grade is 1001; expected a whole number from -1000"):
        evaluate(run, {"q0": {"a": LARGEST + 1}}, "nDCG@10")


def test_judgements_of_any_source_are_limited() -> None:
    with pytest.raises(UserError, match="table, row 7: the grade is a number of 400 digits"):
        judgements_of(lambda: [Row(7, ("q", "a"), 10**399)], lambda line: f"table, row {line}")


@pytest.mark.parametrize("read", [read_run, read_qrels])
def test_null_characters_do_not_make_two_ids_one(tmp_path: Path, read: Callable[[Path], object]) -> None:
    text = "q 0 a\0x 1\nq 0 a\0y 0\n" if read is read_qrels else "q Q0 a\0x 1 2.0 t\nq Q0 a\0y 2 1.0 t\n"
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match="file:1: holds a null character"):
        read(tmp_path / "file")


def test_a_collection_with_a_null_character_in_an_id(
    cli: Cli, tmp_path: Path, tiny_beir: Path, tiny_recipe: Path
) -> None:
    shutil.copytree(tiny_beir, tmp_path / "beir")
    corpus = tmp_path / "beir" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"_id": "d1"', '"_id": "d1\\u0000"', 1))
    where = f"data.path={json.dumps(str(tmp_path / 'beir'))}"
    done = cli("run", tiny_recipe, "--dry-run", "--runs-dir", tmp_path / "runs", "--set", where)
    assert (done.code, done.out) == (2, "")
    assert "holds a null character" in done.err


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(reading, "LONGEST", 1000)
    path = tmp_path / ("file.gz" if packed else "file")
    data = b"short\n" + b"x" * 5000
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(UserError, match="2: a line of 1,000 characters or more"):
        list(reading.lines(path))


LINES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ['{"_id": 1e400, "text": "x"}', '{"_id": "a", "text": "\\ud800"}', "[" * 5000, "9" * 5000, "[[[[]]]]"]
    ),
    st.sampled_from(
        ['["q", ["p", 1e400]]', '["q", ["p", [1]]]', '{"query": "q", "pos": [1], "neg": {}, "pos_scores": 1}']
    ),
    st.sampled_from(["1e400\t1\tq\ta\tb", "nan\t1\tq\ta\tb", "1\t2\tq\0\ta\tb", "q Q0 a 1 1e400 t", "q Q0 a 1 ١ t"]),
    st.sampled_from(['{"query_id": {}, "document_ids": "[" , "scores": "{[]:1}"}', '{"qid": 1, "pos": 7, "neg": [7]}']),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["_id", "text", "query", "pos", "neg", "qid", "scores"]), inner, max_size=4
            )
        ),
    ).map(json.dumps),
)


@calm
@given(st.lists(LINES, min_size=1, max_size=3).map("\n".join))
def test_any_lines_are_rows_or_a_user_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    readers: list[Callable[[], object]] = [
        lambda: list(reading.jsonl_texts(path)),
        lambda: list(reading.beir_qrels(path)),
        lambda: read_qrels(path),
        lambda: read_run(path),
        lambda: list(format_of(path).read(path, lambda done, whole: None)),
        lambda: sniff(path),
        *(lambda name=name: list(FORMATS[name].read(path)) for name in FORMATS),  # type: ignore[misc]
    ]
    for read in readers:
        try:
            read()
        except (UserError, RunFailed):
            continue


def parquet(path: Path, names: list[str], columns: list[Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns, names=names), path, **options)
    return path


def test_parquet_with_broken_names(tmp_path: Path) -> None:
    plain = parquet(tmp_path / "plain.parquet", ["query_id", "doc_id", "score"], [["q"], ["d"], [1.0]])
    for old, new in ((b"query_id", b"\xff\xfeery_id"), (b"doc_id", b"\0\0\0\0\0\0"), (b"score", b"\xed\xa0\x80re")):
        broken = tmp_path / "broken.parquet"
        broken.write_bytes(plain.read_bytes().replace(old, new))
        refused(lambda: sniff(broken), lambda: Head.of(broken), lambda: list(FORMATS["hub_scores"].read(broken)))  # noqa: B023
        refused(lambda: list(read_texts(str(broken), column="score")), lambda: read_provenance(broken))  # noqa: B023
    double = parquet(
        tmp_path / "double.parquet", ["query_id", "query_id", "doc_id", "score"], [["q"], ["q"], ["d"], [1.0]]
    )
    with pytest.raises(UserError, match="two columns are called 'query_id'"):
        open_parquet(double)
    nested = parquet(tmp_path / "nested.parquet", ["query_id", "doc_id", "score"], [[{"a": 1}], [["d"]], ["x"]])
    with pytest.raises(UserError, match="expected ids"):
        list(FORMATS["hub_scores"].read(nested))


def refused(*acts: Callable[[], object]) -> None:
    for act in acts:
        try:
            act()
        except UserError:
            continue


@calm
@given(st.data())
def test_parquet_with_any_bytes_changed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp()
    plain = parquet(folder / "whole.parquet", ["query_id", "doc_id", "score"], [["q", "r"], ["d", "e"], [1.0, 2.0]])
    content = bytearray(plain.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = folder / "changed.parquet"
    broken.write_bytes(content)
    refused(
        lambda: sniff(broken),
        lambda: list(FORMATS["hub_scores"].read(broken)),
        lambda: list(read_texts(str(broken), column="doc_id")),
        lambda: read_provenance(broken),
    )
