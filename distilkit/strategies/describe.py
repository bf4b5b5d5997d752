"""Strategies as `distilkit strategies` shows them, driven by the registry."""

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from typing import Any

from distilkit.problems import to_toml
from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, strategy_table
from distilkit.strategies.scores import ScoreStrategy
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import TERMS, Term

_PART = r"[A-Z]\w+(?: \(\d+\))?: "
"""How a paragraph of a strategy's account of itself begins: `Papers: `."""
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


def explain(name: str, width: int = 120) -> str:
    """Return one strategy's stages and losses, its account of itself, and its keys with their defaults.

    Lines are at most `width` characters long, where words are not longer.
    """
    kind = STRATEGIES[name]
    strategy = kind()

    def told(text: str, before: str = "", behind: str = "") -> str:
        return textwrap.fill(
            " ".join(text.split()),
            width,
            initial_indent=before,
            subsequent_indent=behind,
            break_long_words=False,
            break_on_hyphens=False,
        )

    lines = [STRATEGIES.resolve(name), ""]
    lines += [told(part) for part in re.split(rf"\n(?={_PART}|\n)", inspect.getdoc(kind) or "")]
    lines += ["", "Stages", *(f"  {_stage(stage)}" for stage in strategy.stages(TrainSettings(), 1))]
    if issubclass(kind, ScoreStrategy):
        lines += ["", told("Losses for `losses` (a list of tables: name, weight, options) and `mix` (name = weight)")]
        lines += [told(f"{name}{_term(TERMS[name])}", "  ", " " * 6) for name in TERMS]
    lines += ["", "Keys of [strategy]"]
    help_of = key_help(kind)
    for key, value in strategy_table(strategy).items():
        lines += [f"  {key} = {_default(value)}"]
        lines += [told(help_of[key], " " * 6, " " * 6)] if key in help_of else []
    return "\n".join(lines)


def key_help(kind: type[Any]) -> dict[str, str]:
    """Return what is said of each key of a strategy: the text below its field, in the class or in one it builds on.

    Empty where the source cannot be read, and without the keys that have no such text.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if "__dataclass_fields__" not in one.__dict__:
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
                found[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))  # type: ignore[attr-defined]
    return found


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _term(kind: type[Term]) -> str:
    """Return a loss term's options with their defaults, and what it is."""
    options = ", ".join(f"{name} = {_default(value)}" for name, value in kind().options.items())
    account = (inspect.getdoc(kind) or "").partition("\n")[0]
    return f"{f' ({options})' if options else ''}: {account}"


def _default(value: object) -> str:
    """Return a default as a recipe writes it, which has no word for none."""
    return "(absent)" if value is None else to_toml(value)


def _stage(stage: Stage) -> str:
    terms = " + ".join(f"{term.weight:g}·{term.name}" for term in stage.terms)
    return f"{stage.name}: {terms}, on {READ_ON[stage.examples]}"
