"""The orders of the table of runs."""

from collections.abc import Callable, Iterable
from typing import Any

from distilkit_tui.core.entry import STATES, Entry

# Order -> what it looks at; None stands last either way.
ORDERS: dict[str, Callable[[Entry], Any]] = {
    "started": lambda entry: str(entry.record.get("created", "")) or None,
    "name": lambda entry: entry.key,
    "state": lambda entry: list(STATES).index(entry.state) if entry.state in STATES else len(STATES),
    "strategy": lambda entry: entry.strategy or None,
    "student": lambda entry: entry.student or None,
    "step": lambda entry: entry.step[0] / entry.step[1] if entry.step else None,
    "loss": lambda entry: entry.loss,
    "validation": lambda entry: entry.validation.get(entry.measure),
    "test": lambda entry: entry.measures.get(entry.measure),
    "rate": lambda entry: entry.rate,
    "eta": lambda entry: entry.eta,
}
# Those that begin with the greatest.
DESCENDING = {"started", "step", "validation", "test", "rate"}


def ordered(entries: Iterable[Entry], order: str, reverse: bool = False) -> list[Entry]:
    """Return runs in an order, by name where it says nothing, those without a value last."""
    value = ORDERS[order]
    named = sorted(entries, key=lambda entry: entry.key)
    known = [entry for entry in named if value(entry) is not None]
    unknown = [entry for entry in named if value(entry) is None]
    return sorted(known, key=value, reverse=(order in DESCENDING) != reverse) + unknown
