"""Plain tables for the terminal."""

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
