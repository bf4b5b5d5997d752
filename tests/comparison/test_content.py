"""Systems of one table were judged and re-ranked from the same content, or the report says so."""

import json
from pathlib import Path

import pytest

from distilkit.comparison.compare import compare
from distilkit.comparison.systems import System, SystemFiles, read_systems
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import Qrels, qrels_hash, read_qrels, write_qrels
from distilkit.files import sha256_file, write_json
from distilkit.manifest import sealed, write_made_of

QRELS: Qrels = {f"q{i}": {"a": 1, "b": 0} for i in range(6)}
OTHER: Qrels = {**QRELS, "q3": {"a": 0, "b": 1}}
RUN = {query: [("a", 2.0), ("b", 1.0)] for query in QRELS}
MADE_OF = {"passages": "p", "queries": "q", "candidates": "c", "content": "all"}


def run_folder(path: Path, qrels: Qrels = QRELS, **made_of: str) -> Path:
    """Write a finished run with a first stage, whose results say what they were made of."""
    record = {"name": path.name, "strategy": "kd", "student": "bert_cat:L2", "seed": 1, "twin": None, "overrides": []}
    write_json(
        path / "run.json",
        {**record, "resolved": {"name": path.name, "n": path.name}, "data": {}, "versions": {}, "created": ""},
    )
    for place in (path / "eval" / "test", path / "eval" / "test" / "references" / "bm25"):
        write_evaluation(place, "test", RUN, evaluate(RUN, qrels, "RR@10"), "t")
        write_made_of(place, {**MADE_OF, "judgements": qrels_hash(qrels), **made_of})
    write_qrels(path / "eval" / "test" / "qrels.tsv", qrels)
    return path


def made_of(folder: Path, **changed: str) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["hash"]
    write_json(path, sealed({**manifest, "made_of": {**manifest["made_of"], **changed}}))


def names(*folders: Path) -> list[str]:
    return [str(folder) for folder in folders]


def test_the_hash_of_judgements_is_that_of_their_file(tmp_path: Path) -> None:
    write_qrels(tmp_path / "qrels.tsv", QRELS)
    assert qrels_hash(QRELS) == sha256_file(tmp_path / "qrels.tsv")
    assert qrels_hash(read_qrels(tmp_path / "qrels.tsv")) == qrels_hash(QRELS) != qrels_hash(OTHER)


def test_equal_content_is_compared_without_a_word(tmp_path: Path) -> None:
    result = compare(read_systems(names(run_folder(tmp_path / "a"), run_folder(tmp_path / "b"))))
    assert result.names == ("bm25", "a", "b")
    assert result.notes == ()


def test_runs_judged_differently_are_refused_with_the_query(tmp_path: Path) -> None:
    systems = read_systems(names(run_folder(tmp_path / "a"), run_folder(tmp_path / "b", OTHER)))
    with pytest.raises(UserError, match=r"different judgements \(query 'q3', for one\); judge all with one --qrels"):
        compare(systems)
    given = tmp_path / "all.tsv"
    write_qrels(given, QRELS)
    assert compare(read_systems(names(tmp_path / "a", tmp_path / "b"), qrels=given)).notes == ()


def test_subsets_of_the_same_judgements_are_compared_on_what_they_share(tmp_path: Path) -> None:
    part = {query: judged for query, judged in QRELS.items() if query != "q0"}
    systems = read_systems(names(run_folder(tmp_path / "a"), run_folder(tmp_path / "b", part)))
    assert compare(systems, queries="intersection").policy["n"] == 5


def test_a_reference_judged_otherwise_than_the_student_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a")
    made_of(run / "eval" / "test" / "references" / "bm25", judgements=qrels_hash(OTHER))
    with pytest.raises(UserError, match="'bm25' and 'a' were measured with different judgements; judge all"):
        compare(read_systems(names(run)))


def test_a_folder_of_mixed_results_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a")
    made_of(run / "eval" / "test" / "references" / "bm25", content="another teacher")
    with pytest.raises(UserError, match="the results of a, bm25 were made of different data, judgements or models"):
        read_systems(names(run))


@pytest.mark.parametrize("part", ["passages", "queries", "candidates"])
def test_other_candidates_are_said(tmp_path: Path, part: str) -> None:
    systems = read_systems(names(run_folder(tmp_path / "a"), run_folder(tmp_path / "b", **{part: "other"})))
    (note,) = compare(systems).notes
    assert note.startswith("These systems re-ranked different candidates or texts")
    assert note.endswith(": BM25, a; b.")


def test_seeds_of_other_content_are_no_mean(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / f"a-seed{seed}", candidates=f"c{seed}") for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        record = json.loads((folder / "run.json").read_text())
        write_json(folder / "run.json", {**record, "seed": seed, "resolved": {}})
    assert [system.name for system in read_systems(names(*folders)) if system.kind == "run"] == ["a-seed1", "a-seed2"]


def test_files_and_results_without_a_manifest_say_nothing(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a")
    for path in run.rglob("manifest.json"):
        path.unlink()
    assert compare(read_systems(names(run, run / "eval" / "test" / "run.trec"))).notes == ()


def test_judgements_whose_file_has_changed_cannot_be_looked_at(tmp_path: Path) -> None:
    write_qrels(tmp_path / "qrels.tsv", QRELS)
    values = {"RR@10": dict.fromkeys(QRELS, 1.0)}
    first, other = (
        System(name, values, judgements=name, origins=(SystemFiles(qrels=tmp_path / "qrels.tsv"),)) for name in "ab"
    )
    with pytest.raises(UserError, match="different judgements; judge all"):
        compare([first, other])
