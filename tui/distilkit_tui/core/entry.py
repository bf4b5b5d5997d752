"""One run as the table of runs shows it, and the orders that the table can be sorted in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.names import TWIN
from distilkit.run_folders.record import RunRecord, RunStatus, as_table, flat

LIVE = ("running", "stalled")
# Glyph and colour of each state; the word is always beside them.
STATES = {
    "running": ("▶", "success"),
    "stalled": ("◌", "warning"),
    "done": ("✓", "primary"),
    "stopped": ("■", "accent"),
    "crashed": ("✗", "error"),
    "lost": ("?", "error"),
    "damaged": ("!", "error"),
    "planned": ("·", "text-muted"),
}


@dataclass(frozen=True)
class Entry:
    """What run.json, status.json and measures.json say of a run; `key` is its path below the folder of all runs.

    `pace` is in steps a second by the clock, `problem` why it is damaged, `bytes` what its folder takes on disk.
    """

    key: str
    folder: RunFolder
    state: str
    record: RunRecord = field(default_factory=RunRecord)
    status: RunStatus = field(default_factory=RunStatus)
    measures: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    pace: float | None = None
    bytes: int = 0

    @property
    def live(self) -> bool:
        """Whether a process works on it."""
        return self.state in LIVE

    @property
    def strategy(self) -> str:
        """The strategy as `name(key=value)`."""
        return self.record.strategy

    @property
    def student(self) -> str:
        """The student's architecture and shape."""
        return self.record.student

    @property
    def resolved(self) -> dict[str, Any]:
        """The whole configuration."""
        return self.record.resolved

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole configuration, flat: `train.learning_rate` -> 0.0002."""
        return flat(self.resolved)

    @property
    def step(self) -> tuple[int, int] | None:
        """Steps done and steps in all of the stage under way, None before the first."""
        done, total = self.status.step, self.status.total
        return (done, total) if done is not None and total else None

    @property
    def loss(self) -> float | None:
        """The last loss."""
        return self.status.values.get("loss")

    @property
    def measure(self) -> str:
        """The measure that chooses between results."""
        return str(as_table(self.resolved.get("train")).get("metric_for_best_model", "nDCG@10"))

    @property
    def validation(self) -> dict[str, float]:
        """The last validation."""
        return self.status.validation

    @property
    def trains_twin(self) -> bool:
        """Whether the work under way is its label-only twin's, while its own steps are done."""
        return self.record.twin_of is None and self.status.phase.startswith(f"{TWIN}: ")

    @property
    def rate(self) -> float | None:
        """Steps a second while it runs: by the clock, else what it says of its training."""
        if not self.live or self.step is None or self.trains_twin:
            return None
        return self.pace or (self.status.rate if self.status.phase_total == self.status.total else None)

    @property
    def eta(self) -> float | None:
        """Seconds that the stage under way still takes."""
        if not self.rate or self.step is None:
            return None
        done, total = self.step
        return (total - done) / self.rate


# Order of the table of runs -> what it looks at; None stands last either way.
ORDERS: dict[str, Callable[[Entry], Any]] = {
    "started": lambda entry: entry.record.created or None,
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
    "disk": lambda entry: entry.bytes,
}
# Those that begin with the greatest.
DESCENDING = {"started", "step", "validation", "test", "rate", "disk"}


def ordered(entries: Iterable[Entry], order: str, reverse: bool = False) -> list[Entry]:
    """Return runs in an order, by name where it says nothing, those without a value last."""
    value = ORDERS[order]
    named = sorted(entries, key=lambda entry: entry.key)
    known = [entry for entry in named if value(entry) is not None]
    unknown = [entry for entry in named if value(entry) is None]
    return sorted(known, key=value, reverse=(order in DESCENDING) != reverse) + unknown
