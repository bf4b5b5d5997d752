"""Recipes to choose, the form made from their schema, and the plan: the command line's words, without a process."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.recipe import load_recipe, resolved, shipped_recipes
from distilkit.recipe_keys import Field, form
from distilkit.strategies import STRATEGIES
from distilkit_tui.core.planning import DryRun, view
from distilkit_tui.core.recipes import BROKEN, SUITES, Choice, Draft, choices


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def choice(tmp_path: Path) -> Choice:
    path = write(tmp_path / "own.toml", 'extends = "simplified_tinybert"\nname = "own"\n[train]\nmax_steps = 7\n')
    return Choice(str(path), path, "Simplified TinyBERT")


def test_recipes_are_grouped_by_paper_and_files_beside_are_among_them(tmp_path: Path) -> None:
    write(tmp_path / "own.toml", 'extends = "simplified_tinybert"\nname = "own"\n')
    write(tmp_path / "recipes" / "deep" / "labels.toml", 'name = "labels"\n[strategy]\nname = "fine_tune"\n')
    suite = 'name = "suite"\n[matrix]\nstrategies = ["tinybert"]\nstudents = ["bert_cat:L1_H16"]\n'
    write(tmp_path / "suite.toml", suite)
    write(tmp_path / "torn.toml", 'name = "torn')
    write(tmp_path / "wrong.toml", 'name = "wrong"\n[strategy]\nname = "fine_tun"\n')
    write(tmp_path / "pyproject.toml", '[project]\nname = "no recipe"\n')
    found = {choice.path.name: choice for choice in choices(tmp_path) if choice.path.is_relative_to(tmp_path)}
    assert sorted(found) == ["labels.toml", "own.toml", "suite.toml", "torn.toml", "wrong.toml"]
    assert (found["own.toml"].group, found["suite.toml"].group) == ("Simplified TinyBERT", SUITES)
    assert [name for name, choice in found.items() if choice.suite] == ["suite.toml"]
    assert found["torn.toml"].group == found["wrong.toml"].group == BROKEN
    assert "wrong.toml:3" in found["wrong.toml"].problem
    assert "did you mean 'fine_tune'?" in found["wrong.toml"].problem
    every = choices(tmp_path)
    assert set(shipped_recipes()) <= {choice.name for choice in every}
    assert [choice.name for choice in every[:2]] == ["quickstart", "simplified_tinybert"]
    groups = [choice.group for choice in every]
    assert groups == sorted(groups, key=groups.index), "a group is in two places"


@pytest.mark.parametrize("strategy", ["fine_tune", "tinybert"])
def test_every_key_of_a_recipe_is_in_the_form_with_type_and_help(strategy: str, choice: Choice) -> None:
    draft = Draft(choice).with_value("strategy.name", strategy)
    fields = {field.key: field for field in draft.fields}
    tables = {key for key, field in fields.items() if "table" in field.kind}
    # Of what is given as a whole, or is a section, there is one field, or those of its keys.
    inside = {key for key in draft.values if any(key.startswith(f"{table}.") for table in tables)}
    sections = {key for key in draft.values if any(other.startswith(f"{key}.") for other in fields)}
    assert set(draft.values) - inside - sections - {"matrix"} <= set(fields)
    absent = {key for key, value in draft.values.items() if value == "none"}
    extra = set(fields) - set(draft.values)
    assert all(any(key.startswith(f"{section}.") for section in absent) for key in extra), extra
    assert all(field.kind and field.help for field in fields.values())
    assert fields["strategy.name"].choices == tuple(STRATEGIES)


def test_the_form_has_types_defaults_and_choices() -> None:
    fields = {field.key: field for field in form("simplified_tinybert", suite=False)}
    assert fields["train.learning_rate"] == Field("train.learning_rate", "number", "5e-05", "Peak learning rate.")
    assert fields["train.max_steps"].kind == "whole number or none"
    assert fields["train.bf16"].choices == ("auto", "true", "false")
    assert fields["student.num_labels"].choices == ("1", "2")
    assert fields["data.validation.from"].choices == ("train", "dev", "none")
    assert "prettr" in fields["student.architecture"].choices
    assert fields["strategy.weights.hidden"].default == "1.0"
    assert fields["strategy.variant"].choices == ("paper", "released_code")
    assert not any(field.section == "matrix" for field in fields.values())
    suite = {field.key for field in form(None, suite=True)}
    assert {"matrix.strategies", "matrix.seeds"} <= suite
    assert "strategy.temperature" not in suite


def test_a_draft_says_what_is_wrong_in_the_words_of_the_command_line(choice: Choice, cli: Any) -> None:
    draft = Draft(choice)
    assert draft.problem == ""
    assert (draft.values["train.max_steps"], draft.values["data.max_length"]) == ("7", "64")
    assert "train.max_steps" in draft.given
    assert "train.weight_decay" not in draft.given
    for key, value in [("train.learning_rate", "fast"), ("data.k1", "-1"), ("student.shape", "L3"), ("nope", "1")]:
        wrong = draft.with_value(key, value)
        said = cli(*wrong.arguments(Path("runs")), "--dry-run")
        assert (said.code, said.err) == (2, f"distilkit: {wrong.problem}\n")
        assert wrong.values == draft.values, "what is wrong must not empty the form"
        assert wrong.with_value(key, None).problem == ""


def test_a_draft_is_the_recipe_with_its_overrides(choice: Choice) -> None:
    draft = Draft(choice).with_value("train.learning_rate", "1e-3").with_value("strategy.temperature", "2")
    draft = draft.with_value("train.warmup_ratio", "0.25").with_value("name", "5")
    words = shlex.split(draft.command(Path("my runs")))
    assert words[:3] == ["distilkit", "run", choice.name]
    assert words[-2:] == ["--runs-dir", "my runs"]
    assert "--name=5" in words
    changed = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    recipe = resolved(load_recipe(choice.path, [*changed, 'name="5"']))
    assert recipe["strategy"]["temperature"] == 2.0
    assert draft.values["strategy.temperature"] == "2.0"
    assert draft.name == recipe["name"] == "5"
    other = draft.with_value("strategy.name", "fine_tune")
    assert "strategy.temperature" not in other.overrides
    assert other.problem == ""
    assert "strategy.listwise" in {field.key for field in other.fields}


def test_a_name_that_is_taken_gets_a_number(choice: Choice, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert Draft(choice).named_freely(runs).overrides == {}
    (runs / "own").mkdir(parents=True)
    (runs / "own-2").mkdir()
    assert Draft(choice).named_freely(runs).name == "own-3"


STAGES = [
    {"what": "teacher: fine_tune", "losses": "1·hard + 1·list", "examples": 20, "steps": 10, "cached": True},
    {
        "what": "student, temperature 2: distil", "losses": "0.5·soft + 1·hard",
        "examples": 60, "steps": 300, "cached": False,
    },
    {"what": "label-only: fine_tune", "losses": "1·hard", "examples": 60, "steps": 16, "cached": False},
]  # fmt: skip


def a_plan(recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"name": "tiny", "counts": {"passages": 40, "queries": 34}}
    sets = {"test": {"queries": 8, "depth": 10, "measures": "RR@10"}}
    return {"name": "own", "data": data, "stages": STAGES, "sets": sets, "recipe": recipe, **more}


def test_the_plan_tells_how_long_its_stages_should_take(choice: Choice, tmp_path: Path) -> None:
    recipe = resolved(load_recipe(choice.path))
    unknown = view(a_plan(recipe), tmp_path)
    assert [step.cached for step in unknown.steps] == [True, False, False]
    assert (unknown.to_train, unknown.seconds, unknown.unknown) == (316, None, 2)
    assert unknown.facts[0] == "tiny: 40 passages, 34 queries"
    assert unknown.free is not None
    timed = a_plan(recipe)
    timed["stages"] = [{**stage, "seconds": seconds} for stage, seconds in zip(STAGES, (5.0, 60.0, None), strict=True)]
    known = view(timed, tmp_path)
    assert [step.seconds for step in known.steps] == [None, pytest.approx(60.0), None]
    assert (known.seconds, known.unknown) == (pytest.approx(60.0), 1)
    forecast = view({**timed, "seconds": 90.0}, tmp_path)
    assert (forecast.seconds, forecast.unknown) == (90.0, 0)


def test_a_suites_plan_names_its_runs_and_counts_what_they_share_once(choice: Choice, tmp_path: Path) -> None:
    recipe = resolved(load_recipe(choice.path))
    plans = [a_plan(recipe, name=name) for name in ("suite/a", "suite/b")]
    for plan in plans:
        keys = ["teacher", plan["name"], "labels"]
        plan["stages"] = [{**stage, "key": key} for stage, key in zip(STAGES, keys, strict=True)]
    found = view({"name": "suite", "steps_to_train": 616, "runs": plans}, tmp_path)
    assert [step.what for step in found.steps[2:4]] == ["a · label-only: fine_tune", "b · teacher: fine_tune"]
    assert [step.shared for step in found.steps] == [False, False, False, False, False, True]
    assert found.to_train == 616
    with pytest.raises(UserError, match="cannot be read"):
        view({"name": "none"}, tmp_path)


def test_a_dry_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = write(tmp_path / "program", '#!/bin/sh\necho "distilkit: no such recipe: $5" >&2\nexit 2\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(UserError, match=r"^no such recipe: nope$"):
        DryRun(["run", "nope"]).result()
    write(program, "#!/bin/sh\necho no JSON\n")
    with pytest.raises(UserError, match="printed no plan"):
        DryRun(["run", "nope"]).result()
    write(program, "#!/bin/sh\nexec sleep 60\n")
    killed = DryRun(["run", "nope"])
    killed.kill()
    with pytest.raises(UserError, match="code -9"):
        killed.result()


def test_the_form_shows_and_sets_what_the_grid_tries(tmp_path: Path) -> None:
    text = 'name = "own"\n[strategy]\nname = "standard_kd"\n[train]\nmax_steps = 5\n'
    path = write(tmp_path / "own.toml", f'{text}[grid]\n"train.max_steps" = [1, 2]\n"standard_kd.alpha" = [0.2, 0.5]\n')
    draft = Draft(Choice("own", path, "x"))
    assert (draft.values["train.max_steps"], draft.values["strategy.alpha"]) == ("[1, 2]", "[0.2, 0.5]")
    assert (draft.set_by["train.max_steps"], draft.set_by["strategy.alpha"]) == ("grid", "grid")
    changed = draft.with_value("train.max_steps", "9").with_value("strategy.alpha", "[0.1, 0.3]")
    assert changed.problem == ""
    assert changed.overrides == {"grid.train.max_steps": "[9]", "grid.standard_kd.alpha": "[0.1, 0.3]"}
    assert (changed.values["train.max_steps"], changed.set_by["train.max_steps"]) == ("[9]", "you")
    assert changed.with_value("train.max_steps", None).with_value("strategy.alpha", None) == draft
