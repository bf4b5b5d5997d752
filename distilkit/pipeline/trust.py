"""Whether the plug-ins of a recipe are run: only by an act of the user in this call, and on resume only unchanged."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.plugins import Plugin
from distilkit.run_folders.record import read_object_if_any
from distilkit.tables import plain


@dataclass(frozen=True)
class Act:
    """What the user asked for, as a Trust: it shows the plug-ins that are about to be run, or raises UserError.

    Naming the recipe is what allows its plug-ins, for training; a plan asks for `allowed`. A run goes on only with
    those that it was started with.
    """

    runs_dir: Path
    plan: bool
    resume: bool
    allowed: bool | None = None

    def __call__(self, table: dict[str, Any], plugins: Sequence[Plugin]) -> None:
        """Judge the plug-ins of a recipe's table."""
        first = plugins[0]
        if self.allowed is False or (self.plan and not self.allowed):
            why = "with --no-plugins" if self.allowed is False else "for a plan, unless --allow-plugins is given"
            raise UserError(f"{first.recipe}: plugins: {first.name} is code, which is not run {why}")
        if self.resume:
            _refuse_changed(self.runs_dir / str(table.get("name")), plugins)
        if os.environ.get("RANK", "0") == "0":
            for one in plugins:
                print(plain(f"running the plug-in {one.file} (sha256 {one.sha256[:16]})"), file=sys.stderr)


def _refuse_changed(folder: Path, plugins: Sequence[Plugin]) -> None:
    """Raise UserError where a run or suite was started with plug-ins of other content, or with none."""
    record = next((file for name in ("run.json", "suite.json") if (file := folder / name).is_file()), None)
    if record is None:
        return
    try:
        started = read_object_if_any(record).get("plugins")
    except UserError as error:
        raise UserError(f"{error}, and there is no telling which plug-ins it was started with") from None
    known = [one.get("sha256") for one in started if isinstance(one, dict)] if isinstance(started, list) else []
    for place, one in enumerate(plugins):
        if known[place : place + 1] != [one.sha256]:
            what = "is not what it was" if known else "was none of its plug-ins"
            raise UserError(
                f"{one.recipe}: plugins: {one.name} {what} when {folder} was started; choose another name with --name"
            )
