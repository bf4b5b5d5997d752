"""One run as the table of runs shows it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distilkit.runs.folder import RunFolder

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
}


@dataclass(frozen=True)
class Entry:
    """What run.json, status.json and measures.json say of a run; `key` is its path below the folder of all runs.

    `pace` is in steps a second by the clock, `problem` why it is damaged.
    """

    key: str
    folder: RunFolder
    state: str
    record: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    pace: float | None = None

    @property
    def live(self) -> bool:
        """Whether a process works on it."""
        return self.state in LIVE

    @property
    def strategy(self) -> str:
        """The strategy as `name(key=value)`."""
        return str(self.record.get("strategy", ""))

    @property
    def student(self) -> str:
        """The student's architecture and shape."""
        return str(self.record.get("student", ""))

    @property
    def step(self) -> tuple[int, int] | None:
        """Steps done and steps in all of the stage under way, None before the first."""
        done, total = number(self.status.get("step")), number(self.status.get("total"))
        return (int(done), int(total)) if done is not None and total else None

    @property
    def loss(self) -> float | None:
        """The last loss."""
        values = self.status.get("values")
        return number(values.get("loss")) if isinstance(values, dict) else None

    @property
    def measure(self) -> str:
        """The measure that chooses between results."""
        train = self.resolved.get("train")
        return str(train.get("metric_for_best_model", "nDCG@10")) if isinstance(train, dict) else "nDCG@10"

    @property
    def validation(self) -> dict[str, float]:
        """The last validation."""
        values = self.status.get("validation")
        found = {str(name): number(value) for name, value in values.items()} if isinstance(values, dict) else {}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def rate(self) -> float | None:
        """Steps a second while it runs: by the clock, else what it says of its training."""
        if not self.live or self.step is None:
            return None
        said = number(self.status.get("rate")) if self.status.get("phase_total") == self.status.get("total") else None
        return self.pace or said

    @property
    def eta(self) -> float | None:
        """Seconds that the stage under way still takes."""
        if not self.rate or self.step is None:
            return None
        done, total = self.step
        return (total - done) / self.rate

    @property
    def resolved(self) -> dict[str, Any]:
        """The whole configuration."""
        found = self.record.get("resolved")
        return found if isinstance(found, dict) else {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole configuration, flat: `train.learning_rate` -> 0.0002."""
        return flat(self.resolved)


def number(value: Any) -> float | None:
    """Return what a file says if it is a finite number, else None."""
    return float(value) if type(value) in (int, float) and abs(value) < float("inf") else None


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested table with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
