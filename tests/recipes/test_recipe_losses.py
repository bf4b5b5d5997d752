"""Losses that a recipe names: any one alone, its options, and what is said of one that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def run(cli: Cli, recipe: Path, folder: Path, losses: str, *more: str) -> Any:
    sets = ("strategy.name=distil", f"strategy.losses={losses}", "twin.budget=none", "train.logging_steps=1", *more)
    return cli("run", recipe, "--runs-dir", folder, *(part for one in sets for part in ("--set", one)))


@pytest.mark.parametrize(
    ("losses", "name", "weight"),
    [
        ('[{name = "kl_divergence", weight = 2.0, student_temperature = 2.0}]', "kl_divergence", 2.0),
        ('[{name = "ranknet"}]', "ranknet", 1.0),
        ('[{name = "hidden", weight = 0.5, variant = "released_code"}]', "hidden", 0.5),
    ],
)
def test_a_recipe_trains_one_loss_alone(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, losses: str, name: str, weight: float
) -> None:
    done = run(cli, tiny_recipe, tmp_path / "runs", losses, "train.max_steps=2")
    assert done.code == 0, done.err
    (folder,) = [path.parent for path in (tmp_path / "runs").glob("*/run.json")]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    values = [event["values"] for event in events if (event["kind"], event["stage"]) == ("train", "distil")]
    assert len(values) == 2
    for one in values:
        assert one["loss"] == pytest.approx(weight * one[name], rel=1e-5)
    strategy = json.loads((folder / "run.json").read_text())["resolved"]["strategy"]
    assert [(loss["name"], loss["weight"]) for loss in strategy["losses"]] == [(name, weight)]


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ('[{name = "kl_divergance"}]', "no loss term is called 'kl_divergance'; did you mean 'kl_divergence'"),
        ('[{name = "adr_mse", temperatur = 2.0}]', "temperatur is not a key of adr_mse; did you mean 'temperature'"),
        ('[{name = "adr_mse", temperature = 0.0}]', "temperature = 0.0: expected a number above 0"),
        ('[{name = "adr_mse", weight = -1.0}]', "weight = -1.0: expected a number from 0"),
        ('[{name = "adr_mse", weight = 0.0}]', "every loss has the weight 0; expected one above 0"),
        ('[{name = "adr_mse"}, {name = "adr_mse"}]', "adr_mse is listed twice; expected each loss once"),
        ('[{name = "list"}, {name = "masked_lm"}]', "no examples in common: list (on lists) and masked_lm (on text)"),
        ('["adr_mse"]', 'expected a list of losses such as [{ name = "kl_divergence", weight = 1.0 }]'),
    ],
)
def test_what_is_wrong_is_said(cli: Cli, tiny_recipe: Path, tmp_path: Path, losses: str, message: str) -> None:
    done = run(cli, tiny_recipe, tmp_path / "runs", losses)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert str(tiny_recipe) in done.err or "--set" in done.err
    assert not (tmp_path / "runs").exists()
