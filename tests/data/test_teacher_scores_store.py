"""The store of teacher scores: look-ups, what is missing, writing, provenance, ensembles."""

import doctest
import importlib
import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilkit.data.teacher_scores import (
    TeacherScores,
    combine,
    read_provenance,
    require_match,
    statistics,
    text_fingerprint,
    write_parquet,
    write_tsv,
)
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import RunFailed, UserError

PROVENANCE = {
    "teachers": [{"name": "big", "weights": "ab" * 32, "tokenizer": "cd" * 32}],
    "max_length": 256,
    "precision": "fp32",
    "texts": "ef" * 32,
}
ids = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=4)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
slow = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", ["combine", "provenance"])
def test_examples_of_the_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"distilkit.data.teacher_scores.{name}")).failed == 0


@slow
@given(
    scores=st.dictionaries(st.tuples(ids, ids), floats, min_size=1),
    others=st.lists(st.tuples(ids, ids)),
    random=st.randoms(),
)
def test_look_ups_are_those_of_a_dictionary(
    scores: dict[tuple[str, str], float], others: list[tuple[str, str]], random: Any, tmp_path: Path
) -> None:
    path = tmp_path / "scores.parquet"
    write_parquet(path, *zip(*scores, strict=True), np.array([*scores.values()]))
    store = TeacherScores.open(path)
    asked = [*scores, *others, *scores]
    random.shuffle(asked)
    found = store.lookup([one[0] for one in asked], [one[1] for one in asked])
    expected = [scores.get(one, math.nan) for one in asked]
    assert found[:, 0].tolist() == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
    rows = store.find([one[0] for one in asked], [one[1] for one in asked])
    assert [one for one, row in zip(asked, rows, strict=True) if row < 0] == [one for one in asked if one not in scores]


