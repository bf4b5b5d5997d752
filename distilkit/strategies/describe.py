"""Strategies as `distilkit strategies` shows them, driven by the registry."""

import inspect
from dataclasses import fields
from typing import Any

from distilkit.problems import to_toml
from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, strategy_table
from distilkit.strategies.stage import Stage

READ_ON = {"text": "plain text", "pairs": "pairs", "lists": "lists of a query", "triples": "triples"}


def listing(name: str | None = None) -> list[dict[str, Any]]:
    """Return {name, stages, parameters, paper} of every strategy, or of one; raises UserError for an unknown name."""
    names = [STRATEGIES.resolve(name)] if name is not None else list(STRATEGIES)
    return [
        {
            "name": key,
            "stages": [stage.name for stage in STRATEGIES[key]().stages(TrainSettings(), 1)],
            "parameters": strategy_table(STRATEGIES[key]()),
            "paper": STRATEGIES[key].paper,
        }
        for key in names
    ]


def explain(name: str) -> str:
    """Return one strategy's stages and losses, its account of itself, and its keys with their defaults."""
    kind = STRATEGIES[name]
    strategy = kind()
    lines = [STRATEGIES.resolve(name), "", inspect.getdoc(kind) or "", "", "Stages"]
    lines += [f"  {_stage(stage)}" for stage in strategy.stages(TrainSettings(), 1)]
    lines += ["", "Keys of [strategy]"]
    for field in fields(kind):
        value = getattr(strategy, field.name)
        shown = to_toml(vars(value)) if hasattr(value, "__dataclass_fields__") else to_toml(value)
        lines.append(f"  {field.name} = {shown}")
    return "\n".join(lines)


def _stage(stage: Stage) -> str:
    terms = " + ".join(f"{term.weight:g}·{term.name}" for term in stage.terms)
    return f"{stage.name}: {terms}, on {READ_ON[stage.examples]}"
