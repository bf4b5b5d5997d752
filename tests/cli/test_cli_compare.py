"""`distilkit compare` over a finished run."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

COMPARISON = {
    "system", "baseline", "measure", "n", "mean_difference", "ci_low", "ci_high", "t", "df", "p", "p_adjusted",
    "wilcoxon_p", "permutation_p", "cohens_dz", "wins", "ties", "losses", "noninferiority_t", "noninferiority_p",
    "non_inferior", "minimum_detectable_difference", "queries_needed", "set",
}  # fmt: skip


@pytest.fixture
def compare(cli: Cli, finished: Any) -> Cli:
    """Return a function that compares the finished run and returns what is printed."""

    def compare(*options: object, system: object = "tiny", code: int = 0) -> str:
        outcome = cli("compare", system, "--runs-dir", finished.runs, *options)
        assert outcome.code == code, outcome.err
        return str(outcome.err if code else outcome.out)

    return compare


def test_a_run_brings_its_references_along(compare: Cli, finished: Any) -> None:
    result = json.loads(compare("--format", "json"))
    assert {"baselines", "test", "correction", "family", "alpha", "margin", "policy"} <= set(result)
    assert result["baselines"] == ["teacher"]
    assert (result["correction"], result["alpha"], result["margin"]) == ("holm", [0.05, 0.01], 0.03)
    assert list(dict.fromkeys(one["name"] for one in result["systems"])) == [
        "bm25",
        "teacher",
        "tiny-label_only",
        "tiny",
        "ceiling",
        "chance",
    ]
    assert {one["system"] for one in result["comparisons"]} == {"bm25", "tiny-label_only", "tiny"}
    for one in result["comparisons"]:
        assert set(one) >= COMPARISON
        assert one["n"] == 8 == one["wins"] + one["ties"] + one["losses"]
    means = {(one["name"], one["measure"]): one["mean"] for one in result["systems"]}
    stored = json.loads((finished.run / "eval/test/measures.json").read_text())["measures"]
    for measure, mean in stored.items():
        assert means["tiny", measure] == pytest.approx(mean, abs=1e-12)
    assert json.loads(compare("--json")) == result
    assert json.loads(compare("--format", "json", system=finished.run)) == result


@pytest.mark.parametrize(
    "options", [("--baseline", "bm25", "--baseline", "tiny-label_only"), ("--baseline", "bm25 tiny-label_only")]
)
def test_baselines_are_chosen(compare: Cli, options: tuple[str, ...]) -> None:
    result = json.loads(compare(*options, "--json"))
    assert result["baselines"] == ["bm25", "tiny-label_only"]


def test_an_unknown_baseline_lists_the_systems(compare: Cli) -> None:
    message = compare("--baseline", "bm52", code=2)
    assert "no system is called 'bm52'" in message
    assert "bm25" in message


@pytest.mark.parametrize("options", [("--measures", "nDCG@5 MRR@5"), ("--measures", "nDCG@5", "--measures", "RR@5")])
def test_measures_are_chosen(compare: Cli, options: tuple[str, ...]) -> None:
    result = json.loads(compare(*options, "--json"))
    assert {one["measure"] for one in result["systems"]} == {"nDCG@5", "RR@5"}


@pytest.mark.parametrize("options", [("--alpha", "0.1", "--alpha", "0.02"), ("--alpha", "0.02 0.1")])
def test_levels_are_chosen(compare: Cli, options: tuple[str, ...]) -> None:
    assert json.loads(compare(*options, "--json"))["alpha"] == [0.1, 0.02]


def test_formats_hold_the_same_numbers(compare: Cli) -> None:
    result = json.loads(compare("--format", "json"))
    rows = list(csv.DictReader(io.StringIO(compare("--format", "csv"))))
    found = {(one["system"], one["measure"], one["baseline"]): float(one["p"]) for one in rows if one["p"]}
    assert found == {(one["system"], one["measure"], one["baseline"]): one["p"] for one in result["comparisons"]}
    assert len({(one["system"], one["set"], one["measure"], one["baseline"]) for one in rows}) == len(rows)
    assert {one["set"] for one in rows} == {"test"}
    assert {one["kind"]: one["strategy"] for one in rows}["run"]
    markdown, text = compare("--format", "markdown"), compare()
    assert markdown.startswith("- **Take**: ")
    assert "\n| System | RR@10 | nDCG@10 |\n|---|---:|---:|\n" in markdown
    for one in result["systems"]:
        assert f"{one['mean']:.4f}" in markdown
        assert f"{one['mean']:.4f}" in text


def test_text_tells_what_the_comparisons_come_to_and_has_their_figures_on_demand(compare: Cli) -> None:
    short, full = compare(), compare("--details")
    assert "tiny against teacher: " in short
    assert "W/T/L" not in short
    assert "nDCG@10 against teacher (paired t-test)" in full
    assert "W/T/L" in full
    assert len(short.splitlines()) < 60
    for words in ("Order of results: ", "Judged@10", "Files (sha256): judgements ", "refused"):
        assert words in short


def test_equivalence_is_tested_on_demand(compare: Cli) -> None:
    result = json.loads(compare("--equivalence", "--non-inferiority", "0.5", "--json"))
    assert {type(one["equivalent"]) for one in result["comparisons"]} == {bool}
    assert "equivalent" not in json.loads(compare("--json"))["comparisons"][0]
    assert "equivalent (±50 %)" in compare("--equivalence", "--non-inferiority", "0.5")


def test_seeds_are_drawn_on_demand(compare: Cli) -> None:
    result = json.loads(compare("--seeds", "hierarchical", "--json"))
    assert (result["seeds"], result["test"]) == ("hierarchical", "t-test")


def test_eval_sets_are_named(compare: Cli) -> None:
    assert json.loads(compare("--eval-set", "test", "--json")) == json.loads(compare("--json"))
    assert {one["set"] for one in json.loads(compare("--json"))["comparisons"]} == {"test"}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (("--tables", "cost training"), ["cost", "training"]),
        (("--tables", "fidelity", "--tables", "cost"), ["fidelity", "cost"]),
        (("--depths", "5 10"), ["depth", "depth"]),
    ],
)
def test_tables_are_added(compare: Cli, options: tuple[str, ...], keys: list[str]) -> None:
    assert [one["key"] for one in json.loads(compare(*options, "--json"))["tables"]] == keys
    assert ("Effectiveness and cost" in compare(*options)) == ("cost" in keys)


def test_plots_are_written(compare: Cli, tmp_path: Path) -> None:
    assert compare("--plots", tmp_path / "plots") == compare()
    names = {one.name for one in (tmp_path / "plots").iterdir()}
    assert {f"{name}.{kind}" for name in ("frontier", "waterfall") for kind in ("png", "svg", "pdf")} <= names


def test_the_page_and_the_paper(compare: Cli, tmp_path: Path) -> None:
    assert compare("--format", "html", "--output", tmp_path / "report.html") == ""
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Effectiveness and cost" in page
    paper = compare("--format", "latex", "--tables", "cost")
    # Means, the forest plot, budget and costs; how many pages' widths the last takes is up to the digits of its times.
    assert paper.count(r"\begin{table*}") - paper.count("(Continued.)") == 4


@pytest.mark.parametrize("format_", ["text", "markdown", "json", "csv"])
def test_output_goes_to_a_file(compare: Cli, tmp_path: Path, format_: str) -> None:
    path = tmp_path / "new" / "table.out"
    assert compare("--format", format_, "--output", path) == ""
    assert path.read_text() == compare("--format", format_)
    assert [one.name for one in path.parent.iterdir()] == ["table.out"]


def test_output_that_cannot_be_written(compare: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "table.md"):
        message = compare("--output", path, code=2)
        assert message.startswith(f"distilkit: --output {path}: cannot be written: ")
        assert message.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_bare_run_file_needs_judgements(compare: Cli, finished: Any, tiny_beir: Path) -> None:
    bare = finished.run / "eval/test/run.trec"
    assert "give them with --qrels FILE" in compare(system=bare, code=2)
    qrels = ("--qrels", tiny_beir / "qrels/test.tsv")
    result = json.loads(compare("--json", "--measures", "nDCG@10 RR@10", *qrels, system=bare))
    stored = json.loads((finished.run / "eval/test/measures.json").read_text())["measures"]
    assert {one["measure"]: one["mean"] for one in result["systems"] if one["name"] == "run"} == pytest.approx(stored)
    assert {one["name"] for one in result["systems"]} == {"run", "ceiling", "chance"}
    beside = json.loads(compare("--json", f"first={bare}", *qrels))
    assert "first" in {one["name"] for one in beside["systems"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "marckdown"), "no format is called 'marckdown'; did you mean 'markdown'?"),
        (("--test", "ttest"), "--test: there is no 'ttest'; did you mean 't-test'?"),
        (("--correction", "holmes"), "--correction: there is no 'holmes'; did you mean 'holm'?"),
        (("--pairs", "every"), "--pairs: there is no 'every'; known: all, baseline"),
        (("--queries", "judge"), "--queries: there is no 'judge'; did you mean 'judged'?"),
        (("--alpha", "five"), "--alpha five: expected a number between 0 and 1"),
        (("--alpha", "5"), "--alpha: expected one or two levels between 0 and 1"),
        (("--alpha", "nan"), "--alpha: expected one or two levels between 0 and 1"),
        (("--non-inferiority", "3"), "--non-inferiority: expected a share from 0 to 1"),
        (("--measures", "nDGC@10"), "no measure is called 'nDGC@10'; did you mean 'nDCG'?"),
        (("--eval-set", "dev"), "no results for the set 'dev'; known: test"),
        (("--qrels", "nowhere.tsv"), "--qrels nowhere.tsv: there is no such file"),
        (("--seeds", "median"), "--seeds: there is no 'median'; did you mean 'mean'?"),
        (("--seeds", "hierarchical", "--test", "wilcoxon"), "--seeds hierarchical is a t-test of its own"),
        (("--tables", "costs"), "--tables: there is no 'costs'; did you mean 'cost'?"),
        (("--tables", "curve"), "--tables curve: no run was validated after numbers of training examples"),
        (("--depths", "ten"), "--depths ten: expected whole numbers, such as 10 20 50 100"),
        (("--depths", "500"), "--depths 500: expected a depth from 1 to 10"),
        (("tinny",), "'tinny' is neither a run folder, a run or suite below"),
    ],
)
def test_a_wrong_option_is_one_sentence(compare: Cli, options: tuple[str, ...], message: str) -> None:
    said = compare(*options, code=2)
    assert said.startswith("distilkit: ")
    assert message in said
    assert said.count("\n") == 1


def test_latencies_are_measured_together_when_asked_and_written_nowhere(cli: Cli, finished: Any) -> None:
    paths = [*finished.runs.glob("tiny*/eval/test/**/cost.json")]
    before = {path: path.read_bytes() for path in paths}
    done = cli("compare", finished.run, "--latency", "--runs-dir", finished.runs, "--json")
    assert done.code == 0, done.err
    (table,) = json.loads(done.out)["tables"]
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
    assert "All latencies were measured together, by turns in 5 rounds" in table["notes"][1]
    assert rows["teacher"]["ms/query"] > 0
    assert rows["tiny"]["ms/query"] == rows["tiny-label_only"]["ms/query"] > 0
    stated = {json.loads(text)["ms_per_query"]["p50"] for path, text in before.items() if "bm25" not in path.parts}
    assert {rows[name]["ms/query"] for name in ("teacher", "tiny")} != stated  # measured anew
    assert before == {path: path.read_bytes() for path in paths}


def test_what_cannot_be_timed_together_is_said(cli: Cli, finished: Any, tmp_path: Path) -> None:
    run, qrels = finished.run / "eval" / "test" / "run.trec", finished.run / "eval" / "test" / "qrels.tsv"
    bare = cli("compare", f"a={run}", f"b={run}", "--qrels", qrels, "--latency")
    assert (bare.code, "no system is a run of distilkit" in bare.err) == (2, True)
    shutil.copytree(finished.run, tmp_path / "tiny")
    gone = cli("compare", "tiny", "--latency", "--runs-dir", tmp_path)
    assert gone.code == 2
    assert "its models are no longer kept in" in " ".join(gone.err.split())