@slow
@given(rows=st.lists(st.tuples(floats, floats, ids, ids, ids), min_size=1))
def test_the_tsv_reads_back_equal(rows: list[tuple[float, float, str, str, str]], tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    positive, negative, *names = zip(*rows, strict=True)
    write_tsv(path, np.array(positive), np.array(negative), *names)
    fields = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [tuple(one[2:]) for one in fields] == [one[2:] for one in rows]
    for column, values in enumerate((positive, negative)):
        assert [np.float32(one[column]) for one in fields] == [np.float32(one) for one in values]
    # A pair that comes twice keeps its first score.
    expected: dict[tuple[str, str], float] = {}
    for query, passage, score in [(r[2], r[3], r[0]) for r in rows] + [(r[2], r[4], r[1]) for r in rows]:
        expected.setdefault((query, passage), score)
    store = TeacherScores.open(path, format="tsv_ids")
    assert store.lookup(*zip(*expected, strict=True))[:, 0].tolist() == list(expected.values())
    assert store.counts["rows"] == 2 * len(rows)
    assert store.counts["kept"] == len(expected) == len(store)


def test_what_repeats_and_what_contradicts_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "scores.trec"
    path.write_text("q Q0 a 1 1.5 t\nq Q0 b 2 1 t\nq Q0 a 3 1.5 t\nq Q0 a 4 2 t\n")
    store = TeacherScores.open(path)
    assert store.counts == {"rows": 4, "kept": 2, "repeated": 2, "conflicting": 1, "unknown": 0}
    assert store.lookup(["q"], ["a"]).tolist() == [[1.5]]


def test_nothing_is_filled_in(tmp_path: Path) -> None:
    write_parquet(tmp_path / "scores.parquet", ["q"], ["d"], np.array([1.0]))
    store = TeacherScores.open(tmp_path / "scores.parquet")
    assert np.isnan(store.lookup(["q", "d", ""], ["x", "q", ""])).all()
    positive, negative = store.lookup_pairs(["q"], ["d"], ["x"])
    assert positive.tolist() == [[1.0]]
    assert np.isnan(negative).all()
    assert store.find(["q", "q"], ["d", "x"]).tolist() == [0, -1]
    assert store.find([], []).tolist() == []
    assert store.lookup([], []).shape == (0, 1)


def test_a_missing_margin_is_missing_on_both_sides(tmp_path: Path) -> None:
    columns = {"query_id": ["q"], "positive_id": ["a"], "negative_id": ["b"], "score": [2.0]}
    pq.write_table(pa.table(columns), tmp_path / "margins.parquet")
    positive, negative = TeacherScores.open(tmp_path / "margins.parquet").lookup_pairs(
        ["q"] * 2, ["a", "b"], ["b", "a"]
    )
    assert positive[0] - negative[0] == 2
    assert np.isnan([positive[1], negative[1]]).all()


def test_teachers_have_columns(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    teachers = {"big": np.array([1.0, 3.0]), "wide": np.array([-10.0, 30.0])}
    write_parquet(path, ["q", "q"], ["a", "b"], np.array([-4.5, 16.5]), teachers, PROVENANCE)
    store = TeacherScores.open(path)
    assert store.teachers == ("big", "wide")
    assert store.lookup(["q", "q"], ["b", "a"]).tolist() == [[3, 30], [1, -10]]
    assert store.lookup(["q"], ["b"], columns=["score"]).tolist() == [[16.5]]
    assert store.statistics().mean.tolist() == [2, 10]
    with pytest.raises(UserError, match="there is no column 'bigg'; did you mean 'big'"):
        store.lookup(["q"], ["b"], columns=["bigg"])
    assert read_provenance(path) == store.provenance == PROVENANCE
    assert pq.read_schema(path).names == ["query_id", "doc_id", "score", "big", "wide"]
    assert json.loads(pq.read_schema(path).metadata[b"distilkit"]) == PROVENANCE
    with pytest.raises(ValueError, match="cannot be called 'score'"):
        write_parquet(path, ["q"], ["a"], np.array([1.0]), {"score": np.array([1.0])})


def test_a_tsv_has_its_provenance_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    write_tsv(path, np.array([1.0]), np.array([0.5]), ["q"], ["a"], ["b"], PROVENANCE)
    assert path.read_text() == "1\t0.5\tq\ta\tb\n"
    assert TeacherScores.open(path).provenance == PROVENANCE
    (tmp_path / "scores.tsv.provenance.json").write_text("{")
    with pytest.raises(UserError, match="its provenance cannot be read as JSON"):
        TeacherScores.open(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
def test_scores_that_are_not_finite_are_not_written(value: float, tmp_path: Path) -> None:
    scores = np.array([1.0, value])
    with pytest.raises(RunFailed, match="1 of 2 scores are not finite"), np.errstate(over="ignore"):
        write_parquet(tmp_path / "scores.parquet", ["q", "q"], ["a", "b"], scores)
    with pytest.raises(RunFailed, match="1 of 2 scores are not finite"), np.errstate(over="ignore"):
        write_tsv(tmp_path / "scores.tsv", scores, np.zeros(2), *(["q", "q"],) * 3)
    assert list(tmp_path.iterdir()) == []


def test_the_store_stays_where_it_is_told_to(tmp_path: Path) -> None:
    write_parquet(tmp_path / "scores.parquet", ["q"], ["d"], np.array([1.0]))
    store = TeacherScores.open(tmp_path / "scores.parquet", folder=tmp_path / "kept")
    for again in (TeacherScores.open(tmp_path / "kept"), pickle.loads(pickle.dumps(store))):  # noqa: S301
        assert again.lookup(["q"], ["d"]).tolist() == [[1.0]]
    assert store.table.column_names == ["query_id", "doc_id", "score"]
    assert store.table.to_pylist() == [{"query_id": "q", "doc_id": "d", "score": 1.0}]


def test_a_passing_store_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "passing").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "passing"))
    write_parquet(tmp_path / "scores.parquet", ["q"], ["d"], np.array([1.0]))
    store = TeacherScores.open(tmp_path / "scores.parquet")
    assert store.folder.parent == tmp_path / "passing"
    del store
    (tmp_path / "broken.tsv").write_text("1\t0\tq\ta\tb\n1\tnan\tq\ta\tb\n")
    with pytest.raises(UserError):
        TeacherScores.open(tmp_path / "broken.tsv")
    with pytest.raises(UserError):
        TeacherScores.open(tmp_path / "broken.tsv", folder=tmp_path / "kept")
    assert list((tmp_path / "passing").iterdir()) == []
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"max_length": 200}, "max_length is 256 there, and 200 is asked for"),
        ({"precision": "bf16", "max_length": 256}, 'precision is "fp32" there, and "bf16" is asked for'),
        ({"teachers": [{"weights": "00"}]}, "teachers[1].weights is"),
        ({"teachers": []}, "teachers is"),
        ({"seed": 1}, "seed is missing there, and 1 is asked for"),
    ],
)
def test_a_cache_that_does_not_match_is_refused(expected: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        require_match(PROVENANCE, expected, "scores.parquet")
    assert str(raised.value).startswith("scores.parquet: ")
    assert message in str(raised.value)


def test_a_cache_that_matches() -> None:
    require_match(PROVENANCE, {})
    require_match(PROVENANCE, {"max_length": 256, "teachers": [{"weights": "ab" * 32}]})
    with pytest.raises(UserError, match="nothing says what they were made of"):
        require_match(None, {})


def test_the_fingerprint_is_of_the_texts_that_were_scored(tmp_path: Path) -> None:
    def tables(name: str, **changes: str) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        write_texts(folder / "queries.arrow", [("q", "query"), ("other", "none of these")])
        passages = {"a": "first", "b": "second", "c": "third", **changes}
        write_texts(folder / "passages.arrow", passages.items())
        return SimpleNamespace(queries=Texts(folder / "queries.arrow"), passages=Texts(folder / "passages.arrow"))

    whole = tables("whole")
    write_parquet(tmp_path / "scores.parquet", ["q", "q"], ["b", "a"], np.array([1.0, 2.0]))
    store = TeacherScores.open(tmp_path / "scores.parquet")
    expected = text_fingerprint(whole.queries, whole.passages, pa.array(["q"]), pa.array(["a", "b", "a"]))
    assert store.text_fingerprint(whole) == expected
    assert store.text_fingerprint(tables("more", c="unlike", d="fourth")) == expected
    assert store.text_fingerprint(tables("changed", b="Second")) != expected
    with pytest.raises(UserError, match="the passage id 'x' is not in the collection"):
        text_fingerprint(whole.queries, whole.passages, pa.array(["q"]), pa.array(["x"]))


def test_ensembles() -> None:
    scores = np.array([[1.0, 100.0], [2.0, 300.0], [3.0, 500.0]], np.float32)
    assert combine(scores).tolist() == [50.5, 151, 251.5]
    assert combine(scores).dtype == np.float32
    assert combine(scores, "standardised").tolist() == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)])
    over = statistics(np.array([[0.0, 0.0], [2.0, 200.0]]))
    assert combine(scores, "standardised", over).tolist() == [0, 1.5, 3]
    scores[1, 0] = np.nan
    for how in ("mean", "standardised"):
        found = combine(scores, how)
        assert np.isnan(found).tolist() == [False, True, False]  # no mean of the teachers that are left
    with pytest.raises(UserError, match="there is no 'median'"):
        combine(scores, "median")
    with pytest.raises(UserError, match="teacher 2 gives one score to everything"):
        combine(np.array([[1.0, 5.0], [2.0, 5.0]]), "standardised")
    assert combine(np.zeros((0, 2))).tolist() == []


def test_one_teacher_is_its_own_mean() -> None:
    scores = np.array([[0.1], [1e-30], [3e38]], np.float32)
    assert (combine(scores) == scores[:, 0]).all()
