"""What the verbs that list what there is can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument

from distilkit.options.shared import Printed, RunsDir


@dataclass(frozen=True, kw_only=True)
class Strategies(Printed):
    """List the strategies, or explain one.

    Example: distilkit strategies margin_mse
    """

    name: Annotated[str | None, Argument(help="The strategy to explain.")] = None


@dataclass(frozen=True, kw_only=True)
class Recipes(Printed):
    """List the recipes that come with distilkit.

    Example: distilkit recipes
    """


@dataclass(frozen=True, kw_only=True)
class RecipeKeys(Printed):
    """List the keys of a recipe with what they take, their defaults and help.

    Example: distilkit recipe-keys data
    """

    section: Annotated[
        str | None, Argument(help="Such as train, data.passages, evaluate.sets or strategy.margin_mse; all by default.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Doctor(Printed):
    """Show versions, devices, fast number formats, missing extras and the folders of caches.

    Example: distilkit doctor
    """

    runs_dir: RunsDir = Path("runs")
