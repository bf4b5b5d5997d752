"""TOML -> a typed, strict Recipe; what is wrong is said in one sentence: file, line, key and the nearest right name."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from distilkit.errors import UserError, nearest
from distilkit.places import line_of
from distilkit.plugins import Plugin, Trust, load_plugin, refuse
from distilkit.problems import Location, Problem
from distilkit.run_folders.record import flat
from distilkit.settings import DataSettings, EvaluationSetSettings, Recipe, TrainSettings
from distilkit.strategies import STRATEGIES, StrategyError, stages_of, strategy_from_table, strategy_table
from distilkit.untrusted import parse_toml, read_text

Table = dict[str, Any]

# A recipe extends no more others than these, and none of their files is larger, in bytes.
CHAIN, LARGEST = 20, 1 << 20
# The sections whose keys [grid] can vary: what the student alone depends on.
VARIABLE = ("seed", "student", "strategy", "train", "stages")


@dataclass(frozen=True)
class RecipeSource:
    """The origin of a recipe: its files, the one asked for first, the keys set on the command line, its plug-ins."""

    files: tuple[Path, ...]
    overrides: tuple[str, ...]
    plugins: tuple[Plugin, ...] = ()

    def place(self, location: Location) -> str:
        """Return `file:line`, or the `--set` that holds a key, for a message."""
        dotted = ".".join(location)
        for override in reversed(self.overrides):
            key = _key(override)
            if f"{dotted}.".startswith(f"{key}.") or key.startswith(f"{dotted}."):
                return f"--set {override}"
        if not self.files:
            return "the recipe"
        found = [(file, *line_of(file, location)) for file in self.files]
        file, line, _ = max(found, key=lambda one: one[2])
        return f"{file}:{line}" if line else str(file)


def load_recipe(path: str | Path, overrides: list[str] | None = None, trust: Trust = refuse) -> Recipe:
    """Read a recipe file or a shipped recipe's name, with `--set` overrides.

    `trust` is asked before plug-ins are run, and by default refuses them. Raises UserError for a missing file, TOML
    that does not parse, unknown keys and values of a wrong type.
    """
    recipe, _ = load_with_source(path, overrides, trust)
    return recipe


def load_with_source(
    path: str | Path, overrides: list[str] | None = None, trust: Trust = refuse
) -> tuple[Recipe, RecipeSource]:
    """Like `load_recipe`, and also return where each key came from."""
    file = find_recipe(path)
    return _loaded(*_read_chain(file, ()), overrides, trust)


def read_table(table: Table, overrides: list[str] | None = None, trust: Trust = refuse) -> tuple[Recipe, RecipeSource]:
    """Like `load_with_source`, for a recipe that is given as a table of its sections."""
    table = copy.deepcopy(table)
    parent = table.pop("extends", None)
    base, files = ({}, []) if parent is None else _read_chain(find_recipe(parent), ())
    return _loaded(_lay_over(base, table), files, overrides, trust)


def _loaded(table: Table, files: list[Path], overrides: list[str] | None, trust: Trust) -> tuple[Recipe, RecipeSource]:
    """Return the recipe of a table with `--set` overrides; without files its plug-ins are found from here."""
    # A strategy's name comes before its keys, in whichever order they were given.
    for override in sorted(overrides or [], key=lambda override: _key(override) != "strategy.name"):
        _override(table, override)
    named = table.get("plugins", [])
    plugins = [Plugin(str(one), _holder(files, str(one))) for one in named] if isinstance(named, list) else []
    source = RecipeSource(tuple(files), tuple(overrides or []), tuple(plugins))
    if plugins:
        trust(table, plugins)
    for plugin in plugins:
        load_plugin(plugin)
    recipe = validate(table, source)
    for searched in recipe.grid:
        _refuse_searched(recipe, searched, source)
    return recipe, source


def _refuse_searched(recipe: Recipe, searched: str, source: RecipeSource) -> None:
    """Raise UserError where a key of the grid is also set: with --set, or in a recipe that extends the grid's own."""
    dotted = _own_key(recipe, searched)
    if dotted is None:
        return
    key = tuple(dotted.split("."))
    for override in source.overrides:
        name, value, table = _key(override), override.partition("=")[2].strip(), dict[str, Any]()
        _put(table, name, _value(value))
        if name != "grid" and not name.startswith("grid.") and _has(table, key):
            alone = f"--set 'grid.{searched}=[{value if name == dotted else 'VALUE'}]'"
            raise UserError(f"--set {override}: {_overruled(recipe, searched, alone)}")
    if f"grid.{searched}" in (_key(override).replace('"', "") for override in source.overrides):
        return  # given for this run
    for file in source.files:
        table = parse_toml(read_text(file, LARGEST))
        if searched in table.get("grid", {}):
            return
        if _has(table, key):
            alone = f'[grid] "{searched}" = [VALUE]'
            raise UserError(f"{file}:{line_of(file, key)[0]}: {_overruled(recipe, searched, alone)}")


