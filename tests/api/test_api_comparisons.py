"""`distilkit.compare` on systems in memory and on disk: the same figures, whatever form they come in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ir_measures import Qrel, ScoredDoc

import distilkit
from distilkit import UserError
from distilkit.evaluation.trec import write_qrels, write_run

QRELS = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 0} for i in range(12)}
GOOD = {f"q{i}": {f"d{i}": 3.0, f"d{i + 1}": 2.0 if i % 3 else 4.0} for i in range(12)}
POOR = {f"q{i}": {f"d{i + 1}": 3.0, f"d{i + 2}": 2.5, f"d{i}": 1.0} for i in range(12)}


def frame(run: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Return a run in PyTerrier's columns, with more that are not read."""
    rows = [(query, document, score, 0) for query, found in run.items() for document, score in found.items()]
    return pd.DataFrame(rows, columns=["qid", "docno", "score", "rank"])


def scored(run: dict[str, dict[str, float]]) -> list[ScoredDoc]:
    return [ScoredDoc(query, document, score) for query, found in run.items() for document, score in found.items()]


def file(run: dict[str, dict[str, float]], path: Path) -> Path:
    write_run(path, {query: list(found.items()) for query, found in run.items()}, tag="any")
    return path


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> dict[str, Any]:
    """Return the report of the command line on the same systems as files."""
    folder = tmp_path_factory.mktemp("files")
    write_qrels(folder / "qrels.tsv", QRELS)
    systems = [f"{name}={file(run, folder / f'{name}.trec')}" for name, run in (("poor", POOR), ("good", GOOD))]
    done = cli("compare", *systems, "--qrels", folder / "qrels.tsv", "--measures", "nDCG@10 RR@10", "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize("form", ["mapping", "frame", "ir_measures", "file"])
def test_every_form_of_a_system_gives_the_figures_of_the_command_line(
    form: str, wanted: dict[str, Any], tmp_path: Path
) -> None:
    made: dict[str, Callable[[dict[str, dict[str, float]]], object]] = {
        "mapping": lambda run: run,
        "frame": frame,
        "ir_measures": scored,
        "file": lambda run: file(run, tmp_path / f"{len(list(tmp_path.iterdir()))}.trec"),
    }
    systems = {"poor": made[form](POOR), "good": made[form](GOOD)}
    found = distilkit.compare(systems, qrels=QRELS, measures="nDCG@10 RR@10")
    assert found.to_json()["comparisons"] == wanted["comparisons"]
    assert found.to_json()["systems"] == wanted["systems"]


@pytest.mark.parametrize("form", ["frame", "ir_measures", "file"])
def test_every_form_of_judgements_gives_the_same_figures(form: str, wanted: dict[str, Any], tmp_path: Path) -> None:
    rows = [(query, document, grade) for query, found in QRELS.items() for document, grade in found.items()]
    write_qrels(tmp_path / "qrels.tsv", QRELS)
    made = {
        "frame": pd.DataFrame(rows, columns=["qid", "docno", "label"]),
        "ir_measures": [Qrel(*row) for row in rows],
        "file": tmp_path / "qrels.tsv",
    }
    found = distilkit.compare({"poor": POOR, "good": GOOD}, qrels=made[form], measures=["nDCG@10", "RR@10"])
    assert found.to_json()["comparisons"] == wanted["comparisons"]


def test_one_system_and_systems_without_names() -> None:
    assert distilkit.compare(GOOD, qrels=QRELS).result.names == ("system-1",)
    assert distilkit.compare([GOOD, frame(POOR)], qrels=QRELS).result.names == ("system-1", "system-2")


def test_it_shows_itself_and_is_saved_in_every_format(tmp_path: Path) -> None:
    found = distilkit.compare({"poor": POOR, "good <b>": GOOD}, qrels=QRELS, baseline="poor")
    assert "poor" in str(found)
    shown = found._repr_html_()
    assert "good &lt;b&gt;" in shown
    assert "good <b>" not in shown
    places = [shown.index(part) for part in ("<b>Take</b>", 'class="forest"', "<table", "against poor")]
    assert places == sorted(places)
    assert shown.count('class="band"') == 2  # a line of the forest plot for each system
    assert (shown.count("<table"), shown.count("</table>"), shown.count("<pre")) == (3, 3, 0)
    assert list(found.to_frame()["name"]) == ["poor", "poor", "good <b>", "good <b>"]
    assert list(found.to_frame("comparisons")["baseline"]) == ["poor", "poor"]
    for suffix, sign in {
        "html": "<html",
        "md": "|",
        "tex": "\\toprule",
        "json": '"comparisons"',
        "csv": ",",
        "txt": "poor",
    }.items():
        assert sign in found.save(tmp_path / f"report.{suffix}").read_text()
    assert "good" in found.to_html()  # with the single queries, which are read from the systems' files
    assert [path.suffix for path in found.plot(tmp_path / "plots")]
    with pytest.raises(UserError, match="docx"):
        found.save(tmp_path / "report.docx", "docx")


@pytest.mark.parametrize(
    ("systems", "qrels", "said"),
    [
        ({"a": frame(GOOD).rename(columns={"docno": "doc"})}, QRELS, "no column 'docno'"),
        ({"a": 3}, QRELS, "is no system"),
        ({"a": {"q1": {"d1": "high"}}}, QRELS, "expected numbers"),
        ({"a": [("q1", "d1", 1.0)]}, QRELS, "ir_measures"),
        ({"a=b": GOOD}, QRELS, "cannot be a system's name"),
        ({"a": GOOD}, None, "judgements"),
        ([], QRELS, "no system"),
        (["no/such/run"], QRELS, "neither a run folder"),
        ({"a": {"q one": {"d1": 1.0}}}, QRELS, "q one"),
        ({"a": GOOD}, {"q0": 1}, "query id"),
    ],
)
def test_wrong_input_is_one_sentence(systems: Any, qrels: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as found:
        distilkit.compare(systems, qrels=qrels)
    assert "\n" not in str(found.value)
