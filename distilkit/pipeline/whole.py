"""How far a whole run is, and how long the rest takes."""

import time
from collections.abc import Callable

from distilkit.tables import duration

TRUST = 0.005
"""The forecast before the run counts like this share of it when it is corrected by what was seen."""


class Whole:
    """How far the whole run is, in seconds as forecast, and how long the rest takes.

    What is left is forecast by the rates that were measured before the run, times how much longer than forecast it has
    taken so far. `before` are the seconds that earlier processes worked on the run, which was stopped or killed, and
    `waited` those in which it waited for what another run computed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.total, self.done, self.before = 0.0, 0.0, 0.0
        self._started: float | None = None
        self.waited = 0.0

    def start(self, total: float, before: float = 0.0) -> None:
        """Say how many seconds of work there are by the forecast, and how many were spent before."""
        self.total, self.before, self._started, self.waited = total, before, self._clock(), 0.0

    def advance(self, work: float) -> None:
        """Count work that is done."""
        self.done += work

    def corrected(self, total: float, done: float) -> float | None:
        """Return how long the rest takes, of a forecast that is made anew each time; the first starts the clock."""
        self.total, self.done = total, done
        self._started = self._clock() if self._started is None else self._started
        return self.seconds_left

    def skip(self, work: float) -> None:
        """Take off work that an earlier process has done."""
        self.total -= work

    def leave(self, work: float, seconds: float) -> None:
        """Take off work that another run has done, for which this one waited so many seconds."""
        self.total -= work
        self.waited += seconds

    @property
    def seconds_spent(self) -> float:
        """How long the run has been worked on, by earlier processes too."""
        return self.before + (0.0 if self._started is None else self._clock() - self._started)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes; None before there is a forecast."""
        if self._started is None or self.total <= 0:
            return None
        trust = TRUST * self.total
        slower = (self._clock() - self._started - self.waited + trust) / (self.done + trust)
        return max(self.total - self.done, 0.0) * slower

    @property
    def share(self) -> float:
        """How much of the run's time is over, from 0 to 1."""
        left, spent = self.seconds_left, self.seconds_spent  # read once: the clock goes on between two readings
        return 0.0 if left is None else spent / max(spent + left, 1e-9)

    def figures(self) -> str:
        """Return share and rest for people, empty where they are not known."""
        left = self.seconds_left
        return "" if left is None else f"{self.share:.0%}, about {duration(left)} left"

    def record(self) -> dict[str, float]:
        """Return what status.json says, empty where there is no forecast."""
        left = self.seconds_left
        if left is None:
            return {}
        return {"share": round(self.share, 4), "spent_s": round(self.seconds_spent, 1), "left_s": round(left, 1)}
