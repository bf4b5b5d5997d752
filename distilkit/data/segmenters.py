"""How runs of letters without blanks become tokens: pairs of characters, or words as ICU finds them."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import pairwise

import regex

from distilkit.errors import UserError

PAIRS, ICU = "pairs", "icu"

Segment = Callable[[str], Iterable[str]]

_CHARACTER = regex.compile(r"\P{M}\p{M}*|\p{M}+")
_HANGUL = regex.compile(r"\p{Hangul}")


def pairs(run: str) -> Iterable[str]:
    """Return each two neighbouring characters, with their marks; a character that stands alone is a token."""
    characters = _CHARACTER.findall(run)
    return [run] if len(characters) == 1 else [first + second for first, second in pairwise(characters)]


def segmenter_of(name: str, language: str) -> Segment:
    """Return how runs are cut: `pairs`, or `icu`, which cuts Korean into pairs too.

    Korean has blanks, but what lies between them is a word with its endings, which ICU leaves whole. Raises UserError
    where ICU is asked for and not installed.
    """
    if name == PAIRS:
        return pairs
    require_segmenter(name)
    from icu4py.breakers import WordBreaker

    return lambda run: pairs(run) if _HANGUL.search(run) else WordBreaker(run, language)


def require_segmenter(name: str) -> None:
    """Raise UserError for a segmenter that is not installed."""
    if name == ICU and find_spec("icu4py") is None:
        raise UserError("[data] segmenter = 'icu' needs icu4py, which is not installed: pip install 'distilkit[icu]'")


def version_of(name: str) -> str:
    """Return a segmenter with the version of its dictionaries, which tokens depend on."""
    if name == PAIRS:
        return name
    from icu4py import icu_version

    return f"{name} {icu_version}"
