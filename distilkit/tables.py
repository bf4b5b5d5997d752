"""Plain tables and sizes for the terminal."""

from collections.abc import Sequence


def plain(text: str) -> str:
    """Return a text whose control characters, which could drive a terminal, are spelled out."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows below a header, columns aligned, two blanks apart."""
    cells = [[plain(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def size(count: float) -> str:
    """Return bytes for people."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
