"""`distilkit.register_strategy` and its kind: what plug-ins use, and what works in a notebook as well."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from distilkit.data.sources.base import SOURCES
from distilkit.errors import UserError
from distilkit.models import STUDENTS, Student
from distilkit.registry import Registry
from distilkit.strategies import STRATEGIES, TERMS

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker

Kind = TypeVar("Kind", bound="type[Any]")


def register_strategy(name: str, *aliases: str) -> Callable[[Kind], Kind]:
    """Return a decorator that enters a strategy under its name, for `[strategy] name` and `[matrix]`.

    A strategy is a frozen dataclass: its fields are the recipe's keys, `paper` is its source, and `stages(train,
    seed)` returns its stages. A class that is defined anew under its name, as when a cell is run again, takes
    the place of the old one.

    Raises ValueError where another strategy has that name.

    Examples:
        >>> from dataclasses import dataclass
        >>> from distilkit.strategies.scores import MarginMse
        >>> @register_strategy("margin_only")
        ... @dataclass(frozen=True)
        ... class MarginOnly(MarginMse):
        ...     "Margin-MSE under another name."
        >>> from distilkit.strategies import STRATEGIES
        >>> "margin_only" in STRATEGIES
        True
    """
    return _entering(STRATEGIES, name, *aliases)


def register_loss(name: str, *aliases: str) -> Callable[[Kind], Kind]:
    """Return a decorator that enters a loss term under its name, for `[strategy] losses = [{ name = "NAME" }]`.

    A term is a class of `distilkit.strategies.terms`, such as `MarginTerm.of(function)` makes of a function of tensors.
    Raises ValueError where another term has that name.

    Examples:
        >>> from distilkit.strategies.terms import MarginTerm
        >>> def absolute_margin(positive, negative, teacher_positive, teacher_negative, normaliser=None):
        ...     errors = (positive - negative) - (teacher_positive - teacher_negative)
        ...     return errors.abs().sum() / (len(errors) if normaliser is None else normaliser)
        >>> Term = register_loss("absolute_margin")(MarginTerm.of(absolute_margin))
        >>> from distilkit.strategies import TERMS
        >>> "absolute_margin" in TERMS
        True
    """
    return _entering(TERMS, name, *aliases)


def register_student(name: str, *aliases: str, summary: str = "") -> Callable[["type[Ranker]"], "type[Ranker]"]:
    """Return a decorator that enters an architecture under its name, for `[student] architecture`.

    An architecture is a subclass of `distilkit.models.ranker.Ranker` at the top level of its module, which owns its
    options, start, forward pass, costs and files. `summary` says in a few words what it is; by default the first line
    of its documentation does. Raises ValueError where another architecture has that name, UserError for a class inside
    another class or function, which could not be found again.

    Examples:
        >>> from distilkit.models.dot import BertDot
        >>> @register_student("my_dot", summary="a bi-encoder under another name")
        ... class MyDot(BertDot):
        ...     architecture = "my_dot"
        >>> from distilkit.models import STUDENTS
        >>> "my_dot" in STUDENTS
        True
    """

    def enter(kind: "type[Ranker]") -> "type[Ranker]":
        if "." in kind.__qualname__:
            raise UserError(f"register_student: {kind.__qualname__} is not at the top level of its module")
        told = summary or (kind.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        STUDENTS.register(name, *aliases)(Student(told, kind.__module__, kind.__name__))
        return kind

    return enter


def register_source(name: str, *aliases: str) -> Callable[[Kind], Kind]:
    """Return a decorator that enters a data source under its name, for `[data] source`.

    A source is a class whose constructor takes keys of `[data]`; `key()` returns what its content depends on and
    `write(folder)` writes the collection. Raises ValueError where another source has that name.

    Examples:
        >>> from distilkit.data.collection import write_collection
        >>> @register_source("proverbs")
        ... class Proverbs:
        ...     def key(self):
        ...         return {"source": "proverbs", "version": 1}
        ...     def write(self, folder):
        ...         write_collection(
        ...             folder,
        ...             name="proverbs",
        ...             passages=[("d1", "haste makes waste"), ("d2", "still waters run deep")],
        ...             queries=[("q1", "what waste does haste make")],
        ...             qrels={"test": {"q1": {"d1": 1}}},
        ...             info={"source": "proverbs"},
        ...         )
        >>> command("rerank", models="tiny", data="proverbs", output="proverbs.trec")
        {'tiny': 'proverbs.trec'}
    """
    return _entering(SOURCES, name, *aliases)


def _entering(registry: Registry[Any], name: str, *aliases: str) -> Callable[[Kind], Kind]:
    def enter(kind: Kind) -> Kind:
        registry.register(name, *aliases)(kind)
        return kind

    return enter
