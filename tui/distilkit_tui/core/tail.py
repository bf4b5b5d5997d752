"""Files that grow, read from where the last reading ended: whole new lines, and the log of a run."""

import os
from pathlib import Path
from threading import Lock

CHUNK = 1 << 18
# What is read of a log that is longer when it is opened, and how many of its lines are kept.
LAST_BYTES = 1 << 20
KEPT = 20_000


class Tail:
    """Whole new lines of a file; a torn last line waits for its end.

    A file that was cut or replaced is read anew, and `restarted` says so until the next reading.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.restarted = False
        self._offset, self._inode = start, -1
        self._skip = start > 0  # the first line may be cut

    def lines(self, limit: int = CHUNK) -> list[bytes]:
        """Return the next whole lines, of at most about `limit` bytes; empty where there are none yet."""
        self.restarted = False
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            return self._read(file, limit)
        except OSError:
            return []
        finally:
            os.close(file)

    def _read(self, file: int, limit: int) -> list[bytes]:
        facts = os.fstat(file)
        if self._inode not in (-1, facts.st_ino) or facts.st_size < self._offset:
            self.restarted, self._offset, self._skip = True, 0, False
        self._inode = facts.st_ino
        if facts.st_size <= self._offset:
            return []
        block = os.pread(file, limit, self._offset)
        end = block.rfind(b"\n") + 1
        if not end:
            if len(block) == limit:  # no line is that long: it is none of ours
                self._offset, self._skip = self._offset + limit, True
            return []
        self._offset += end
        found = block[:end].splitlines()
        if self._skip:
            found, self._skip = found[1:], False
        return found


class Log:
    """The last lines of a run's log.

    `read` belongs to one thread; `lines` grows at its end, and `dropped` counts the lines forgotten at its beginning.
    """

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