def _overruled(recipe: Recipe, searched: str, alone: str) -> str:
    return (
        f"[grid] searches {searched} over {recipe.grid[searched]} and would overrule it; "
        f"try this value alone with {alone}, or drop the whole grid with --set 'grid={{}}'"
    )


def _holder(files: list[Path], plugin: str) -> Path:
    """Return the file of a chain that names a plugin, whose path is relative to it."""
    naming = [file for file in files if plugin in file.read_text(encoding="utf-8")]
    return (naming or files or [Path("the recipe")])[0]


def validate(table: Table, source: RecipeSource) -> Recipe:
    """Turn a table into a Recipe; raises UserError that names the key, its place and what was expected."""
    try:
        recipe = Recipe.model_validate(table)
    except ValidationError as error:
        raise UserError(explain(error, Recipe, source)) from None
    for name, extra in recipe.evaluate.sets.items():
        try:
            extended(recipe.data, extra)
        except ValidationError as error:
            raise UserError(explain(error, DataSettings, source, ("evaluate", "sets", name, "data"))) from None
    if too_deep := [depth for depth in recipe.report.depths if depth > recipe.evaluate.rerank_depth]:
        place, most = source.place(("report", "depths")), recipe.evaluate.rerank_depth
        raise UserError(f"{place}: [report] depths: {too_deep[0]} is beyond [evaluate] rerank_depth = {most}")
    if recipe.matrix is None:
        try:
            strategy_from_table(recipe.strategy)
        except StrategyError as error:
            raise UserError(f"{source.place(('strategy', *error.location))}: {error}") from None
    _validate_stages(recipe, source)
    for dotted in recipe.grid:
        for value in recipe.grid[dotted]:
            _validate_point(recipe, dotted, value, source)
    return recipe


def extended(data: DataSettings, extra: EvaluationSetSettings) -> DataSettings:
    """Return the [data] of a further query set: the recipe's, with what differs."""
    return DataSettings.model_validate({**data.model_dump(by_alias=True), **extra.data})


def with_values(recipe: Recipe, values: Table) -> Recipe:
    """Return the recipe with some dotted keys changed, as a grid point does."""
    table = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for dotted, value in values.items():
        _put(table, dotted, value)
    return Recipe.model_validate(table)


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return every key of a recipe with its value, the strategy's defaults included."""
    table = recipe.model_dump(mode="json", by_alias=True)
    if recipe.matrix is not None:
        return table
    strategy = strategy_from_table(recipe.strategy)
    table["strategy"] = {"name": recipe.strategy["name"], **strategy_table(strategy)}
    return table


def chosen(recipe: Recipe) -> dict[str, Any]:
    """Return the keys of a recipe, with dots, whose values are not the defaults.

    What a run was trained by is told by them: the record of a run of an earlier version lacks the keys that are newer.
    Raises StrategyError for a strategy that is not known.
    """
    name = recipe.strategy["name"]
    own, plain = (flat(strategy_table(strategy_from_table(one))) for one in (recipe.strategy, {"name": name}))
    strategy = {f"strategy.{key}": value for key, value in own.items() if value != plain.get(key)}
    table = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {
        **flat({key: value for key, value in table.items() if key != "strategy"}),
        "strategy.name": name,
        **strategy,
    }


