"""Every command and every block of Python in the README and the documentation, run as it stands.

What trains is planned with --dry-run on a tiny collection; everything else is run, on runs trained in seconds.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from documents import ROOT, blocks, commands, documents, inline_commands, pages_module
from made_once import made_once
from tiny_rankers import save_tiny

import distilkit
from distilkit.cli import app
from distilkit.pipeline.suite import members
from distilkit.recipe import load_with_source, shipped_recipes
from distilkit.settings import Recipe
from distilkit.strategies import STRATEGIES

Cli = Callable[..., Any]

# What a line of a shell block begins with; the first two are made of this checkout, the others are of other programs.
WORDS = (
    "distilkit",
    "make",
    "python3",
    ".venv/bin/distilkit",
    "pip",
    "git",
    "cd",
    "source",
    "accelerate",
    "torchrun",
    "export",
    "curl",
)
# The runs that documents speak of as finished.
FINISHED = ("simplified_tinybert", "quickstart", "mine")
# Holds the recipes that are shipped, which tests/recipes reads.
SHIPPED = "docs/reference/recipes.md"
# Laid over what a document plans, so that it reads a tiny collection.
TINY = ("data.source=beir", "data.path=my-collection")
# Laid over a document's own recipe, so that it plans tiny models on the few queries that there are.
TINY_MODELS = ("teacher.model=my-bi-encoder", "student.shape=none", "data.validation.queries=4")
TINY_MODELS += ("data.query_length=8", "data.document_length=16")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path, tiny_checkpoint: Path, cli: Cli) -> Path:
    """Return a folder with runs and a bi-encoder, trained once for all processes that share the tests."""

    def train(folder: Path) -> None:
        for name in FINISHED:
            done = cli("run", tiny_recipe, "--name", name, "--runs-dir", folder / "runs")
            assert done.code == 0, done.err
        save_tiny(folder / "my-bi-encoder", tiny_checkpoint, "bert_dot")

    return made_once(tmp_path_factory, "documented", train)


@pytest.fixture
def workplace(
    made: Path, tiny_beir: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return the current folder of a reader: finished runs, a collection, a teacher, the files that documents name."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    shutil.copytree(made / "my-bi-encoder", tmp_path / "my-bi-encoder")
    shutil.copytree(tiny_beir, tmp_path / "my-collection")
    shutil.copytree(tiny_checkpoint, tmp_path / "my-teacher")
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    (tmp_path / "triples.tsv").write_text("q0\td0\td1\nq1\td1\td2\n")
    ranking = tmp_path / "runs" / "simplified_tinybert" / "eval" / "test" / "run.trec"
    for name in ("run.trec", "elsewhere.trec"):
        shutil.copy(ranking, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_commands() -> list[str]:
    return [name for name in documents() if any(own(line) for line in commands(name))]


def own(line: str) -> list[str]:
    """Return the arguments of distilkit in a line, whatever launches it; none for another program's."""
    words = shlex.split(line)
    if words[0] == "distilkit":
        return words[1:]
    if words[0] in ("accelerate", "torchrun"):
        return words[words.index("distilkit") + 1 :]
    return []


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return what a command line asks for; raises an error for a verb or an option that there is not."""
    group: Any = typer.main.get_command(app)
    verb = group.commands[arguments[0]]
    found: dict[str, Any] = verb.make_context(arguments[0], list(arguments[1:])).params
    return found


def test_the_makefile_has_what_the_readme_names() -> None:
    found = {line for line in commands("README.md") if line.startswith("make ")}
    assert "make demo" in found
    for line in found:
        done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "distilkit run" in done.stdout or line != "make demo"


def test_two_lines_stand_for_the_demo_where_there_is_no_make() -> None:
    done = subprocess.run(
        ["make", "demo", "--dry-run", "VENV=.new"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    by_make = done.stdout.replace(".new", ".venv").replace("--quiet --quiet --disable-pip-version-check ", "")
    lines = [line for line in commands("README.md") if ".venv/bin/" in line and not line.startswith("source")]
    assert len(lines) == 2
    for command in " && ".join(lines).split(" && "):
        assert command in by_make, command


def test_the_readme_is_short() -> None:
    assert len(documents()["README.md"].splitlines()) <= 150
    assert not re.search(r"@@|@[A-Z]+@", documents()["README.md"])


@pytest.mark.parametrize("document", list(documents()))
def test_every_block_says_its_language_and_every_line_its_program(document: str) -> None:
    for block in blocks(document):
        assert block.language in ("sh", "python", "toml", "text", "html"), f"{document}:{block.line}"
        if block.language == "text":
            assert not block.text.startswith("distilkit ") or "OPTIONS" in block.text, f"{document}:{block.line}"
    for line in commands(document):
        assert shlex.split(line)[0] in WORDS, f"{document}: {line}"


@pytest.mark.parametrize("document", list(documents()))
def test_commands_in_sentences_have_the_options_that_they_name(document: str) -> None:
    for command in inline_commands(document):
        arguments = shlex.split(command)[1:]
        assert arguments[0] in typer.main.get_command(app).commands, command  # type: ignore[attr-defined]
        if any(word.startswith("-") for word in arguments[1:]):
            known = {name for one in parsed_options(arguments[0]) for name in one}
            assert {word for word in arguments[1:] if word.startswith("-")} <= known, command


def parsed_options(verb: str) -> list[list[str]]:
    group: Any = typer.main.get_command(app)
    return [one.opts for one in group.commands[verb].params]


def written_recipes(document: str, workplace: Path) -> dict[str, Path]:
    """Write a document's recipes as the files that its commands name, and the folders that they read; return both."""
    found: dict[str, Path] = {}
    for block in blocks(document) if document != SHIPPED else ():
        table = tomllib.loads(block.text) if block.language == "toml" else {}
        if "name" not in table:
            continue
        path = workplace / f"{table['name']}.toml"
        path.write_text(block.text)
        folder = table.get("data", {}).get("path")
        if folder is not None and not Path(folder).exists():
            shutil.copytree(workplace / "my-collection", folder)
        found[path.name] = path
    return found


