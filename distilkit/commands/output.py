"""What is printed: JSON or text, and the screen that it is made for."""

import json
import os
import shutil
import sys
from typing import Protocol

from distilkit.comparison.render import Screen
from distilkit.options.shared import Printed
from distilkit.tables import printable


class Printable(Protocol):
    """What a command found, for scripts and for people."""

    def to_json(self) -> object:
        """Return it as plain data."""
        ...

    def to_text(self) -> str:
        """Return it for people."""
        ...


def printed(found: Printable, asked: Printed) -> str:
    """Return what was found as JSON or as text, whichever was asked for."""
    return json.dumps(found.to_json(), indent=2) if asked.json_ else found.to_text()


def asks() -> bool:
    """Tell whether somebody can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def agrees(about: str, question: str) -> bool:
    """Ask on a terminal whether something is to be done; elsewhere nobody can agree."""
    if not asks():
        return False
    print(printable(about))
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def screen(terminal: bool) -> Screen:
    """Return what is printed on: bold and its own width on a terminal, plain and 120 columns elsewhere."""
    if not terminal:
        return Screen(width=120)
    return Screen(max(60, shutil.get_terminal_size().columns), styled="NO_COLOR" not in os.environ)
