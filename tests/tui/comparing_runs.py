"""Runs to compare: three that were recorded with their results, and the collection that they were measured on.

`distilled` is a simplified_tinybert of two layers with its twin, `one_layer` one of a single layer without.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from distilkit.data.sources import BeirSource

RECORDED = Path(__file__).parent / "recorded_results"
BUDGETS = {
    "distilled": (1600, 8.3e12, 10.188, 2015, 14.6e12, 10.503),
    "distilled-label_only": (2015, 14.6e12, 7.511, 2015, 14.6e12, 7.511),
}
"""Labelled queries, multiply-accumulates and seconds of runs, their own and those with their teachers'."""
HOSTILE = "[bold red]x[/] \x1b[31mred\x07 \u202etfel" + 290 * "long"


def results(runs_dir: Path, beir: Path) -> Path:
    """Copy the recorded runs, and put the collection where a run leaves it."""
    shutil.copytree(RECORDED, runs_dir)
    names = "labelled_queries", "training_macs", "training_seconds"
    for run, figures in BUDGETS.items():
        stated = dict(zip((*names, *(f"total_{name}" for name in names)), figures, strict=True))
        change(runs_dir / run / "eval" / "test" / "cost.json", budget=stated)
    content = runs_dir / ".artifacts" / "collection" / "0123" / "content"
    content.mkdir(parents=True)
    BeirSource(beir).write(content)
    return runs_dir


def renamed(run: Path, name: str) -> None:
    """Let a run's record claim another name than its folder's."""
    change(run / "run.json", name=name)


def change(path: Path, **keys: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
