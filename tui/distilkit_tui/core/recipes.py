"""The recipes that can be started, and a draft: one of them with the keys that were changed in the form."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.problems import shown, to_toml
from distilkit.recipe import LARGEST, grid_of, load_recipe, load_with_source, resolved, searched_keys, shipped_recipes
from distilkit.recipe_keys import Field, form
from distilkit.settings import Recipe
from distilkit.strategies import STRATEGIES
from distilkit.untrusted import parse_toml, read_text

# What a TOML file has at its top if it is a recipe, and where files beside are looked for, how many at most.
SIGNS = ("extends", "strategy", "matrix")
PATTERNS = ("*.toml", "recipes/**/*.toml")
MOST = 500
BROKEN = "cannot be read"
OWN = "other strategies"
SUITES = "suites: tables of the papers"
START = "to start with"
FIRST = ("quickstart", "simplified_tinybert")
"""The recipes that the README begins with."""


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
    """Return the recipes: those to start with, the others by paper, shipped ones first, and suites apart.

    Those that cannot be read come last, with the reason.
    """
    shipped = shipped_recipes()
    known = {path.resolve() for path in shipped.values()}
    files = [path for pattern in PATTERNS for path in sorted(beside.glob(pattern)) if path.resolve() not in known]
    found = [_choice(name, path) for name, path in shipped.items()]
    found += [_choice(_argument(path, beside), path) for path in list(dict.fromkeys(files))[:MOST] if _is_recipe(path)]
    found = [replace(choice, group=START) if choice.name in FIRST else choice for choice in found]
    groups = list(dict.fromkeys(choice.group for choice in found))
    groups.sort(key=lambda group: (group != START, group == BROKEN, group == SUITES, group == OWN))
    listed = [choice for group in groups for choice in found if choice.group == group]
    return sorted(listed, key=lambda choice: FIRST.index(choice.name) if choice.name in FIRST else len(FIRST))


def paper(strategy: str) -> str:
    """Return the paper that a strategy is from, the first where several have it; raises UserError."""
    return _paper(STRATEGIES[strategy])


def _paper(strategy: object) -> str:
    return str(getattr(strategy, "paper", "")).partition(";")[0].strip() or OWN


def _choice(name: str, path: Path) -> Choice:
    try:
        recipe = load_recipe(path)
        return Choice(name, path, _group(recipe), recipe.description, recipe.matrix is not None)
    except (UserError, OSError) as error:
        return Choice(name, path, BROKEN, str(error), problem=str(error))


def _group(recipe: Recipe) -> str:
    """Return the paper of a recipe's strategy; suites stand apart."""
    return SUITES if recipe.matrix is not None else paper(recipe.strategy["name"])


def _argument(path: Path, beside: Path) -> str:
    """Return how the command line names a file: from here where it lies below."""
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"./{text}" if text.startswith("-") else text


def _is_recipe(path: Path) -> bool:
    """Return whether a TOML file looks like a recipe; one that does not parse may well be one, half written."""
    try:
        table = parse_toml(read_text(path, LARGEST))
    except (OSError, ValueError):
        return path.is_file()
    return any(sign in table for sign in SIGNS)


@dataclass(frozen=True)
class Draft:
    """A choice and its overrides, by dotted key as text; `problem` is the command line's own sentence, "" if right."""

    choice: Choice
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """What is wrong."""
        return self._checked[0]

    @property
    def values(self) -> dict[str, str]:
        """Every key's value as text; the recipe's own where the overrides cannot be read."""
        return self._checked[1]

    @property
    def given(self) -> set[str]:
        """The keys that the recipe or an override sets."""
        return self._checked[2]

    @property
    def searched(self) -> dict[str, str]:
        """The keys that the grid searches, with how the grid calls them; their values are the lists that it tries."""
        return self._checked[3]

    @property
    def set_by(self) -> dict[str, str]:
        """Who sets each key that is set: the recipe, its grid, or you."""
        yours = {key: "you" for key, name in self.searched.items() if f"grid.{name}" in self.overrides}
        return (
            dict.fromkeys(self.given, "recipe")
            | dict.fromkeys(self.searched, "grid")
            | dict.fromkeys(self.overrides, "you")
            | yours
        )

    @cached_property
    def fields(self) -> list[Field]:
        """The form: the keys of the strategy that is chosen among them."""
        return form(None if self.choice.suite else self.values.get("strategy.name"), self.choice.suite)

    @property
    def name(self) -> str:
        """The name of the run, or of the suite."""
        return self.values.get("name", "")

    def with_value(self, key: str, text: str | None) -> "Draft":
        """Return the draft with a key set, or left to the recipe again; a searched key is set in the grid."""
        if key in self.searched:
            key = f"grid.{self.searched[key]}"
            text = text if text is None or text.startswith("[") else f"[{text}]"
        kept = {name: value for name, value in self.overrides.items() if name != key}
        if key == "strategy.name":  # another strategy's keys mean nothing to a new one
            kept = {name: value for name, value in kept.items() if not name.startswith("strategy.")}
        return Draft(self.choice, kept if text is None else {**kept, key: text})

    def named_freely(self, runs_dir: Path) -> "Draft":
        """Return the draft under a name that no run has yet: NAME-2 where NAME is taken."""
        name, number = self.name, 1
        while name and (runs_dir / name).exists():
            number += 1
            name = f"{self.name}-{number}"
        return self if name == self.name else self.with_value("name", name)

    def arguments(self, runs_dir: Path) -> list[str]:
        """Return the command line behind `distilkit`."""
        words = ["run", self.choice.name]
        for key, value in self.overrides.items():
            words += [f"--name={value}"] if key == "name" else ["--set", f"{key}={value}"]
        return [*words, "--runs-dir", str(runs_dir)]

    def command(self, runs_dir: Path) -> str:
        """Return the command line as one types it."""
        return shlex.join(["distilkit", *self.arguments(runs_dir)])

    @cached_property
    def _checked(self) -> tuple[str, dict[str, str], set[str], dict[str, str]]:
        overrides = [f"{key}={json.dumps(text) if key == 'name' else text}" for key, text in self.overrides.items()]
        try:
            recipe, _ = load_with_source(self.choice.path, overrides)
        except (UserError, OSError) as error:
            if not self.overrides:
                return str(error), {}, set(), {}
            bare = Draft(self.choice)
            return str(error), bare.values, bare.given, bare.searched
        values = dict(_texts(resolved(recipe), ""))
        given = {key for key, _ in _texts(recipe.model_dump(mode="json", by_alias=True, exclude_unset=True), "")}
        values |= {key: shown(tried) for key, tried in grid_of(recipe).items()}
        return "", values, given, searched_keys(recipe)


def _texts(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every key's value as one types it, that of whole tables too."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield f"{prefix}{key}", to_toml(value)
            yield from _texts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", shown(value)
