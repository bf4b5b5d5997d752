"""Whether a process of this machine goes on, and is still the same one."""

from pathlib import Path


def process_start(pid: int) -> str | None:
    """Return a process's start time in clock ticks since boot, which tells it from a later process of the same pid."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def is_alive(pid: int, start: str | None) -> bool:
    """Return whether a process of this machine that began at `start` goes on; one that ended and waits to be asked
    about, a zombie, does not."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return found[0] not in ("Z", "X", "x") and (start is None or found[19] == start)
