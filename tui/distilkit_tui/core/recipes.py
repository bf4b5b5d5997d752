"""The recipes that can be started: those that come with distilkit, and the files beside."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from distilkit.errors import UserError
from distilkit.recipe import load_recipe, shipped_recipes
from distilkit.settings import Recipe
from distilkit.strategies import STRATEGIES, parse_strategy

# What a TOML file has at its top if it is a recipe, and where files beside are looked for, how many at most.
SIGNS = ("extends", "strategy", "matrix")
PATTERNS = ("*.toml", "recipes/**/*.toml")
MOST = 500
BROKEN = "cannot be read"
OWN = "other strategies"


@dataclass(frozen=True)
class Choice:
    """A recipe to choose: its name on the command line, its paper, what it says of itself, what is wrong with it."""

    name: str
    path: Path
    group: str
    description: str = ""
    suite: bool = False
    problem: str = ""


def choices(beside: Path) -> list[Choice]:
    """Return the recipes by paper, shipped ones first; those that cannot be read come last, with the reason."""
    shipped = shipped_recipes()
    known = {path.resolve() for path in shipped.values()}
    files = [path for pattern in PATTERNS for path in sorted(beside.glob(pattern)) if path.resolve() not in known]
    found = [_choice(name, path) for name, path in shipped.items()]
    found += [_choice(_argument(path, beside), path) for path in list(dict.fromkeys(files))[:MOST] if _is_recipe(path)]
    groups = list(dict.fromkeys(choice.group for choice in found))
    groups.sort(key=lambda group: (group == BROKEN, group == OWN))
    return [choice for group in groups for choice in found if choice.group == group]


def paper(strategy: str) -> str:
    """Return the paper that a strategy is from, the first where several have it; raises UserError."""
    return str(getattr(STRATEGIES[strategy], "paper", "")).partition(";")[0].strip() or OWN


def _choice(name: str, path: Path) -> Choice:
    try:
        recipe = load_recipe(path)
        return Choice(name, path, _group(recipe), recipe.description, recipe.matrix is not None)
    except (UserError, OSError) as error:
        return Choice(name, path, BROKEN, str(error), problem=str(error))


def _group(recipe: Recipe) -> str:
    if recipe.matrix is None:
        return paper(recipe.strategy["name"])
    papers = [paper(_name(text)) for text in recipe.matrix.strategies]
    return max(dict.fromkeys(papers), key=papers.count)


def _name(text: str) -> str:
    kind = type(parse_strategy(text))
    return next(name for name in STRATEGIES if STRATEGIES[name] is kind)


def _argument(path: Path, beside: Path) -> str:
    """Return how the command line names a file: from here where it lies below."""
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"./{text}" if text.startswith("-") else text


def _is_recipe(path: Path) -> bool:
    """Return whether a TOML file looks like a recipe; one that does not parse may well be one, half written."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return path.is_file()
    return any(sign in table for sign in SIGNS)
