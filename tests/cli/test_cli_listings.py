"""The verbs that list and explain: runs, show, strategies, recipes, and help."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from distilkit import __version__
from distilkit.cli import app
from distilkit.recipe import load_recipe, shipped_recipes
from distilkit.strategies import STRATEGIES, strategy_from_table, strategy_table
from distilkit.tables import table

Cli = Callable[..., Any]
VERBS = ("run", "compare", "runs", "show", "strategies", "recipes", "recipe-keys")
NASTY = "[red]a|b\x1b[31m\u202e"


@pytest.fixture
def copied(finished: Any, tmp_path: Path) -> Path:
    """Return a folder of runs that a test may change."""
    runs = tmp_path / "runs"
    for run in (finished.run, finished.twin):
        shutil.copytree(run, runs / run.name)
    return runs


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version") == (0, f"distilkit {__version__}\n", "")
    outcome = cli("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in outcome.out
    assert cli("-h") == outcome


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Cli, verb: str) -> None:
    outcome = cli(verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: distilkit {verb} ")
    assert "--json" in outcome.out
    # A line for every option: what it does, not only how it is spelt.
    assert cli(verb, "-h") == outcome


def test_recipe_keys_have_types_defaults_and_help(cli: Cli) -> None:
    found = {one["key"]: one for one in json.loads(cli("recipe-keys", "--json").out)}
    assert found["train.learning_rate"]["default"] == "5e-05"
    assert found["data.validation.from"]["type"] == "train or dev"
    assert found["data.validation.from"]["choices"] == ["train", "dev", "none"]
    assert all(one["help"] and one["type"] for one in found.values())
    assert {"name", "teacher.train.negatives", "matrix.jobs"} <= set(found)
    rows = cli("recipe-keys", "data.passages").out.splitlines()
    assert rows[0].startswith("Rank documents by their passages")
    assert cli("recipe-keys", "[data.passages]").out.endswith("\n".join(rows[2:]) + "\n")
    assert [row.split()[0] for row in rows[4:]] == [key for key in found if key.startswith("data.passages.")]
    own = json.loads(cli("recipe-keys", "strategy.margin_mse", "--json").out)
    assert {one["key"] for one in own} >= {"strategy.name", "strategy.mix"}
    shared = json.loads(cli("recipe-keys", "strategy", "--json").out)
    assert any(one["help"].endswith("(tinybert)") for one in shared)
    assert json.loads(cli("recipe-keys", "evaluate.sets", "--json").out)[0]["key"] == "evaluate.sets.NAME.data"
    wrong = cli("recipe-keys", "trian")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert wrong.err.endswith("did you mean 'train'?\n")


def test_tables_fit_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    text = table(["key", "what it is"], [["data.path", "a folder " * 12], ["[bold]", "x"]])
    assert max(map(len, text.splitlines())) <= 60
    assert text.count("folder") == 12
    assert "[bold]" in text
    narrow = table(["key"], [["data.path"]])
    assert narrow.splitlines()[1] == "---------"


@pytest.mark.parametrize(
    "arguments", [(), ("rnu",), ("run",), ("run", "x", "--sed", "1"), ("run", "x", "--seed", "one")]
)
def test_a_wrong_command_line_is_exit_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert "Usage: distilkit" in outcome.err
    assert "Traceback" not in outcome.err


def test_runs_lists_every_run(cli: Cli, finished: Any) -> None:
    listed = json.loads(cli("runs", "--runs-dir", finished.runs, "--json").out)
    assert [one["name"] for one in listed] == ["tiny", "tiny-label_only"]
    for one in listed:
        assert set(one) == {"name", "state", "strategy", "student", "step", "total", "measures", "bytes"}
    student, twin = listed
    assert (student["state"], student["strategy"], student["student"]) == (
        "done",
        "simplified_tinybert",
        "bert_cat:L2_H16",
    )
    assert (student["step"], student["total"], list(student["measures"])) == (16, 16, ["RR@10", "nDCG@10"])
    assert twin["strategy"] == "fine_tune"
    rows = {line.split()[0]: line.split() for line in cli("runs", "--runs-dir", finished.runs).out.splitlines()}
    assert rows["run"] == ["run", "state", "strategy", "student", "step", "disk", "RR@10", "nDCG@10"]
    assert rows["tiny"][1:5] == ["done", "simplified_tinybert", "bert_cat:L2_H16", "16/16"]
    disk = sum(path.stat().st_size for path in finished.run.rglob("*") if path.is_file())
    assert (student["bytes"], rows["tiny"][5:7]) == (disk, [f"{disk / 1024:.1f}", "KiB"])
    assert rows["tiny"][7] == f"{student['measures']['RR@10']:.4f}"


def test_no_runs(cli: Cli, tmp_path: Path) -> None:
    assert cli("runs", "--runs-dir", tmp_path / "none") == (0, f"no runs in {tmp_path}/none\n", "")
    assert json.loads(cli("runs", "--runs-dir", tmp_path, "--json").out) == []


def test_show_tells_all_of_a_run(cli: Cli, finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(cli("show", "tiny", "--runs-dir", finished.runs, "--json").out)
    record = json.loads((finished.run / "run.json").read_text())
    assert {key: found[key] for key in record} == record
    assert set(found) - set(record) == {"path", "state", "status", "grid", "agreement", "sets"}
    assert found["state"] == "done"
    assert set(found["sets"]["test"]) == {"set", "n", "measures", "policy", "cost"}
    text = cli("show", "tiny", "--runs-dir", finished.runs).out
    assert text.startswith("tiny: done\n")
    for word in ("simplified_tinybert", "bert_cat:L2_H16, seed 1", "tiny-label_only", "nDCG@10", "parameters"):
        assert word in text
    monkeypatch.setenv("DISTILKIT_RUNS", str(finished.runs))
    assert cli("show", "tiny").out == cli("show", finished.run).out == text


def test_show_of_an_unknown_run_names_the_nearest(cli: Cli, finished: Any) -> None:
    outcome = cli("show", "tinny", "--runs-dir", finished.runs)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"distilkit: no run is called 'tinny' in {finished.runs}; did you mean 'tiny'?\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ("[]", "name is missing"), ('{"name": "x"}', "strategy is missing")],
)
def test_a_damaged_run_hides_no_other(cli: Cli, copied: Path, text: str, message: str) -> None:
    path = copied / "broken" / "run.json"
    path.parent.mkdir()
    path.write_text(text)
    states = {one["name"]: one["state"] for one in json.loads(cli("runs", "--runs-dir", copied, "--json").out)}
    assert states == {"broken": "damaged", "tiny": "done", "tiny-label_only": "done"}
    assert cli("runs", "--runs-dir", copied).code == 0
    outcome = cli("show", "broken", "--runs-dir", copied)
    assert outcome.code == 2
    assert outcome.err.startswith(f"distilkit: {path}: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_run_whose_process_is_gone_has_crashed(cli: Cli, copied: Path) -> None:
    path = copied / "tiny" / "status.json"
    status = json.loads(path.read_text())
    path.write_text(json.dumps({**status, "state": "running", "phase": "student: distil", "step": 3}))
    listed = json.loads(cli("runs", "--runs-dir", copied, "--json").out)
    assert [one["state"] for one in listed] == ["crashed", "done"]
    assert "student: distil: 3/16" in cli("show", "tiny", "--runs-dir", copied).out
    path.write_text("{")
    assert "tiny: crashed" in cli("show", "tiny", "--runs-dir", copied).out
    path.unlink()
    assert "tiny: crashed" in cli("show", "tiny", "--runs-dir", copied).out


def test_names_do_not_drive_the_terminal(cli: Cli, copied: Path) -> None:
    folder = copied / NASTY
    (copied / "tiny").rename(folder)
    path = folder / "run.json"
    record = {key: value for key, value in json.loads(path.read_text()).items() if key != "hash"}
    path.write_text(json.dumps({**record, "name": NASTY}))
    shown = "[red]a|b\\x1b[31m\\u202e"
    outcomes = [
        cli("runs", "--runs-dir", copied),
        cli("show", NASTY, "--runs-dir", copied),
        cli("show", f"{NASTY}x", "--runs-dir", copied),
        cli("compare", NASTY, "--runs-dir", copied),
        cli("compare", f"{NASTY}x", "--runs-dir", copied),
    ]
    for outcome in outcomes:
        text = outcome.out + outcome.err
        assert shown in text
        assert not {"\x1b", "\u202e"} & set(text)
    markdown = cli("compare", NASTY, "--runs-dir", copied, "--format", "markdown").out
    assert "\\[red\\]a\\|b" in markdown
    # An unescaped pipe would add a column.
    rows = [line.replace("\\|", "").count("|") for line in markdown.splitlines() if line.startswith("|")]
    assert set(rows[:6]) == {4}
    assert json.loads(cli("runs", "--runs-dir", copied, "--json").out)[0]["name"] == NASTY


def test_strategies_come_from_the_registry(cli: Cli) -> None:
    listed = json.loads(cli("strategies", "--json").out)
    assert [one["name"] for one in listed] == list(STRATEGIES)
    for one in listed:
        assert set(one) == {"name", "stages", "parameters", "paper"}
        assert one["stages"]
        assert strategy_from_table({"name": one["name"], **one["parameters"]}) == STRATEGIES[one["name"]]()
    text = cli("strategies").out
    for one in listed:
        assert f"\n{one['name']} " in text
        assert one["paper"] in text


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_strategy_is_explained(cli: Cli, name: str) -> None:
    text = cli("strategies", name).out
    assert text.startswith(f"{name}\n")
    # However wide the terminal is: lines are broken to its width.
    assert STRATEGIES[name].__doc__.strip().splitlines()[0] in " ".join(text.split())
    for key in strategy_table(STRATEGIES[name]()):
        assert f"\n  {key} = " in text
    assert [one["name"] for one in json.loads(cli("strategies", name, "--json").out)] == [name]


def test_an_unknown_strategy_names_the_nearest(cli: Cli) -> None:
    for options in ((), ("--json",)):
        outcome = cli("strategies", "finetune", *options)
        assert outcome == (2, "", "distilkit: no strategy is called 'finetune'; did you mean 'fine_tune'?\n")


def test_recipes_lists_what_is_shipped(cli: Cli) -> None:
    listed = json.loads(cli("recipes", "--json").out)
    assert [one["name"] for one in listed] == list(shipped_recipes())
    for one in listed:
        assert set(one) == {"name", "strategy", "data", "description", "path"}
        assert load_recipe(one["path"]).data.source == one["data"]
    text = cli("recipes").out
    assert all(f"\n{one['name']} " in text for one in listed)


def _commands() -> list[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    return sorted(group.commands.items())


@pytest.mark.parametrize(("name", "command"), _commands())
def test_every_option_has_help_and_every_verb_an_example(name: str, command: Any) -> None:
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"
    assert f"Example: distilkit {name}" in command.help


def test_doctor_says_what_is_here_and_what_is_missing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.commands import doctor

    monkeypatch.setattr(doctor, "_is_installed", lambda name: name != "faiss-cpu")
    done = cli("doctor", "--runs-dir", tmp_path / "runs")
    assert done.code == 0, done.err
    assert "lacks faiss-cpu: pip install 'distilkit[faiss]'" in done.out
    found = json.loads(cli("doctor", "--json", "--runs-dir", tmp_path / "runs").out)
    assert found["versions"]["distilkit"] == __version__
    assert found["devices"][0]["device"] == "cpu"
    assert found["devices"][0]["precision"] in ("fp32", "bf16")
    assert found["extras"]["faiss"] == ["faiss-cpu"]
    assert found["extras"]["demo"] == []
    assert found["folders"]["runs"] == {
        "path": str(tmp_path / "runs"),
        "exists": False,
        "free_bytes": pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2),
    }


def test_the_suffix_of_output_names_the_format(cli: Cli, finished: Any, tmp_path: Path) -> None:
    done = cli("compare", finished.run, "--output", tmp_path / "report.html")
    assert done.code == 0, done.err
    assert "<html" in (tmp_path / "report.html").read_text()
    done = cli("compare", finished.run, "--output", tmp_path / "report.html", "--format", "csv")
    assert done.code == 0, done.err
    assert "<html" not in (tmp_path / "report.html").read_text()


def test_a_table_leaves_out_columns_before_it_folds_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [["a run of a suite", "done", "simplified_tinybert", "0.5"]]
    header = ["run", "state", "strategy", "nDCG@10"]

    def at(columns: int) -> list[str]:
        monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
        return table(header, rows, optional=("strategy", "state")).splitlines()

    assert at(53)[0].split() == header
    assert at(52)[0].split() == ["run", "state", "nDCG@10"]
    assert at(52)[-1] == "(left out, as the terminal has 52 columns: strategy)"
    assert at(28)[0].split() == ["run", "nDCG@10"]
    assert all(len(line) <= 14 for line in at(14)[:-1])