def grid_of(recipe: Recipe) -> dict[str, list[Any]]:
    """Return the grid that a recipe's own strategy has: keys of another strategy, as NAME.key, are left out."""
    return {dotted: recipe.grid[searched] for dotted, searched in searched_keys(recipe).items()}


def searched_keys(recipe: Recipe) -> dict[str, str]:
    """Return the keys of a recipe that its grid searches, with how the grid calls them: `strategy.x` is NAME.x too."""
    own = {_own_key(recipe, searched): searched for searched in recipe.grid}
    return {dotted: searched for dotted, searched in own.items() if dotted is not None}


def _own_key(recipe: Recipe, searched: str) -> str | None:
    """Return which key of a recipe a key of its grid stands for, None for another strategy's."""
    head, _, rest = searched.partition(".")
    if head == recipe.strategy.get("name"):
        return f"strategy.{rest}"
    return None if head in STRATEGIES else searched


def _has(table: object, key: Sequence[str]) -> bool:
    """Return whether a table sets a key, or a part of it where the key is a table itself."""
    for part in key:
        if not isinstance(table, dict) or part not in table:
            return False
        table = table[part]
    return True


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with distilkit, by their name such as `msmarco/simplified_tinybert`."""
    root = Path(str(resources.files("distilkit"))) / "recipes"
    if not root.is_dir():  # a checkout installed in place keeps them at the top
        root = Path(str(resources.files("distilkit"))).parent / "recipes"
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.toml"))}


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe given by path or by a shipped recipe's name; raises UserError.

    A shipped recipe's bare name is that recipe's, whatever file of the same name lies in the working folder.
    """
    file, shipped = Path(path), shipped_recipes()
    if str(path) in shipped:
        return shipped[str(path)]
    if file.is_file():
        return file
    name = re.sub(r"^recipes/|\.toml$", "", str(path))
    if name in shipped:
        return shipped[name]
    raise UserError(f"no such recipe: {path}{nearest(name, shipped)}")


def explain(error: ValidationError, model: type[BaseModel], source: RecipeSource | None, prefix: Location = ()) -> str:
    """Return one sentence for the first problem of a pydantic error, unknown keys first."""
    problem = Problem(error)
    location = prefix + problem.location
    place = f"{source.place(location)}: " if source else ""
    if problem.is_unknown_key:
        known = _keys_at(model, problem.location[:-1])
        return f"{place}{_shown(location)} is not a key{nearest(location[-1], known)}"
    if problem.is_missing:
        return f"{place}{_shown(location)} is missing"
    return f"{place}{_shown(location)}{problem.sentence}"


def _validate_stages(recipe: Recipe, source: RecipeSource) -> None:
    """Refuse a stage that no strategy has, and keys of it that [train] has not."""
    known = sorted({stage.name for name in STRATEGIES for stage in stages_of(name)}) if recipe.stages else []
    for name, table in recipe.stages.items():
        if name not in known:
            place = source.place(("stages", name))
            raise UserError(f"{place}: [stages.{name}] is not a stage of any strategy{nearest(name, known)}")
        try:
            TrainSettings.model_validate({**recipe.train.model_dump(exclude_unset=True), **table})
        except ValidationError as error:
            raise UserError(explain(error, TrainSettings, source, ("stages", name))) from None


def _validate_point(recipe: Recipe, dotted: str, value: object, source: RecipeSource) -> None:
    place = f"{source.place(('grid', dotted))}: [grid]"
    head, _, rest = dotted.partition(".")
    if head in STRATEGIES:
        given = recipe.strategy if recipe.strategy.get("name") == head else {}
        table = {**given, "name": head}
        _put(table, rest, value)
        try:
            strategy_from_table(table)
        except UserError as error:
            raise UserError(f"{place} {error}") from None
        return
    if head not in VARIABLE:
        expected = f"expected a key of {', '.join(VARIABLE[:-1])} or {VARIABLE[-1]}"
        raise UserError(f"{place} {dotted!r} cannot vary within a run; {expected}")
    try:
        changed = with_values(recipe, {dotted: value})
        if changed.matrix is None:
            strategy_from_table(changed.strategy)
        _validate_stages(changed, source)
    except ValidationError as error:
        raise UserError(f"{place} {explain(error, Recipe, None)}") from None
    except UserError as error:
        raise UserError(f"{place} {error}") from None


