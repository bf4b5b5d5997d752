"""What each verb can be asked: one frozen dataclass a verb, whose fields are its arguments and options.

`cli` makes the verbs out of these, and `commands` reads them. Options that several verbs share are declared once: as
the fields of a base class, or as an annotation where only some verbs have them. Nothing here imports more than typer.
"""

from distilkit.options.listings import Doctor, RecipeKeys, Recipes, Strategies
from distilkit.options.models import Export, Push, Serve
from distilkit.options.rankers import Bench, Evaluate, Rerank, Retrieve, Score
from distilkit.options.runs import Clean, Compare, Run, Runs, Show, Tui
from distilkit.options.shared import Backend, Printed, RankerVerb

__all__ = [
    "Backend",
    "Bench",
    "Clean",
    "Compare",
    "Doctor",
    "Evaluate",
    "Export",
    "Printed",
    "Push",
    "RankerVerb",
    "RecipeKeys",
    "Recipes",
    "Rerank",
    "Retrieve",
    "Run",
    "Runs",
    "Score",
    "Serve",
    "Show",
    "Strategies",
    "Tui",
]
