"""What the recipe's `[student] options` can choose of an architecture: the base of its options, and their checks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from distilkit.data.prefixes import Prefixes
from distilkit.data.side_tokens import PairFormat, SideFormat, TextFormat
from distilkit.errors import UserError, nearest


@dataclass(frozen=True)
class Options:
    """The options of an architecture: a frozen dataclass whose fields are the keys of `[student] options`."""

    @property
    def text_format(self) -> TextFormat:
        """How queries and documents are tokenised: apart, unless an architecture says otherwise."""
        return SideFormat()

    def wrapped(self, prefixes: Prefixes) -> Prefixes:
        """Return what stands around texts: the prefixes, unless an architecture says otherwise."""
        return prefixes

    def identity(self) -> dict[str, Any]:
        """Return the options as artifact keys hold them; raises UserError for a file that is not there."""
        return asdict(self)

    def _require_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise UserError(f"{name} is a positive number, not {value!r}")

    def _require_from_zero(self, name: str, what: str, word: str | None = None) -> None:
        value = getattr(self, name)
        if not (_is_number(value) and value >= 0) and (word is None or value != word):
            other = "" if word is None else f" or {word!r}"
            raise UserError(f"{name} is {what} from 0{other}, not {value!r}")

    def _require_truth(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{name} is true or false, not {getattr(self, name)!r}")

    def _require_one_of(self, name: str, known: Collection[str]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise UserError(f"{name} is one of {', '.join(known)}, not {value!r}")


@dataclass(frozen=True)
class OffsetOptions(Options):
    """The options of a ranker whose score has no bias of its own.

    Attributes:
        offset: a fixed number that is added to every score; it changes no ranking
    """

    offset: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        value = self.offset
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"offset is a number that is added to every score, not {value!r}")

    def identity(self) -> dict[str, Any]:
        """Return the options as artifact keys hold them; an offset of 0 is none."""
        return {name: value for name, value in super().identity().items() if name != "offset" or value}


@dataclass(frozen=True)
class PairOptions(Options):
    """The options of a ranker that reads query and document in one sequence, and has nothing to choose."""

    @property
    def text_format(self) -> PairFormat:
        """How pairs are tokenised."""
        return PairFormat()


O = TypeVar("O", bound=Options)  # noqa: E741


def offset_of(options: Options) -> float | None:
    """Return the fixed number that is added to every score; None for an architecture that has none to set."""
    return getattr(options, "offset", None)


def said_offset(options: Options) -> str:
    """Return a card's words about an offset, which other libraries' files have no place for; empty without one."""
    offset = offset_of(options)
    if not offset:
        return ""
    return f" distilkit adds the offset {offset:g} to every score, as in training; they do not, and rank alike."


def options_of(kind: type[O], values: Mapping[str, Any], where: str) -> O:
    """Return an architecture's options from a table; raises UserError for a key it has not, naming the nearest."""
    names = {field.name for field in fields(kind)}
    for name in values:
        if name not in names:
            raise UserError(f"{where} has no option {name!r}{nearest(name, names)}")
    return kind(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
