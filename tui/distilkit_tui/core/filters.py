"""The filter language of the table of runs.

Words are looked for in a run's name, strategy and student.
field:text looks in a field, * and ? as in file names; = != < <= > >= compare; has:field asks for a value.
Fields: name state strategy student seed step loss data rate eta, a measure such as nDCG@10, a key of the
configuration such as train.learning_rate or the end of one.
Terms side by side must all hold; or, not, - before a term, brackets and quotes work as one expects.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from distilkit.errors import UserError
from distilkit_tui.core.entry import Entry

Predicate = Callable[[Entry], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<bracket>[()])|(?P<term>-?(?:"[^"]*"|'[^']*'|[^\s()"'])+))""")
_TERM = re.compile(r"(?P<field>[\w@.()=]+?)(?P<sign>!=|<=|>=|:|=|<|>)(?P<value>.*)", re.DOTALL)


def compile_filter(text: str) -> Predicate:
    """Return the test that a filter stands for; raises UserError where it cannot be read."""
    tokens = _tokens(text)
    if not tokens:
        return lambda entry: True
    found, rest = _either(tokens)
    if rest:
        raise UserError(f"filter: {rest[0]!r} has no bracket to close")
    return found


def _tokens(text: str) -> list[str]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UserError("filter: a quote is not closed")
        tokens.append(match["bracket"] or match["term"])
        at = match.end()
    return tokens


def _either(tokens: list[str]) -> tuple[Predicate, list[str]]:
    parts, rest = [], tokens
    while True:
        part, rest = _all(rest)
        parts.append(part)
        if not rest or rest[0].lower() not in ("or", "|"):
            return (parts[0] if len(parts) == 1 else lambda entry: any(part(entry) for part in parts)), rest
        rest = rest[1:]


def _all(tokens: list[str]) -> tuple[Predicate, list[str]]:
    parts: list[Predicate] = []
    while tokens and tokens[0] != ")" and tokens[0].lower() not in ("or", "|"):
        if tokens[0].lower() == "and" and parts:
            tokens = tokens[1:]
            continue
        part, tokens = _one(tokens)
        parts.append(part)
    if not parts:
        raise UserError(f"filter: expected a term{f' before {tokens[0]!r}' if tokens else ' at the end'}")
    return (lambda entry: all(part(entry) for part in parts)), tokens


def _one(tokens: list[str]) -> tuple[Predicate, list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head.lower() in ("not", "-", "!"):
        if not rest:
            raise UserError(f"filter: expected a term behind {head!r}")
        part, rest = _one(rest)
        return (lambda entry: not part(entry)), rest
    if head == "(":
        part, rest = _either(rest)
        if not rest:
            raise UserError("filter: a bracket is not closed")
        return part, rest[1:]
    if head.startswith("-") and len(head) > 1:
        part = _term(head[1:])
        return (lambda entry: not part(entry)), rest
    return _term(head), rest


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
    if sign in ("=", "!="):
        return lambda entry: _equal(lookup(entry, name), value) == (sign == "=")
    limit = _number(value)
    if limit is None:
        raise UserError(f"filter: {text!r}: expected a number behind {sign!r}")
    return lambda entry: _ordered(lookup(entry, name), sign, limit)


def lookup(entry: Entry, name: str) -> Any:
    """Return a run's value of a field, None where it has none."""
    simple: dict[str, Any] = {
        "name": entry.key,
        "state": entry.state,
        "strategy": entry.strategy,
        "student": entry.student,
        "seed": entry.record.get("seed"),
        "step": entry.step[0] if entry.step else None,
        "loss": entry.loss,
        "rate": entry.rate,
        "eta": entry.eta,
    }
    if name.lower() in simple:
        return simple[name.lower()]
    if name == "data":
        data = entry.record.get("data")
        return data.get("name") if isinstance(data, dict) else None
    measures = {**entry.validation, **entry.measures}
    for key, value in measures.items():
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


def _shown(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _equal(value: Any, text: str) -> bool:
    wanted = _number(text)
    if wanted is not None and type(value) in (int, float):
        return bool(value == wanted)
    return _shown(value).lower() == text.lower()


def _ordered(value: Any, sign: str, limit: float) -> bool:
    if type(value) not in (int, float):
        return False
    return bool({"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[sign])
