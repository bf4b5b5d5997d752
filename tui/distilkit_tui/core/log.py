"""A run's log as it grows, its last lines in memory."""

from pathlib import Path
from threading import Lock

from distilkit_tui.core.tail import Tail

# What is read of a log that is longer when it is opened, and how many lines are kept.
LAST_BYTES = 1 << 20
KEPT = 20_000


class Log:
    """`read` belongs to one thread; `lines` grows behind, and `dropped` counts those forgotten in front."""

    def __init__(self, path: Path) -> None:
        self.lock = Lock()
        try:
            size = path.stat().st_size
        except OSError:
            size = 0
        self._tail = Tail(path, max(0, size - LAST_BYTES))
        self.lines: list[str] = []
        self.dropped = 0

    def read(self) -> bool:
        """Take in new lines; return whether there were any."""
        found = self._tail.lines()
        if not found and not self._tail.restarted:
            return False
        lines = [line.decode(errors="replace") for line in found]
        with self.lock:
            if self._tail.restarted:
                self.lines, self.dropped = [], 0
            self.lines += lines
            if (over := len(self.lines) - KEPT) > 0:
                del self.lines[:over]
                self.dropped += over
        return True
