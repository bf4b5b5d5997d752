"""Text from files and names, made fit for a terminal."""

from rich.cells import cell_len, set_cell_size

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
