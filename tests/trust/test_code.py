"""Listing, showing, comparing, planning and the terminal interface run no code that a folder names."""

import importlib.util
import json
import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from strangers import Strange

from distilkit.errors import UserError
from distilkit.plugins import Plugin, load_plugin
from distilkit.recipe import find_recipe, load_recipe, load_with_source, shipped_recipes
from distilkit.run_folders.commit import commit
from distilkit.run_folders.folder import RunFolder, provenance
from distilkit.run_folders.read import StoredRun
from distilkit_tui.core.control import Launcher
from distilkit_tui.core.planning import DryRun
from distilkit_tui.core.recipes import Draft, choices
from distilkit_tui.core.store import RunStore, read_entry

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def without_plugins() -> Iterator[None]:
    """Let every test find the process as if no plug-in had been run."""
    yield
    for name in [name for name in sys.modules if name.startswith("distilkit_plugin_")]:
        del sys.modules[name]


def test_reading_a_recipe_refuses_its_plugins(strange: Strange) -> None:
    with pytest.raises(UserError, match=r"evil.toml: plugins: evil.py is code, which only the command line runs"):
        load_recipe("evil.toml")
    assert not strange.ran


def test_the_form_lists_a_recipe_with_plugins_and_runs_none(strange: Strange) -> None:
    (found,) = [one for one in choices(strange.folder) if one.name == "evil.toml"]
    assert "evil.py is code" in found.problem
    assert "evil.py is code" in Draft(found).problem
    assert Draft(found, {"seed": "2"}).problem
    assert not strange.ran


def test_a_plan_runs_no_plugin_unless_it_is_allowed(cli: Cli, strange: Strange, tmp_path: Path) -> None:
    done = cli("run", "evil.toml", "--runs-dir", tmp_path / "runs", "--dry-run")
    assert (done.code, done.out, strange.ran) == (2, "", False)
    assert "evil.py is code, which is not run for a plan, unless --allow-plugins is given" in done.err
    done = cli("run", "evil.toml", "--runs-dir", tmp_path / "runs", "--dry-run", "--allow-plugins")
    assert (done.code, strange.ran) == (0, True)


def test_a_recipe_named_on_the_command_line_runs_plugins_that_are_shown(
    cli: Cli, strange: Strange, tmp_path: Path
) -> None:
    refused = cli("run", "evil.toml", "--runs-dir", tmp_path / "runs", "--no-plugins")
    assert (refused.code, strange.ran) == (2, False)
    (strange.folder / "evil.py").write_text(f"{strange.code}raise RuntimeError('seen')\n")
    done = cli("run", "evil.toml", "--runs-dir", tmp_path / "runs")
    shown, said = done.err.splitlines()
    assert shown.startswith(f"running the plug-in {strange.folder.resolve() / 'evil.py'} (sha256 ")
    assert "evil.py cannot be imported: RuntimeError: seen" in said
    assert (done.code, strange.ran) == (2, True)


@pytest.mark.parametrize("record", ["run.json", "suite.json"])
@pytest.mark.parametrize("kept", [None, [], "text", [{"sha256": "0" * 64}], [7], [{}]])
def test_a_run_goes_on_only_with_the_plugins_it_was_started_with(
    cli: Cli, strange: Strange, tmp_path: Path, record: str, kept: Any
) -> None:
    folder = tmp_path / "runs" / "evil"
    folder.mkdir(parents=True)
    (folder / record).write_text(json.dumps({} if kept is None else {"plugins": kept}))
    done = cli("run", "evil.toml", "--runs-dir", tmp_path / "runs", "--resume", "auto", "--allow-plugins")
    assert (done.code, strange.ran) == (2, False)
    assert f"when {folder} was started; choose another name with --name" in done.err


def test_a_run_records_its_plugins_and_goes_on_with_the_same(cli: Cli, strange: Strange, tmp_path: Path) -> None:
    (strange.folder / "evil.toml").write_text(
        (strange.folder / "evil.toml").read_text() + "[train]\nmax_steps = 1\n[twin]\nbudget = 'none'\n"
    )
    asked = ("run", "evil.toml", "--runs-dir", tmp_path / "runs")
    assert cli(*asked).code == 0
    (found,) = StoredRun(tmp_path / "runs" / "evil").record.raw["plugins"]
    plugin = Plugin("evil.py", strange.folder / "evil.toml")
    assert found == {"file": "evil.py", "sha256": plugin.sha256}
    assert cli(*asked, "--resume", "auto").code == 0
    (strange.folder / "evil.py").write_text(f"{strange.code}pass\n")
    done = cli(*asked, "--resume", "auto")
    assert done.code == 2
    assert "evil.py is not what it was when" in done.err


def test_what_is_hashed_is_what_is_run(strange: Strange) -> None:
    """A file of byte code beside a plug-in, which Python would prefer, is not read."""
    plugin = strange.folder / "plain.py"
    plugin.write_text("harmless = True\n")
    cache = Path(importlib.util.cache_from_source(str(plugin)))
    cache.parent.mkdir()
    code = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8)  # which says that it is not to be checked
    cache.write_bytes(code + marshal.dumps(compile(strange.code, str(plugin), "exec")))
    load_plugin(Plugin("plain.py", strange.folder / "evil.toml"))
    assert not strange.ran


def test_a_shipped_name_is_the_shipped_recipe(strange: Strange) -> None:
    shipped = shipped_recipes()["simplified_tinybert"]
    (strange.folder / "simplified_tinybert").write_text((strange.folder / "evil.toml").read_text())
    assert find_recipe("simplified_tinybert") == shipped
    assert load_recipe("simplified_tinybert").name == "simplified_tinybert"
    assert find_recipe("./simplified_tinybert") == Path("./simplified_tinybert")


