"""Strategies and losses that are not distilkit's own: from a file beside the recipe, and from an installed package."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli_processes import run_cli, started
from registered import forget, restored

from distilkit.errors import UserError
from distilkit.plugins import Plugin, code_of
from distilkit.recipe import load_recipe
from distilkit.strategies import parse_strategy, strategy_name

Cli = Callable[..., Any]

PLUGIN = '''
"""A strategy with a loss of its own: the absolute error of the class logits."""

from dataclasses import dataclass
from typing import ClassVar

from distilkit.strategies import STRATEGIES, TERMS, Stage
from distilkit.strategies.terms import STRICT, HardTerm, LogitTerm


def absolute_error(student_logits, teacher_logits, scale=1.0, normaliser=None):
    """The mean absolute error of the logits."""
    return SCALE * scale * (student_logits - teacher_logits).abs().sum() / (normaliser or len(student_logits))


SCALE = 1.0

TERMS.register("absolute")(LogitTerm.of(absolute_error))


@STRATEGIES.register("absolute_kd")
@dataclass(frozen=True)
class AbsoluteKd:
    """Distil the absolute error of the logits, with the labels.

    Equation: L = |z_s - z_t| + hard * L_hard.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "none"

    hard: float = 0.5

    def stages(self, train, seed):
        """Return the one stage."""
        terms = (TERMS["absolute"](1.0, scale=2.0), HardTerm(self.hard))
        return [Stage("absolute_stage", terms, "pairs", train, seed)]
'''


@pytest.fixture(autouse=True)
def without_traces() -> Iterator[None]:
    """Forget afterwards what a test registers."""
    with restored():
        yield


@pytest.fixture
def recipe(tmp_path: Path, tiny_recipe: Path) -> Path:
    """Return the tiny recipe with a strategy out of a file beside it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "absolute.py").write_text(PLUGIN)
    path = tmp_path / "plugged.toml"
    path.write_text(f"""\
extends = {json.dumps(str(tiny_recipe))}
name = "plugged"
plugins = ["mine/absolute.py"]

[strategy]
name = "absolute_kd"
hard = 0.25

[train]
max_steps = 3
logging_steps = 1

[stages.absolute_stage]
learning_rate = 2e-3

[twin]
budget = "none"
""")
    return path


def allowed(table: dict[str, Any], plugins: Sequence[Plugin]) -> None:
    """Let plug-ins pass."""


def key(cli: Cli, recipe: Path, runs: Path) -> str:
    """Return the key of the recipe's own stage."""
    done = cli("run", recipe, "--runs-dir", runs, "--dry-run", "--json", "--allow-plugins")
    assert done.code == 0, done.err
    (found,) = [stage["key"] for stage in json.loads(done.out)["stages"] if "absolute_stage" in stage["what"]]
    return str(found)


def test_a_file_beside_the_recipe_brings_a_strategy(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs")
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "plugged"
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    values = [event["values"] for event in events if (event["kind"], event["stage"]) == ("train", "absolute_stage")]
    assert len(values) == 3
    for one in values:
        assert one["loss"] == pytest.approx(one["absolute"] + 0.25 * one["hard"], rel=1e-5)
        assert one["absolute"] > 0
    assert max(one["learning_rate"] for one in values) == 2e-3
    assert json.loads((run / "run.json").read_text())["resolved"]["strategy"] == {"name": "absolute_kd", "hard": 0.25}


def test_its_names_are_like_any_others(recipe: Path, cli: Cli) -> None:
    load_recipe(recipe, trust=allowed)
    assert strategy_name(parse_strategy("absolute_kd(hard=0.25)")) == "absolute_kd(hard=0.25)"
    with pytest.raises(UserError, match="heard is not a key of absolute_kd; did you mean 'hard'"):
        parse_strategy("absolute_kd(heard=1.0)")
    assert "absolute_stage: 1·absolute + 0.5·hard" in cli("strategies", "absolute_kd").out


def test_a_recipe_that_extends_it_finds_the_file(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    below = tmp_path / "below" / "deeper.toml"
    below.write_text('extends = "../plugged.toml"\nname = "deeper"\n')
    assert load_recipe(below, trust=allowed).strategy["name"] == "absolute_kd"


def test_a_change_of_the_losss_code_changes_the_key(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    file, runs = tmp_path / "mine" / "absolute.py", tmp_path / "runs"
    first = key(cli, recipe, runs)
    assert key(cli, recipe, runs) == first
    forget("absolute_kd", "absolute")
    file.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 3.0"))
    second = key(cli, recipe, runs)
    assert second != first
    forget("absolute_kd", "absolute")
    (tmp_path / "moved").mkdir()
    moved = recipe.rename(tmp_path / "moved" / "plugged.toml")
    file.parent.rename(tmp_path / "moved" / "mine")
    assert key(cli, moved, runs) == second  # where a file lies does not matter


def test_losses_of_ours_are_known_by_their_version() -> None:
    assert code_of(Plugin) is None
    assert code_of(json.JSONDecoder) != code_of(json.JSONEncoder)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "plugins: there is no file mine/absolute.py"),
        ("import no_such_module_of_mine", "ModuleNotFoundError: No module named 'no_such_module_of_mine'"),
        ("def broken(:", "mine/absolute.py cannot be imported: SyntaxError"),
        ("raise SystemError('words')", "cannot be imported: SystemError: words"),
        (PLUGIN.replace('"absolute_kd"', '"fine_tune"'), "there is a strategy called 'fine_tune' already"),
        ("", "no strategy is called 'absolute_kd'"),
    ],
)
def test_what_is_wrong_with_a_file(cli: Cli, recipe: Path, tmp_path: Path, code: str | None, message: str) -> None:
    file = tmp_path / "mine" / "absolute.py"
    file.unlink()
    if code is not None:
        file.write_text(code)
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert str(recipe) in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_python(cli: Cli, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "absolute.txt").write_text(PLUGIN)
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs", "--set", "plugins=[mine/absolute.txt]")
    assert done.code == 2
    assert "mine/absolute.txt is not a Python file; expected one that ends in .py" in done.err


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with a package and what an installer would write about it."""
    folder = tmp_path / "site"
    (folder / "absolute_package").mkdir(parents=True)
    (folder / "absolute_package" / "__init__.py").write_text("")
    (folder / "absolute_package" / "strategy.py").write_text(PLUGIN)
    info = folder / "absolute_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: absolute-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[distilkit.strategies]\nabsolute = absolute_package.strategy\n")
    return folder


def test_an_installed_package_brings_a_strategy(shell: Cli, recipe: Path, package: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace('plugins = ["mine/absolute.py"]\n', ""))
    words = ["run", str(recipe), "--runs-dir", str(tmp_path / "runs")]
    with started(run_cli, words, None, package, folder=tmp_path / "said") as process:
        assert process.wait() == 0, process.stderr
    events = (tmp_path / "runs" / "plugged" / "events.jsonl").read_text().splitlines()
    assert any("absolute" in json.loads(event)["values"] for event in events)
    (package / "absolute_package" / "strategy.py").write_text("import no_such_module_of_mine")
    done = shell("strategies", env={"PYTHONPATH": str(package)})
    assert (done.code, done.out) == (2, "")
    assert "the package absolute-package brings absolute_package.strategy, which cannot be imported" in done.err
    assert "Traceback" not in done.err