@pytest.mark.slow
@pytest.mark.parametrize("document", with_commands())
def test_every_command_runs(document: str, workplace: Path, cli: Cli) -> None:
    if any("--format onnx" in line for line in commands(document)):
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'distilkit[onnx]'")
    own_recipes = written_recipes(document, workplace)
    for line in commands(document):
        arguments = own(line)
        if not arguments or arguments[0].startswith("-"):
            continue
        verb, rest = arguments[0], arguments[1:]
        given = parsed(arguments)
        if verb in ("tui", "serve"):  # which go on until they are stopped
            continue
        if verb == "run" and given["recipe"] in own_recipes:
            tiny = [part for one in TINY_MODELS for part in ("--set", one)]
            _plan(line, [*rest, *tiny], given, cli)
            trained = workplace / "runs" / own_recipes[given["recipe"]].stem
            other = FINISHED[list(own_recipes).index(given["recipe"])]
            shutil.copytree(workplace / "runs" / other, trained)  # as if it had been
            continue
        if verb == "run":
            _plan(line, rest, given, cli)
            continue
        if verb == "push":
            assert "confirm with --yes" in cli(verb, *(word for word in rest if word != "--yes")).err, line
            continue
        if verb == "bench":
            rest += ["--queries", "2", "--warm-up", "0", "--lengths", "5 9"]
        done = cli(verb, *rest)
        assert done.code == 0, f"{document}: {line}\n{done.err}"
        written = given.get("output")
        assert done.out.strip() or written is not None, line
        assert written is None or Path(written).exists() or verb == "rerank", line


def _plan(line: str, arguments: list[str], given: dict[str, Any], cli: Cli) -> None:
    """Plan what a command would train; where models of the hub or data of others are needed, read its recipe."""
    overrides = list(given["set_"] or [])
    recipe = load_with_source(given["recipe"], overrides, trusted)[0]
    if given["recipe"] in shipped_recipes() and all(one.startswith("matrix.") for one in overrides):
        assert recipe.matrix is None or members(recipe)
        return  # tests/recipes plans every recipe that is shipped
    if _reaches_out(recipe):
        return
    if recipe.data.source == "pydocs":
        arguments = [*arguments, *(part for one in TINY for part in ("--set", one))]
    done = cli("run", *arguments, "--allow-plugins", *([] if given["dry_run"] else ["--dry-run"]))
    assert done.code == 0, f"{line}\n{done.err}"
    assert done.out.strip(), line


