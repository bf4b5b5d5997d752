"""What events.jsonl tells of a run so far: curves by stage, validation, checkpoints, alerts."""

import math
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.record import Event, parse_event
from distilkit_tui.core.tail import CHUNK, Tail

Floats = npt.NDArray[np.float64]

# What is logged beside the loss and its terms.
OTHERS = ("learning_rate", "positive_score", "negative_score", "margin", "pairwise_accuracy")
# How many numbers wait before they go into an array, into which one by one is slow.
BATCH = 768


class Series:
    """Points of one curve: step, seconds since the epoch, value; not a number where there is a gap."""

    def __init__(self) -> None:
        self._points, self._count = np.empty((3, 256)), 0
        self._rows: list[float] = []

    def __len__(self) -> int:
        return self._count + len(self._rows) // 3

    def append(self, step: float, time: float, value: float) -> None:
        """Add a point behind the others."""
        self._rows += (step, time, value)
        if len(self._rows) >= BATCH:
            self._settle()

    def rewind(self, step: float) -> None:
        """Forget the points at and behind a step: a resumed run does them again."""
        self._count = int(np.searchsorted(self.steps, step))

    @property
    def steps(self) -> Floats:
        """The steps [n]."""
        return self._settle()[0, :]

    @property
    def times(self) -> Floats:
        """The seconds since the epoch [n]."""
        return self._settle()[1, :]

    @property
    def values(self) -> Floats:
        """The values [n]."""
        return self._settle()[2, :]

    def _settle(self) -> Floats:
        """Return the points [3, n], with those that were added since the last look."""
        if self._rows:
            fresh = np.array(self._rows).reshape(-1, 3).T
            self._rows = []
            if (count := self._count + fresh.shape[1]) > self._points.shape[1]:
                grown = np.empty((3, 2 * count))
                grown[:, : self._count] = self._points[:, : self._count]
                self._points = grown
            self._points[:, self._count : count] = fresh
            self._count = count
        return self._points[:, : self._count]


@dataclass
class StageCurves:
    """The curves of one stage, by the name of what was measured."""

    name: str
    trial: str
    key: str
    train: dict[str, Series] = field(default_factory=dict)
    validation: dict[str, Series] = field(default_factory=dict)
    last: float = 0.0

    @property
    def label(self) -> str:
        """How people call it."""
        return f"{self.name}, {self.trial}" if self.trial else self.name

    @property
    def losses(self) -> list[str]:
        """The loss and its terms."""
        return [name for name in self.train if name not in OTHERS]

    @property
    def measures(self) -> list[str]:
        """What it is validated by, then what its training scores are watched by."""
        return [*self.validation, *(name for name in OTHERS[1:] if name in self.train)]

    def measured(self, name: str) -> Series | None:
        """Return the curve of one of `measures`."""
        return self.validation.get(name) or self.train.get(name)

    def rewind(self, step: float) -> None:
        """Forget what a resumed run does again."""
        for series in (*self.train.values(), *self.validation.values()):
            series.rewind(step)


@dataclass(frozen=True)
class Note:
    """A line of the lists of checkpoints and alerts."""

    time: float
    stage: str
    step: int
    text: str = ""


class History:
    """Follows a run's events. `read` belongs to one thread; hold `lock` to look at it from another."""

    def __init__(self, folder: RunFolder) -> None:
        self.lock = Lock()
        self._tail = Tail(folder.events)
        self.stages: list[StageCurves] = []
        self.checkpoints: list[Note] = []
        self.alerts: list[Note] = []
        self.damaged = 0
        self.version = 0

    def read(self, limit: int = CHUNK) -> bool:
        """Take in at most about `limit` bytes of new events; return whether there were any."""
        lines = self._tail.lines(limit)
        if not lines and not self._tail.restarted:
            return False
        events = [parse_event(line) for line in lines]
        with self.lock:
            if self._tail.restarted:
                self.stages, self.checkpoints, self.alerts, self.damaged = [], [], [], 0
            for event in events:
                if event is None:
                    self.damaged += 1
                else:
                    self._take(event)
            self.version += 1
        return True

    def _take(self, event: Event) -> None:
        kind, step, time, name, values = event.kind, event.step, event.time, event.stage, event.values
        if kind in ("train", "validation", "curve"):
            stage = self._stage(name, event.trial, event.key)
            if kind == "train":
                if step <= stage.last:
                    stage.rewind(step)
                stage.last = step
            curves = stage.train if kind == "train" else stage.validation
            for key, value in values.items():
                if key == "examples":  # of a curve by the number of examples, which steps tell here
                    continue
                if (series := curves.get(key)) is None:
                    series = curves[key] = Series()
                value = float(value) if type(value) in (int, float) else math.nan
                series.append(step, time, value)
                if not math.isfinite(value):
                    self.alerts.append(Note(time, name, step, f"{key} is not finite"))
        elif kind == "checkpoint":
            self.checkpoints.append(Note(time, name, step))
        elif kind == "alert":
            self.alerts.append(Note(time, name, step, "; ".join(map(str, values.values()))))

    def _stage(self, name: str, trial: str, key: str) -> StageCurves:
        """Return the stage an event belongs to; a stage that goes on after a break is the one from before."""
        for stage in reversed(self.stages):
            if (stage.name, stage.trial, stage.key) == (name, trial, key):
                return stage
        self.stages.append(StageCurves(name, trial, key))
        return self.stages[-1]
