"""Where a key of a recipe stands: the line of a TOML file, found in one pass over the text."""

from itertools import takewhile
from pathlib import Path

from distilkit.problems import Location


def line_of(file: Path, location: Location) -> tuple[int, int]:
    """Return the line of a key in a TOML file, 0 without one, and how many parts of the location are written there."""
    section, best = "", (0, 0)
    wanted = ".".join(location).split(".")
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        text = line.lstrip()
        key, rest = _key(text.removeprefix("["))
        if text.startswith("[") and key and rest.startswith("]"):
            found = section = key
        elif key and rest.startswith("="):
            found = f"{section}.{key}" if section else key
        else:
            continue
        pairs = zip(wanted, found.split("."), strict=False)
        length = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        if length > best[1]:
            best = number, length
    return best


def _key(text: str) -> tuple[str, str]:
    """Return the dotted key that a text begins with, without quotes and blanks, and what follows it."""
    parts, at = [], 0
    while at < len(text):
        one = text[at]
        if one in "\"'":
            end = text.find(one, at + 1)
            if end < 0:
                break
            parts.append("".join(text[at + 1 : end].split()))
            at = end
        elif one.isalnum() or one in "_-.":
            parts.append(one)
        elif not one.isspace():
            break
        at += 1
    return "".join(parts), text[at:]