def trusted(table: dict[str, Any], plugins: Any) -> None:
    """Let the plug-ins of a document's recipe run: they are the examples of the documentation."""


def _reaches_out(recipe: Recipe) -> bool:
    """Tell whether a recipe needs the hub, or a collection that is not there."""
    teachers = [recipe.teacher, *recipe.teachers.values()]
    models = [one for teacher in teachers for one in (teacher.model, *teacher.models)]
    elsewhere = recipe.data.source in ("ir_datasets", "huggingface", "msmarco")
    return elsewhere or any("/" in model and not Path(model).exists() for model in models)


@pytest.mark.parametrize(
    "document", [name for name in documents() if name != SHIPPED and any(b.language == "toml" for b in blocks(name))]
)
def test_every_recipe_is_one(document: str, workplace: Path) -> None:
    """A recipe in a document is read as it stands, or as keys that change the recipe simplified_tinybert."""
    written_recipes(document, workplace)
    for block in blocks(document):
        if block.language != "toml":
            continue
        table = tomllib.loads(block.text)
        if "extends" in table or {"name", "strategy"} <= set(table) or "matrix" in table:
            text = block.text if "name" in table else f'name = "shown"\n{block.text}'
            (workplace / "shown.toml").write_text(text)
            load_with_source(workplace / "shown.toml", [], trusted)
        else:
            (workplace / "shown.toml").write_text(f'extends = "margin_mse"\nname = "shown"\n{block.text}')
            load_with_source(workplace / "shown.toml", [], trusted)


# Of PyTerrier's own use of pandas.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")
@pytest.mark.parametrize(
    "document", [name for name in documents() if any(b.language == "python" for b in blocks(name))]
)
def test_every_block_of_python_runs(
    document: str, workplace: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a document run one after the other, as a notebook's cells; what trains does so on a tiny recipe."""
    trained = distilkit.run

    def on_tiny(recipe: Any, **options: Any) -> Any:
        if recipe in shipped_recipes():
            options = {"name": recipe, **options, "quiet": True}
            recipe = tiny_recipe
        return trained(recipe, **options)

    planned = distilkit.plan

    def tiny_plan(recipe: Any, **options: Any) -> Any:
        return planned(tiny_recipe if recipe in shipped_recipes() else recipe, **options)

    monkeypatch.setattr(distilkit, "run", on_tiny)
    monkeypatch.setattr(distilkit, "plan", tiny_plan)
    cells: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(document):
        if block.language == "python":
            exec(compile(block.text, f"{document}:{block.line}", "exec"), cells)


def test_the_generated_pages_name_everything() -> None:
    found = pages_module().pages()
    keys = found["reference/recipe-keys.md"]
    for section in ("", "data", "train", "evaluate", "matrix", "report", "twin", "general", "student", "teacher"):
        model: Any = Recipe if not section else _section(section)
        for name, field in model.model_fields.items():
            key = field.alias or name
            if key != "strategy":
                dotted = f"{section}.{key}".strip(".")
                assert f"| `{key}`" in keys or f"## `[{dotted}]`" in keys or f"`{key}." in keys, f"[{section}] {key}"
    for name in STRATEGIES:
        page = found[f"reference/strategies/{name}.md"]
        assert "**Equation" in page
        for part in pages_module().strategy_keys(name):
            assert part.help not in ("", None), f"{name}: {part.key}"
            assert f"`{part.key.removeprefix('strategy.')}`" in page
    group: Any = typer.main.get_command(app)
    for verb, command in group.commands.items():
        assert f"## distilkit {verb}\n" in found["reference/commands.md"]
        for parameter in command.params:
            shown = (
                parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar or parameter.name.upper()
            )
            assert f"`{shown}`" in found["reference/commands.md"], f"{verb} {shown}"
    for name in shipped_recipes():
        assert f"## {name}\n" in found["reference/recipes.md"]


def _section(name: str) -> Any:
    annotation = Recipe.model_fields[name].annotation
    return next(one for one in (annotation, *getattr(annotation, "__args__", ())) if hasattr(one, "model_fields"))


def test_help_of_a_strategy_s_keys_is_its_own() -> None:
    for name in STRATEGIES:
        account = pages_module().account(STRATEGIES[name])
        for part in pages_module().strategy_keys(name):
            assert account not in part.help, f"{name}: {part.key} has no help of its own"
