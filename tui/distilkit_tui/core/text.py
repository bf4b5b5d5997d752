"""Texts and figures fit for a terminal: names cut to a width, numbers, durations and sizes in few characters."""

import math
import re
from typing import Any

from rich.cells import cell_len, set_cell_size

from distilkit.problems import to_toml, toml_key
from distilkit.tables import plain

LONGEST = 2000


def safe(text: object) -> str:
    """Return a text without anything that could drive a terminal: control, direction and escape characters spelled out.

    It is never read as markup either, as long as it reaches the screen as a plain string in a Text or a Segment.
    """
    return plain(str(text)[:LONGEST])


def fit(text: str, width: int, align: str = "left") -> str:
    """Return a safe text in exactly `width` cells: cut with an ellipsis, or filled with blanks."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    blanks = " " * (width - length)
    return blanks + text if align == "right" else text + blanks


def short(text: str, width: int) -> str:
    """Return a safe text in at most `width` cells, its middle left out where it is longer."""
    if cell_len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = text
    while cell_len(tail) > width - 1 - head:
        tail = tail[1:]
    return f"{set_cell_size(text, head).rstrip()}…{tail}" if width > 1 else "…"


def recipe_toml(table: dict[str, Any]) -> str:
    """Return a table of JSON values as TOML, inner tables inline; None is left out."""
    return "".join(f"{toml_key(key)} = {to_toml(value)}\n" for key, value in table.items() if value is not None)


def figure(value: float, step: float = 0.0) -> str:
    """Return a number in few characters: 0.025, 1.5, 12k, 3e-05; `step` says how fine its neighbours are."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if not size:
        return "0"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit * (1 if unit > 1e3 else 10):
            return f"{value / unit:.4g}{name}"
    if not step or step < 1e-5:
        return re.sub(r"e([+-])0", r"e\1", f"{value:.3g}" if step or size < 1e-3 else f"{value:.4g}")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += abs(round(step * 10**digits) - step * 10**digits) > 1e-6  # 0.25 needs one more than 0.2
    return f"{value:.{digits}f}"


def optional(value: float | None) -> str:
    """Return a measure's value with four digits, or nothing where there is none."""
    return "" if value is None else f"{value:.4f}"


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


def rate(per_second: float | None) -> str:
    """Return how much is done a second."""
    if per_second is None:
        return ""
    return f"{per_second:.3g}/s" if per_second < 1000 else f"{per_second / 1000:.3g}k/s"
