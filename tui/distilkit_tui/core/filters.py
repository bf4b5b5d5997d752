"""The filter language of the table of runs.

Words are looked for in a run's name, strategy and student.
field:text looks in a field, * and ? as in file names; = != < <= > >= compare; has:field asks for a value.
Fields: name state strategy student seed step loss data rate eta, a measure such as nDCG@10, a key of the
configuration such as train.learning_rate or the end of one.
Terms side by side must all hold; or, not, - before a term, brackets and quotes work as one expects.
"""

import operator
import re
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from distilkit.errors import UserError
from distilkit_tui.core.entry import Entry

Predicate = Callable[[Entry], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<term>-?(?:"[^"]*"|'[^']*'|[^\s()"'])+))""")
_TERM = re.compile(r"(?P<field>[\w@.()=]+?)(?P<sign>!=|<=|>=|:|=|<|>)(?P<value>.*)", re.DOTALL)
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FIELDS: dict[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.key,
    "state": lambda entry: entry.state,
    "strategy": lambda entry: entry.strategy,
    "student": lambda entry: entry.student,
    "seed": lambda entry: entry.record.raw.get("seed"),
    "step": lambda entry: entry.step[0] if entry.step else None,
    "loss": lambda entry: entry.loss,
    "rate": lambda entry: entry.rate,
    "eta": lambda entry: entry.eta,
    "disk": lambda entry: entry.bytes,
}


def compile_filter(text: str) -> Predicate:
    """Return the test that a filter stands for; raises UserError where it cannot be read."""
    tokens = _tokens(text)
    if not tokens:
        return lambda entry: True
    found = _either(tokens)
    if tokens:
        raise UserError(f"filter: {tokens[0]!r} has no bracket to close")
    return found


def _tokens(text: str) -> deque[str]:
    tokens, at, text = deque[str](), 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UserError("filter: a quote is not closed")
        tokens.append(match["bracket"] or match["term"])
        at = match.end()
    return tokens


def _either(tokens: deque[str]) -> Predicate:
    """Take alternatives off the front: `a b or c`."""
    parts = [_all(tokens)]
    while tokens and tokens[0].lower() in ("or", "|"):
        tokens.popleft()
        parts.append(_all(tokens))
    return lambda entry: any(part(entry) for part in parts)


def _all(tokens: deque[str]) -> Predicate:
    """Take terms that must all hold off the front: `a -b and c`."""
    parts: list[Predicate] = []
    while tokens and tokens[0] != ")" and tokens[0].lower() not in ("or", "|"):
        if tokens[0].lower() == "and" and parts:
            tokens.popleft()
        else:
            parts.append(_one(tokens))
    if not parts:
        raise UserError(f"filter: expected a term{f' before {tokens[0]!r}' if tokens else ' at the end'}")
    return lambda entry: all(part(entry) for part in parts)


def _one(tokens: deque[str]) -> Predicate:
    """Take one term off the front, or one in brackets, either of them negated."""
    head = tokens.popleft()
    if head == "(":
        part = _either(tokens)
        if not tokens:
            raise UserError("filter: a bracket is not closed")
        tokens.popleft()
        return part
    if head.lower() not in ("not", "-", "!") and not head.startswith("-"):
        return _term(head)
    if head[1:] and head.startswith("-"):
        part = _term(head[1:])
    elif tokens:
        part = _one(tokens)
    else:
        raise UserError(f"filter: expected a term behind {head!r}")
    return lambda entry: not part(entry)


def _term(text: str) -> Predicate:
    match = _TERM.fullmatch(text) if text[0] not in "\"'" else None
    if match is None:
        word = _unquoted(text).lower()
        return lambda entry: word in f"{entry.key}\n{entry.strategy}\n{entry.student}".lower()
    name, sign, value = match["field"], match["sign"], _unquoted(match["value"])
    if name.lower() == "has":
        return lambda entry: lookup(entry, value) not in (None, "")
    if sign == ":":
        pattern = value.lower() if any(sign in value for sign in "*?") else f"*{value.lower()}*"
        return lambda entry: fnmatchcase(_shown(lookup(entry, name)).lower(), pattern)
    limit = _number(value)
    if sign in ("=", "!="):
        return lambda entry: _equal(lookup(entry, name), value, limit) == (sign == "=")
    if limit is None:
        raise UserError(f"filter: {text!r}: expected a number behind {sign!r}")
    return lambda entry: _is_number(found := lookup(entry, name)) and _ORDER[sign](found, limit)


def lookup(entry: Entry, name: str) -> object:
    """Return a run's value of a field, None where it has none."""
    if (simple := _FIELDS.get(name.lower())) is not None:
        return simple(entry)
    if name == "data":
        return entry.record.data.get("name")
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
    try:
        return float(text)
    except ValueError:
        return None


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float)


def _equal(value: object, text: str, number: float | None) -> bool:
    if number is not None and _is_number(value):
        return value == number
    return _shown(value).lower() == text.lower()
