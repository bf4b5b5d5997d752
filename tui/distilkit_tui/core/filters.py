"""The filter language of the table of runs.

Words are looked for in a run's name, strategy and student.
field:text looks in a field, * and ? as in file names; = != < <= > >= compare; has:field asks for a value.
Fields: the titles of the columns (run state strategy student step loss valid. test rate ETA disk), seed and data, a
measure such as nDCG@10, a key of the configuration such as train.learning_rate or the end of one.
Numbers may have a unit: disk>100MiB, ETA<2h. Terms side by side must all hold; or, not, - before a term, brackets and
quotes work as one expects.
"""

import operator
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from distilkit.errors import UserError, nearest
from distilkit_tui.core.entry import Entry

Predicate = Callable[[Entry], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<term>-?(?:"[^"]*"|'[^']*'|[^\s()"'])+))""")
_TERM = re.compile(r"(?P<field>[\w@.()=]+?)(?P<sign>!=|<=|>=|:|=|<|>)(?P<value>.*)", re.DOTALL)
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}
_UNITS |= {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FIELDS: dict[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.key,
    "run": lambda entry: entry.key,
    "state": lambda entry: entry.state,
    "strategy": lambda entry: entry.strategy,
    "student": lambda entry: entry.student,
    "seed": lambda entry: entry.record.raw.get("seed"),
    "data": lambda entry: entry.record.data.get("name"),
    "step": lambda entry: entry.step[0] if entry.step else None,
    "loss": lambda entry: entry.loss,
    "valid": lambda entry: entry.validation.get(entry.measure),
    "valid.": lambda entry: entry.validation.get(entry.measure),
    "validation": lambda entry: entry.validation.get(entry.measure),
    "test": lambda entry: entry.measures.get(entry.measure),
    "rate": lambda entry: entry.rate,
    "eta": lambda entry: entry.eta,
    "disk": lambda entry: entry.bytes,
}


@dataclass(frozen=True)
class _Term:
    """One term: the test that it stands for, and why no run passes it, where none does."""

    test: Predicate
    complaint: Callable[[Sequence[Entry]], str]
    wanted: bool = True


class Filter:
    """The test that a filter stands for: call it with a run."""

    def __init__(self, passes: Predicate, terms: Sequence[_Term]) -> None:
        self._passes, self._terms = passes, terms

    def __call__(self, entry: Entry) -> bool:
        """Return whether a run passes."""
        return self._passes(entry)

    def complaint(self, entries: Sequence[Entry]) -> str:
        """Return what is wrong with the first term that no run passes, empty where each is passed by some."""
        if not entries:
            return ""
        alone = (one for one in self._terms if one.wanted and not any(map(one.test, entries)))
        return next((one.complaint(entries) for one in alone), "")


def compile_filter(text: str) -> Filter:
    """Return the test that a filter stands for; raises UserError where it cannot be read."""
    tokens, terms = _tokens(text), list[_Term]()
    if not tokens:
        return Filter(lambda entry: True, ())
    found = _either(tokens, terms)
    if tokens:
        raise UserError(f"filter: {tokens[0]!r} closes a bracket that was not opened")
    return Filter(found, terms)


def _tokens(text: str) -> deque[str]:
    tokens, at, text = deque[str](), 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UserError("filter: a quote is not closed")
        tokens.append(match["bracket"] or match["term"])
        at = match.end()
    return tokens


def _either(tokens: deque[str], terms: list[_Term], wanted: bool = True) -> Predicate:
    """Take alternatives off the front: `a b or c`; their terms are added to those that were found."""
    parts = [_all(tokens, terms, wanted)]
    while tokens and tokens[0].lower() in ("or", "|"):
        tokens.popleft()
        parts.append(_all(tokens, terms, wanted))
    return lambda entry: any(part(entry) for part in parts)


def _all(tokens: deque[str], terms: list[_Term], wanted: bool) -> Predicate:
    """Take terms that must all hold off the front: `a -b and c`."""
    parts: list[Predicate] = []
    while tokens and tokens[0] != ")" and tokens[0].lower() not in ("or", "|"):
        if tokens[0].lower() == "and" and parts:
            tokens.popleft()
        else:
            parts.append(_one(tokens, terms, wanted))
    if not parts:
        raise UserError(f"filter: expected a term{f' before {tokens[0]!r}' if tokens else ' at the end'}")
    return lambda entry: all(part(entry) for part in parts)


def _one(tokens: deque[str], terms: list[_Term], wanted: bool) -> Predicate:
    """Take one term off the front, or one in brackets, either of them negated."""
    head = tokens.popleft()
    if head == "(":
        part = _either(tokens, terms, wanted)
        if not tokens:
            raise UserError("filter: a bracket is not closed")
        tokens.popleft()
        return part
    if head.lower() not in ("not", "-", "!") and not head.startswith("-"):
        return _term(head, terms, wanted)
    if head[1:] and head.startswith("-"):
        part = _term(head[1:], terms, not wanted)
    elif tokens:
        part = _one(tokens, terms, not wanted)
    else:
        raise UserError(f"filter: expected a term after {head!r}")
    return lambda entry: not part(entry)


def _term(text: str, terms: list[_Term], wanted: bool) -> Predicate:
    match = _TERM.fullmatch(text) if text[0] not in "\"'" else None
    if match is None:
        word = _unquoted(text)
        test: Predicate = lambda entry: word.lower() in _words(entry)  # noqa: E731
        terms.append(_Term(test, lambda entries: _no_word(word, entries), wanted))
        return test
    name, sign, value = match["field"], match["sign"], _unquoted(match["value"])
    if name.lower() == "has":
        test, name = (lambda entry: lookup(entry, value) not in (None, "")), value
    else:
        test = _test(text, name, sign, value)
    terms.append(_Term(test, lambda entries: _no_value(text, name, entries), wanted))
    return test


def _test(text: str, name: str, sign: str, value: str) -> Predicate:
    """Return the test of a field: `sign` and `value` are what stands behind its name."""
    if sign == ":":
        pattern = value.lower() if any(sign in value for sign in "*?") else f"*{value.lower()}*"
        return lambda entry: fnmatchcase(_shown(lookup(entry, name)).lower(), pattern)
    limit = _number(value)
    if sign in ("=", "!="):
        return lambda entry: _equal(lookup(entry, name), value, limit) == (sign == "=")
    if limit is None:
        raise UserError(f"filter: {text!r}: expected a number after {sign!r}")
    return lambda entry: _is_number(found := lookup(entry, name)) and _ORDER[sign](found, limit)


def _words(entry: Entry) -> str:
    """Return what a word is looked for in."""
    return f"{entry.key}\n{entry.strategy}\n{entry.student}".lower()


def _no_word(word: str, entries: Sequence[Entry]) -> str:
    """Return what is said of a word that no run has."""
    said = f"filter: no run has {word!r} in its name, strategy or student"
    if word.lower() in _FIELDS:
        return f"{said}; the field {word} is asked for as {word}:text or {word}>number"
    known = {part for entry in entries for part in re.split(r"[^\w@.]+", _words(entry)) if part}
    return f"{said}{_near(word.lower(), known)}"


def _no_value(text: str, name: str, entries: Sequence[Entry]) -> str:
    """Return what is said of a field that no run has, or whose value no run has."""
    values = [value for entry in entries if (value := lookup(entry, name)) not in (None, "")]
    if not values:
        if name.lower() in _FIELDS:
            return f"filter: no run has a value of {name} yet"
        known = {*_FIELDS, *(key for one in entries for key in (*one.validation, *one.measures, *one.settings))}
        return f"filter: {text!r}: no run has a field {name!r}{_near(name, known)}"
    numbers = [value for value in values if _is_number(value)]
    if len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        return f"filter: {text!r}: {name} is between {low:.6g} and {high:.6g}"
    there = sorted({_shown(value) for value in values})
    told = f"{', '.join(there[:6])}{f' and {len(there) - 6} more' if len(there) > 6 else ''}"
    return f"filter: {text!r}: no run has it; {name} is {told}"


def _near(name: str, known: set[str]) -> str:
    """Return a question about the nearest known name, empty where none is near."""
    said = nearest(name, known)
    return said if said.startswith("; did you mean") else ""


def lookup(entry: Entry, name: str) -> object:
    """Return a run's value of a field, None where it has none."""
    if (simple := _FIELDS.get(name.lower())) is not None:
        return simple(entry)
    for key, value in {**entry.validation, **entry.measures}.items():
        if key.lower() == name.lower():
            return value
    settings = entry.settings
    if name in settings:
        return settings[name]
    ends = [key for key in settings if key.endswith(f".{name}")]
    # The nearest to the top wins: train.learning_rate before teacher.train.learning_rate.
    return settings[min(ends, key=lambda key: (key.count("."), key))] if ends else None


def _unquoted(text: str) -> str:
    return re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda match: match[1] or match[2] or "", text)


def _shown(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    """Return a number, which may have a unit: 0.4, 100MiB, 2h."""
    number, unit = text, 1.0
    for name, factor in _UNITS.items():
        if text.endswith(name) and text.removesuffix(name)[-1:].isdigit():
            number, unit = text.removesuffix(name), factor
    try:
        return float(number) * unit
    except ValueError:
        return None


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float)


def _equal(value: object, text: str, number: float | None) -> bool:
    if number is not None and _is_number(value):
        return value == number
    return _shown(value).lower() == text.lower()
