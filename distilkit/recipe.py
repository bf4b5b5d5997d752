"""TOML -> a typed, strict Recipe; whatever is wrong is said in one sentence with file, line, key and the nearest right name."""

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from distilkit.errors import UserError, nearest
from distilkit.settings import Recipe
from distilkit.strategies import strategy_from_table

Table = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where a recipe came from: its files, the one asked for first, and the keys set on the command line."""

    files: tuple[Path, ...]
    overrides: tuple[str, ...]

    def place(self, location: tuple[str, ...]) -> str:
        """Return `file:line`, or the `--set` that holds a key, for a message."""
        dotted = ".".join(location)
        for override in reversed(self.overrides):
            if override.split("=", 1)[0].strip() == dotted:
                return f"--set {override}"
        for file in self.files:
            line = _line_of(file, location)
            if line:
                return f"{file}:{line}"
        return str(self.files[0])


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file or a shipped recipe's name, with `--set` overrides.

    Raises UserError for a missing file, TOML that does not parse, unknown keys and values of a wrong type.
    """
    recipe, _ = load_with_source(path, overrides)
    return recipe


def load_with_source(path: str | Path, overrides: list[str] | None = None) -> tuple[Recipe, Source]:
    """Like `load_recipe`, and also return where each key came from."""
    file = find_recipe(path)
    table, files = _read_chain(file, ())
    for override in overrides or []:
        _override(table, override)
    source = Source(tuple(files), tuple(overrides or []))
    return validate(table, source), source


def validate(table: Table, source: Source) -> Recipe:
    """Turn a table into a Recipe; raises UserError that names the key, its place and what was expected."""
    try:
        recipe = Recipe.model_validate(table)
    except ValidationError as error:
        raise UserError(explain(error, Recipe, source)) from None
    try:
        strategy_from_table(recipe.strategy)
    except UserError as error:
        raise UserError(f"{source.place(('strategy', 'name'))}: {error}") from None
    for dotted in recipe.grid:
        for value in recipe.grid[dotted]:
            _validate_point(recipe, dotted, value, source)
    return recipe


def with_values(recipe: Recipe, values: Table) -> Recipe:
    """Return the recipe with some dotted keys changed, as a grid point does."""
    table = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for dotted, value in values.items():
        _put(table, dotted, value)
    return Recipe.model_validate(table)


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with distilkit, by their name such as `msmarco/simplified_tinybert`."""
    root = Path(str(resources.files("distilkit"))) / "recipes"
    if not root.is_dir():  # a checkout installed in place keeps them at the top
        root = Path(str(resources.files("distilkit"))).parent / "recipes"
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.toml"))}


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe given by path or by a shipped recipe's name; raises UserError."""
    file = Path(path)
    if file.is_file():
        return file
    shipped = shipped_recipes()
    name = re.sub(r"^recipes/|\.toml$", "", str(path))
    if name in shipped:
        return shipped[name]
    raise UserError(f"no such recipe: {path}{nearest(name, shipped)}")


def explain(error: ValidationError, model: type[BaseModel], source: Source | None, prefix: tuple[str, ...] = ()) -> str:
    """Return one sentence for the first problem of a pydantic error, unknown keys first."""
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    location = prefix + tuple(str(part) for part in problem["loc"])
    place = f"{source.place(location)}: " if source else ""
    shown = _shown(location)
    if problem["type"] == "extra_forbidden":
        return f"{place}{shown} is no key{nearest(location[-1], _keys_at(model, location[len(prefix) : -1]))}"
    if problem["type"] == "missing":
        return f"{place}{shown} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{place}{shown} = {problem['input']!r}: {message}"


def _validate_point(recipe: Recipe, dotted: str, value: Any, source: Source) -> None:
    section = dotted.split(".")[0]
    if section in ("name", "data", "evaluate", "grid", "teacher", "twin"):
        raise UserError(
            f"{source.place(('grid', dotted))}: [grid] {dotted!r} cannot vary within a run; "
            "expected a key of seed, student, strategy or train"
        )
    try:
        strategy_from_table(with_values(recipe, {dotted: value}).strategy)
    except ValidationError as error:
        raise UserError(f"{source.place(('grid', dotted))}: [grid] {explain(error, Recipe, None)}") from None
    except UserError as error:
        raise UserError(f"{source.place(('grid', dotted))}: [grid] {error}") from None


def _read_chain(file: Path, seen: tuple[Path, ...]) -> tuple[Table, list[Path]]:
    """Return a file's table laid over the one that it extends, and the files read."""
    if file.resolve() in seen:
        raise UserError(f"{file}: extends itself by way of {', '.join(path.name for path in seen)}")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no such recipe: {file}, which {seen[-1]} extends") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not valid TOML: {error}") from None
    parent = table.pop("extends", None)
    if parent is None:
        return table, [file]
    if not isinstance(parent, str):
        raise UserError(f"{file}: extends = {parent!r}: expected the path of a recipe")
    base, files = _read_chain(file.parent / parent, (*seen, file.resolve()))
    return _lay_over(base, table), [file, *files]


def _lay_over(base: Table, top: Table) -> Table:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        # Another strategy's keys mean nothing to this one, so a new name replaces the table.
        renamed = key == "strategy" and isinstance(value, dict) and value.get("name", None) not in (None, _name(below))
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _lay_over(below, value) if both and not renamed else value  # type: ignore[arg-type]
    return merged


def _name(table: Any) -> Any:
    return table.get("name") if isinstance(table, dict) else None


def _override(table: Table, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted.strip():
        raise UserError(f"--set {override}: expected KEY=VALUE, such as --set train.learning_rate=1e-4")
    text = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # words need no quotes on a command line
    _put(table, dotted.strip(), value, override)


def _put(table: Table, dotted: str, value: Any, override: str = "") -> None:
    if dotted.startswith("grid."):
        table.setdefault("grid", {})[dotted.removeprefix("grid.").strip('"')] = value
        return
    *parents, last = dotted.split(".")
    if dotted == "strategy.name" and _name(table.get("strategy")) != value:
        table["strategy"] = {}
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UserError(f"--set {override}: {parent} is a value, not a section")
    table[last] = value


def _shown(location: tuple[str, ...]) -> str:
    if len(location) == 1:
        return location[0]
    return f"[{'.'.join(location[:-1])}] {location[-1]}"


def _keys_at(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_of(file: Path, location: tuple[str, ...]) -> int | None:
    """Return the line of a key in a TOML file, by its section's header; None where it is not written there plainly."""
    section = ""
    wanted = {(".".join(location[:cut]), location[cut]) for cut in range(len(location))}
    best = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            section = header[1].replace('"', "")
        elif key := re.match(r"\s*\"?([\w.-]+)\"?\s*=", line):
            if (section, key[1]) in wanted:
                best = number
    return best
