"""Baselines and the letters that mark differences from them."""

import re
import string
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from distilkit.errors import UserError, nearest

Column = TypeVar("Column", bound=Hashable)
Adjusted = Mapping[tuple[Column, frozenset[str]], float | None]
"""The corrected p of a column of the table (a measure on a set) and a pair of systems."""


def parse_baselines(asked: Sequence[str] | None, names: Sequence[str]) -> dict[str, str | None]:
    """Return the baselines in order, each with the letter that `NAME:T` sets for it, or None.

    A value may hold several, separated by blanks. Without any, the baseline is `teacher` if there is one, else the
    first system. Raises UserError for a name that no system has, listing those there are.
    """
    if not asked:
        return {"teacher" if "teacher" in names else names[0]: None}
    values = [part for value in asked for part in ([value] if _is_whole(value, names) else value.split())]
    if not values:
        raise UserError("--baseline names no system")
    baselines: dict[str, str | None] = {}
    for value in values:
        name, letter = _split(value, names)
        baselines[name] = letter or baselines.get(name)
    return baselines


def assign(baselines: Mapping[str, str | None]) -> dict[str, str]:
    """Return each baseline's small letter: the one set, else the first letter of its name, on a collision a, b, c ….

    A collision (or a name that does not start with a letter) turns all letters that were not set into a, b, c …, so
    that a table never mixes the two schemes. Raises UserError for a letter set twice.
    """
    fixed = {name: letter.lower() for name, letter in baselines.items() if letter}
    if len(set(fixed.values())) < len(fixed):
        raise UserError("--baseline gives two baselines the same letter")
    free = [name for name in baselines if name not in fixed]
    first = {name: name[:1].lower() for name in free}
    letters = [*fixed.values(), *first.values()]
    if len(set(letters)) < len(letters) or not all(letter in string.ascii_lowercase for letter in letters):
        unused = (letter for letter in _alphabet() if letter not in fixed.values())
        first = dict(zip(free, unused, strict=False))
    return {name: fixed.get(name) or first[name] for name in baselines}


def superscripts(
    name: str, column: Column, adjusted: Adjusted[Column], letters: Mapping[str, str], alpha: Sequence[float]
) -> str:
    """Return the letters of the baselines that a system differs from by p_adjusted, in the baselines' order.

    The letter is capital below the smaller alpha and small below the larger. A comparison of two baselines marks both:
    two-tailed, neither direction is another test.
    """
    return "".join(
        _mark(letter, adjusted.get((column, frozenset((name, baseline)))), alpha)
        for baseline, letter in letters.items()
        if baseline != name
    )


def _mark(letter: str, p: float | None, alpha: Sequence[float]) -> str:
    if p is None or p >= max(alpha):
        return ""
    return letter.upper() if len(alpha) > 1 and p < min(alpha) else letter


def _is_whole(value: str, names: Sequence[str]) -> bool:
    """Return whether a value is one baseline, whose name may hold blanks."""
    return value in names or value.rpartition(":")[0] in names


def _split(value: str, names: Sequence[str]) -> tuple[str, str | None]:
    """Return name and letter of `NAME` or `NAME:T`; a name may itself hold a colon."""
    if value in names:
        return value, None
    name, colon, letter = value.rpartition(":")
    if colon and name in names:
        if not re.fullmatch("[A-Za-z]", letter):
            raise UserError(f"--baseline {value!r}: expected one letter from A to Z after the colon")
        return name, letter
    there = f"; the systems are: {', '.join(names)}"
    close = nearest(value, names)
    raise UserError(f"--baseline: no system is called {value!r}{close if 'did you mean' in close else ''}{there}")


def _alphabet() -> Iterator[str]:
    yield from string.ascii_lowercase
    number = 0
    while True:
        number += 1
        yield from (f"{letter}{number}" for letter in string.ascii_lowercase)