def _read_chain(file: Path, seen: tuple[Path, ...]) -> tuple[Table, list[Path]]:
    """Return a file's table laid over the one that it extends, and the files read."""
    if file.resolve() in seen:
        raise UserError(f"{file}: extends itself by way of {', '.join(path.name for path in seen)}")
    if len(seen) > CHAIN:
        raise UserError(f"{seen[0]}: extends more than {CHAIN} recipes, one after another")
    try:
        table = parse_toml(read_text(file, LARGEST))
    except FileNotFoundError:
        raise UserError(f"no such recipe: {file}, which {seen[-1]} extends") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: not valid TOML: {error}") from None
    parent = table.pop("extends", None)
    if parent is None:
        return table, [file]
    if not isinstance(parent, str):
        raise UserError(f"{file}: extends = {parent!r}: expected the path of a recipe")
    beside = file.parent / parent
    # A shipped recipe can be named without knowing where it was installed.
    above = beside if beside.exists() else shipped_recipes().get(parent.removesuffix(".toml"), beside)
    base, files = _read_chain(above, (*seen, file.resolve()))
    return _lay_over(base, table), [file, *files]


def _lay_over(base: Table, top: Table) -> Table:
    name = _name(top.get("strategy"))
    if name is not None and name != _name(base.get("strategy")):
        base = _without_strategy(base)
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _lay_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _without_strategy(table: Table) -> Table:
    """Return a table less its [strategy], in the grid too: another strategy's keys mean nothing to a new one."""
    kept = {key: value for key, value in table.items() if key != "strategy"}
    if isinstance(grid := kept.get("grid"), dict):
        kept["grid"] = {key: values for key, values in grid.items() if not key.startswith("strategy.")}
    return kept


def _name(table: object) -> object:
    return table.get("name") if isinstance(table, dict) else None


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _override(table: Table, override: str) -> None:
    dotted, value = _key(override), _value(override.partition("=")[2].strip())
    if "=" not in override or not all(dotted.split(".")):
        raise UserError(f"--set {override}: expected KEY=VALUE, such as --set train.learning_rate=1e-4")
    if dotted == "strategy.name" and _name(table.get("strategy")) != value:
        kept = _without_strategy(table)
        table.clear()
        table.update(kept)
    try:
        _put(table, dotted, value)
    except UserError as error:
        raise UserError(f"--set {override}: {error}") from None


def _value(text: str) -> object:
    """Return a TOML value; words need no quotes on a command line, those of a list neither."""
    try:
        found = parse_toml(f"value = {text}")
    except ValueError:
        found = {}
    if list(found) == ["value"]:
        return found["value"]
    if words := re.fullmatch(r"\[([^\[\]{}\"']*)\]", text):
        return [_value(word.strip()) for word in words[1].split(",") if word.strip()]
    return text


def _put(table: Table, dotted: str, value: object) -> None:
    if dotted.startswith("grid."):
        table.setdefault("grid", {})[dotted.removeprefix("grid.").strip('"')] = value
        return
    *parents, last = dotted.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UserError(f"{parent} is a value, not a section")
    table[last] = value


def _shown(location: Location) -> str:
    *sections, key = location
    if key.isdecimal() and sections:  # an item of a list
        return f"{_shown(tuple(sections))}[{key}]"
    return f"[{'.'.join(sections)}] {key}" if sections else key


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys of the table at a location, empty where it has no fixed ones."""
    kind: object = model
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        else:  # a table of named tables
            kind = get_args(kind)[-1] if get_args(kind) else None
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [field.alias or name for name, field in kind.model_fields.items()]
