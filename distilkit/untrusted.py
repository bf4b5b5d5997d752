"""What others may have written, read within limits: regular files of bounded size, JSON and TOML of bounded depth.

All that is wrong is a ValueError or an OSError, whose text says what was expected; callers put the file before it.
"""

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 256 << 20
"""No file that is read in one piece is larger, in bytes."""
LONGEST = 16 << 20
"""No line is longer, in characters."""
DEPTH = 64
"""Tables and lists are nested no deeper."""
DIGITS = 100
"""Whole numbers are no longer; each is a finite float, too."""


@contextmanager
def open_regular(path: Path, links: bool = True) -> Iterator[BinaryIO]:
    """Open a file for reading; raises OSError or ValueError for a folder, a device or a pipe, which might never end.

    Without `links` a symbolic link is refused, too.
    """
    refused = 0 if links else os.O_NOFOLLOW
    if not links and path.is_symlink():
        raise ValueError("is a symbolic link, which is not followed here")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | refused)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no regular file")
        yield file


def read_text(path: Path, most: int = LARGEST, links: bool = True) -> str:
    """Return the text of a UTF-8 file; raises OSError or ValueError, for one of more than `most` bytes too."""
    with open_regular(path, links) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"is larger than {most:,} bytes")
    return data.decode()


def parse_json(text: str | bytes) -> Any:
    """Return a JSON value; raises ValueError for one that is nested too deep, or holds letters that are none."""
    text = text if isinstance(text, str) else text.decode()
    try:
        value = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > DEPTH:
        _require_shallow(value)
    if re.search(r"\\u[dD]", text) and not is_unicode(json.dumps(value, ensure_ascii=False)):
        raise ValueError("not valid Unicode (half of a surrogate pair); expected whole characters")
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Return a TOML table; raises ValueError as `parse_json` does, and for a null character in a text."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's own limit of digits
        raise ValueError(f"a number is too long; expected {DIGITS} digits at most") from None
    _require_shallow(table)
    for value in _values(table):
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"{value[:40]!r} holds a null character")
        if type(value) is int and abs(value) >= 10**DIGITS:
            raise ValueError(f"a number is too long; expected {DIGITS} digits at most")
    return table


def is_unicode(text: str) -> bool:
    """Return whether a text consists of whole characters, none of them half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fits(value: object, shape: object) -> bool:
    """Return whether a value has a shape: a type, a list of one shape, or a table of the keys that must be there."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], one) for key, one in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    return isinstance(shape, type) and isinstance(value, shape)


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits; expected {DIGITS} at most")
    return int(text)


def _require_shallow(value: object) -> None:
    """Raise ValueError for a value that is nested deeper than DEPTH, without recursion of its own."""
    level, depth = [value], 0
    while level := [inner for one in level for inner in _inside(one)]:
        depth += 1
        if depth > DEPTH:
            raise _too_deep()


def _values(value: object) -> Iterator[object]:
    """Yield the keys and values of all tables and lists."""
    level = [value]
    while level:
        one = level.pop()
        if isinstance(one, dict):
            yield from one
        elif not isinstance(one, list):
            yield one
        level += _inside(one)


def _inside(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"tables and lists are nested more than {DEPTH} deep")