def test_modules_of_the_working_folder_are_not_imported(strange: Strange, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recipe: nothing"):
        DryRun(["run", "nothing", "--runs-dir", str(tmp_path / "runs")]).result()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-m", "distilkit", "recipes"], env=environment, capture_output=True)
    assert done.returncode == 0
    launcher = Launcher(tmp_path / "runs")
    child = launcher.start(["run", "evil.toml"], "evil")
    assert child.process.wait() == 2
    assert "evil.py is code, which is not run with --no-plugins" in child.last_words
    assert not strange.ran


def test_a_strangers_run_is_resumed_without_what_came_with_it(strange: Strange, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "evil"
    (run.parent / ".launch").mkdir(parents=True)
    (run.parent / ".launch" / "evil.py").write_text(strange.code)
    record = {
        "name": "evil", "strategy": "s", "student": "s", "seed": 1, "twin": None, "overrides": [], "resolved": {},
        "data": {}, "versions": {}, "created": "", "recipe": {"name": "evil", "plugins": ["evil.py"]},
    }  # fmt: skip
    RunFolder(run).create(record)
    launcher = Launcher(run.parent)
    with pytest.raises(UserError, match=r"evil has plug-ins .*code that only the command line runs"):
        launcher.resume(read_entry("evil", RunFolder(run)))
    # Plug-ins by way of another recipe are refused by the command itself.
    (run.parent / ".launch" / "more.toml").write_text('plugins = ["evil.py"]\n')
    RunFolder(run).create({**record, "recipe": {"name": "evil", "extends": "more.toml"}})
    child = launcher.resume(read_entry("evil", RunFolder(run)))
    assert child.process.wait() == 2
    assert "is not run with --no-plugins" in child.last_words
    assert not strange.ran


def test_listing_and_showing_a_strangers_runs_runs_nothing(cli: Cli, strange: Strange, recorded_run: Path) -> None:
    raw = json.loads((recorded_run / "run.json").read_text())
    raw["recipe"]["plugins"] = raw["resolved"]["plugins"] = [str(strange.folder / "evil.py")]
    raw["resolved"]["strategy"] = {"name": "evil"}
    (recorded_run / "run.json").write_text(json.dumps(raw))
    runs = recorded_run.parent
    for asked in (("runs",), ("show", "distilled"), ("compare", "distilled", "--plots", runs / "plots")):
        assert cli(*asked, "--runs-dir", runs).code == 0
    assert RunStore(runs).poll().entries["distilled"].state == "done"
    assert not strange.ran


@pytest.fixture
def recorded_run(tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    recorded = Path(__file__).parents[1] / "tui" / "recorded_results"
    shutil.copytree(recorded, tmp_path / "runs")
    return tmp_path / "runs" / "distilled"


def test_plots_do_not_obey_the_working_folder(cli: Cli, strange: Strange, recorded_run: Path, shell: Cli) -> None:
    (strange.folder / "matplotlibrc").write_text("text.usetex: True\nfigure.hooks: evil:run\n")
    done = shell("compare", recorded_run, "--plots", recorded_run / "plots", options=("-P",))
    assert done.code == 0, done.err
    assert (recorded_run / "plots" / "frontier.svg").is_file()
    assert not strange.ran


def git(*arguments: object, folder: Path) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_repositorys_own_programs_are_not_run(strange: Strange) -> None:
    folder = strange.folder
    git("init", "-q", folder=folder)
    (folder / "program").write_text(f"#!/bin/sh\ntouch {strange.mark}\n")
    (folder / "program").chmod(0o755)
    (folder / ".gitattributes").write_text("* filter=evil\n")
    git("add", ".", folder=folder)
    git("commit", "-q", "-m", "one", folder=folder)
    head = git("rev-parse", "HEAD", folder=folder)
    program = str(folder / "program")
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "core.pager", "core.sshCommand"):
        git("config", key, program, folder=folder)
    for hook in ("post-index-change", "pre-commit", "reference-transaction"):
        (folder / ".git" / "hooks" / hook).write_text((folder / "program").read_text())
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    (folder / "evil.py").touch()
    assert provenance()["git"] == head
    assert not strange.ran


def test_the_commit_of_a_checkout_in_all_its_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    (repository / "below").mkdir(parents=True)
    monkeypatch.chdir(repository / "below")
    assert commit() is None
    git("init", "-q", "-b", "feature/one.two", folder=repository)
    assert commit() is None  # nothing was committed
    git("commit", "-q", "--allow-empty", "-m", "one", folder=repository)
    head = git("rev-parse", "HEAD", folder=repository)
    assert commit() == head
    git("pack-refs", "--all", folder=repository)
    assert commit() == head
    git("worktree", "add", "-q", tmp_path / "other", folder=repository)
    monkeypatch.chdir(tmp_path / "other")
    assert commit() == head
    git("checkout", "-q", "--detach", folder=tmp_path / "other")
    assert commit() == head


@pytest.mark.parametrize(
    "head", ["ref: ../../../secret", "ref: refs/../../secret", "ref: /etc/hostname", "secret", "", "\0", "\xff" * 50]
)
def test_a_head_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    (tmp_path / "secret").write_text("a" * 40)
    (tmp_path / "there" / ".git").mkdir(parents=True)
    (tmp_path / "there" / ".git" / "HEAD").write_text(head, encoding="latin-1")
    monkeypatch.chdir(tmp_path / "there")
    assert commit() is None


def test_what_is_set_on_the_command_line_is_an_act_of_its_own(strange: Strange) -> None:
    asked: list[str] = []
    load_with_source(
        "simplified_tinybert",
        [f"plugins=[{strange.folder / 'evil.py'}]"],
        lambda table, plugins: asked.append(plugins[0].name),
    )
    assert asked == [str(strange.folder / "evil.py")]
