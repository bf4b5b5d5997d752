"""Variants of one piece of work, interleaved in one process, and the ratios of what they take."""

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from distilkit.training.memory import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory

Allocator = Literal["kept", "default"]

# glibc raises its thresholds by itself, up to these, once blocks of 32 MiB have been freed.
DEFAULT_MMAP, DEFAULT_TRIM = 32 << 20, 64 << 20


@dataclass(frozen=True)
class Options:
    """How long to measure: rounds, and whether tiny models take the place of real ones (to try a benchmark out)."""

    rounds: int = 5
    quick: bool = False


def now() -> float:
    """Return the processor time of this process, which other work on the machine does not lengthen.

    With one thread, and nothing to wait for, it is the time that passes.
    """
    return time.process_time()


@dataclass(frozen=True)
class Variant:
    """One way of doing the work: `run(round)` does some of it and returns its seconds per unit (a token, a pair).

    `setting` is what it is run with, printed with its ratio; `allocator` is what its process would have.
    """

    name: str
    setting: str
    run: Callable[[int], float]
    allocator: Allocator = "kept"


@dataclass(frozen=True)
class Spread:
    """The median of some rounds with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Goal:
    """What a figure should be: at least or at most so much."""

    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Row:
    """A figure of a benchmark: what it is, in which unit ("x" for a ratio), its goal, and what has to be said of it."""

    what: str
    value: Spread
    unit: str = "x"
    goal: Goal | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the goal; None without one."""
        return None if self.goal is None else self.goal.reached(self.value.median)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "reached": self.reached}


@dataclass
class Times:
    """Seconds per unit of each variant, round by round."""

    variants: Mapping[str, Variant]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def over(self, variant: str, baseline: str) -> Spread:
        """Return how many times as fast a variant is as the baseline: the median over rounds of the ratio in each."""
        pairs = zip(self.seconds[baseline], self.seconds[variant], strict=True)
        return Spread.of([theirs / ours for theirs, ours in pairs])

    def dearer(self, variant: str, baseline: str) -> Spread:
        """Return how many times the baseline's time a variant takes."""
        return self.over(baseline, variant)

    def row(self, what: str, variant: str, baseline: str, goal: Goal | None = None, note: str = "") -> Row:
        """Return how many times as fast a variant is as a row."""
        return Row(what, self.over(variant, baseline), goal=goal, note=note)


def interleave(variants: Sequence[Variant], rounds: int) -> Times:
    """Run every variant once a round, after a round that is not counted."""
    named = {variant.name: variant for variant in variants}
    times = Times(named, {name: [] for name in named})
    for number in range(-1, rounds):
        for variant in variants:
            use_allocator(variant.allocator)
            gc.collect()
            seconds = variant.run(number)
            if number >= 0:
                times.seconds[variant.name].append(seconds)
    use_allocator("kept")
    return times


def use_allocator(which: Allocator) -> None:
    """Keep freed memory in the process, or give large blocks back as glibc does by default; nothing but on Linux."""
    if which == "kept":
        keep_freed_memory()
    elif sys.platform.startswith("linux") and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, DEFAULT_MMAP)
        mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM)
