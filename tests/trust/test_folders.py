"""What distilkit did not make is never adopted, and never removed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.run_folders.folder import RunFolder
from distilkit_tui.core.control import delete

Cli = Callable[..., Any]
MATRIX = '[matrix]\nstrategies = ["fine_tune"]\nstudents = ["bert_cat:L2_H16:first_layers"]\nseeds = [1]\n'


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["tiny", "tiny-label_only"])
@pytest.mark.parametrize("resume", [(), ("--resume", "auto")])
def test_a_folder_of_somebody_elses_is_no_run(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, name: str, resume: tuple[str, ...]
) -> None:
    theirs = tmp_path / name
    (theirs / "model").mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    (theirs / "log.txt").write_text("their log")
    before = files(theirs)
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *resume)
    assert done.code == 2
    assert f"{theirs} exists and is not a run: it holds thesis.txt; choose another name with --name" in done.err
    assert files(theirs) == before


@pytest.mark.parametrize("resume", [(), ("--resume", "auto")])
def test_a_folder_of_somebody_elses_is_no_suite(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, resume: tuple[str, ...]
) -> None:
    recipe = tmp_path / "suite.toml"
    text = tiny_recipe.read_text().replace('[strategy]\nname = "simplified_tinybert"\n', "")
    recipe.write_text(text.replace('name = "tiny"', 'name = "suite"') + MATRIX)
    theirs = tmp_path / "runs" / "suite"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs", *resume)
    assert done.code == 2
    assert "exists" in done.err
    assert files(theirs) == {"thesis.txt": "years of work"}


def test_a_file_in_the_place_of_a_run(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file")
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path)
    assert done.code == 2
    assert "exists and is not a folder" in done.err
    assert (tmp_path / "tiny").read_text() == "a file"


@pytest.mark.parametrize("empty", [True, False])
def test_what_fails_at_once_leaves_a_folder_as_it_was(cli: Cli, tiny_recipe: Path, tmp_path: Path, empty: bool) -> None:
    """An empty folder may be one's own; it is used, and stays, and what fails leaves nothing in it."""
    triples = tmp_path / "triples.tsv"
    triples.write_text("q0\td0\tnowhere\n")
    if empty:
        (tmp_path / "runs" / "tiny").mkdir(parents=True)
    asked = ("--set", f"train.triples={json.dumps(str(triples))}", "--set", "strategy.name=margin_mse")
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", *asked)
    assert done.code == 2, done.err
    assert (tmp_path / "runs" / "tiny").exists() == empty
    assert not empty or not list((tmp_path / "runs" / "tiny").iterdir())


def test_a_start_that_was_killed_leaves_a_name_that_can_be_used(tmp_path: Path) -> None:
    for name in ("run.lock", ".run.json.ab12cd34", "stop"):
        (tmp_path / name).touch()
    folder = RunFolder(tmp_path)
    assert folder.foreign() == []
    folder.refuse_foreign()
    (tmp_path / ".bashrc").touch()
    assert folder.foreign() == [".bashrc"]


def test_only_what_is_ours_is_removed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "eval" / "test").mkdir(parents=True)
    for name in ("run.json", "run.lock", "eval/test/run.trec", ".status.json.ab12cd34"):
        (run / name).touch()
    (run / "thesis.txt").write_text("years of work")
    RunFolder(run).remove_own(whole=True)
    assert files(run) == {"thesis.txt": "years of work"}
    (run / "thesis.txt").unlink()
    RunFolder(run).remove_own(whole=False)
    assert run.is_dir()
    RunFolder(run).remove_own(whole=True)
    assert not run.exists()


def test_the_terminal_interface_deletes_no_project_that_has_a_file_run_json(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "run.json").write_text("{}")
    (project / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis.txt, which distilkit did not write; delete it by hand"):
        delete(RunFolder(project))
    assert (project / "thesis.txt").read_text() == "years of work"
    assert not (project / "run.lock").exists()
