"""Strategies as `distilkit strategies` shows them, driven by the registry."""

import inspect
from dataclasses import fields
from typing import Any

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, strategy_table


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
    for stage in strategy.stages(TrainSettings(), 1):
        terms = " + ".join(f"{term.weight:g}·{term.name}" for term in stage.terms)
        lines.append(f"  {stage.name}: {terms}, on {stage.examples}")
    lines += ["", "Keys of [strategy]"]
    for field in fields(kind):
        lines.append(f"  {field.name} = {getattr(strategy, field.name)!r}")
    return "\n".join(lines)
