"""Figures as the tables and axes write them."""

from distilkit_tui.core.entry import Entry


def duration(seconds: float | None) -> str:
    """Return seconds in a few characters: 50s, 4m10s, 2h05m, 3d04h."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def rate(per_second: float | None, unit: str = "") -> str:
    """Return how much is done a second."""
    if per_second is None:
        return ""
    return f"{per_second:.3g}{unit}/s" if per_second < 1000 else f"{per_second / 1000:.3g}k{unit}/s"


def size(count: float | None) -> str:
    """Return bytes for people."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def steps(entry: Entry) -> str:
    """Return a run's step of how many."""
    return f"{entry.step[0]}/{entry.step[1]}" if entry.step else ""


def optional(value: float | None, form: str = ".4f") -> str:
    """Return a number, or nothing where there is none."""
    return "" if value is None else format(value, form)
