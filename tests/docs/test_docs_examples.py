"""The worked examples of the guide to one's own parts train a student each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT

EXAMPLES = ROOT / "docs" / "examples"
RECIPES = {
    "loss": '[strategy]\nname = "distil"\nlosses = [{ name = "margin_mae", scale = 2.0 }]',
    "strategy": '[strategy]\nname = "labels_then_margins"\nweight = 0.5\n[stages.labels]\nmax_steps = 2',
    "student": '[strategy]\nname = "margin_mse"\n[student]\narchitecture = "mean_dot"\n'
    "[data]\nquery_length = 8\ndocument_length = 16",
    "source": '[data]\nsource = "plain_lines"\npath = "my-lines"\n[data.validation]\nqueries = 4',
}
# What shows in a run that its example took part: a loss in its events, or a word in its resolved recipe.
SIGNS = {"loss": "margin_mae", "strategy": "labels", "student": "mean_dot", "source": "plain_lines"}


def test_every_example_has_a_recipe_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RECIPES)


@pytest.mark.parametrize("example", list(RECIPES))
def test_an_example_trains(
    example: str,
    tiny_recipe: Path,
    tiny_beir: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if example == "source":
        _write_lines(tmp_path / "my-lines", tiny_beir)
    head = [f"extends = {json.dumps(str(tiny_recipe))}", f'name = "{example}"']
    head += [f"plugins = [{json.dumps(str(EXAMPLES / f'{example}.py'))}]", '[twin]\nbudget = "none"']
    Path("shown.toml").write_text("\n".join([*head, RECIPES[example]]))
    done = cli("run", "shown.toml", "--set", "train.max_steps=3")
    assert done.code == 0, done.err
    run = Path("runs") / example
    assert json.loads((run / "eval" / "test" / "measures.json").read_text())["n"] > 0
    assert SIGNS[example] in (run / "events.jsonl").read_text() + (run / "run.json").read_text()


def _write_lines(folder: Path, beir: Path) -> None:
    """Write the tiny collection as the example's source reads it."""
    folder.mkdir()
    for name in ("corpus", "queries"):
        lines = [json.loads(line)["text"] for line in (beir / f"{name}.jsonl").read_text().splitlines()]
        (folder / {"corpus": "passages.txt", "queries": "queries.txt"}[name]).write_text("\n".join(lines))
        if name == "queries":  # of the tiny collection query n asks for passage n
            (folder / "relevant.txt").write_text("\n".join(str(n) for n in range(len(lines))))
