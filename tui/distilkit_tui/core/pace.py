"""How fast runs really go: steps by the clock, validation and checkpoints included."""

from collections import deque
from typing import Any

from distilkit_tui.core.entry import number

# Seconds over which the pace is taken.
WINDOW = 60.0


class Paces:
    """Watches the steps that runs report, by key."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, float]]] = {}

    def take(self, key: str, status: dict[str, Any]) -> float | None:
        """Return a run's steps a second by what it reported lately, None where that is not known yet."""
        time, step = number(status.get("hb_t")), number(status.get("step"))
        if time is None or step is None:
            return None
        seen = self._seen.setdefault(key, deque())
        if seen and (step < seen[-1][1] or time < seen[-1][0]):
            seen.clear()  # another stage, or begun anew
        seen.append((time, step))
        while seen[0][0] < time - WINDOW:
            seen.popleft()
        (first, begun), (last, reached) = seen[0], seen[-1]
        return (reached - begun) / (last - first) if last > first and reached > begun else None

    def forget(self, key: str) -> None:
        """Forget a run."""
        self._seen.pop(key, None)
