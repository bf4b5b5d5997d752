"""How many seconds a step or a pair of some shape takes on this machine, measured and kept beside the artifacts."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from distilkit.files import read_object_or_empty, write_json

PER_MAC = 2e-11
"""Seconds a multiply-accumulate before anything was measured: some 50 billion a second."""


@dataclass
class Rates:
    """Seconds a unit of work (an optimiser step, a scored pair), by its shape; those of other machines are apart.

    Attributes:
        path: the file that they are kept in
        machine: processor, threads and processes, which they depend on
    """

    path: Path
    machine: str
    _known: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, machine: str) -> "Rates":
        """Return what a file says of a machine; a damaged entry is left out."""
        own = read_object_or_empty(path).get(machine)
        rows = own.items() if isinstance(own, dict) else ()
        return cls(path, machine, {shape: row for shape, row in rows if _is_row(row)})

    @property
    def knows_any(self) -> bool:
        """Whether anything was measured on this machine."""
        return bool(self._known)

    def knows(self, shape: str) -> bool:
        """Return whether a shape was measured."""
        return shape in self._known

    def seconds(self, shape: str, macs: float) -> float:
        """Return the seconds of a unit; of a shape that was not measured by its multiply-accumulates."""
        if shape in self._known:
            return self._known[shape][0]
        known = [seconds / macs for seconds, macs in self._known.values() if macs > 0]
        return macs * (median(known) if known else PER_MAC)

    def learn(self, shape: str, seconds: float, macs: float) -> None:
        """Enter what a unit of a shape took, of so many multiply-accumulates."""
        if seconds > 0:
            self._known[shape] = [float(f"{number:.4g}") for number in (seconds, macs)]

    def write(self) -> None:
        """Keep what is known for other runs."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {**read_object_or_empty(self.path), self.machine: self._known})


def _is_row(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 2:
        return False
    return all(isinstance(number, int | float) and math.isfinite(number) and number >= 0 for number in row)
