"""The commit of the checkout in which a command was given, read from its files.

Git itself is not asked: it runs programs that a repository's own configuration names.
"""

import re
from pathlib import Path

LONGEST = 1 << 20
"""No file that is read here is larger."""


def commit() -> str | None:
    """Return the commit that is checked out around the working folder, None outside of a checkout."""
    try:
        here = Path.cwd()
        found = next((one for one in (here, *here.parents) if (one / ".git").exists()), None)
        return None if found is None else _head(_folder(found / ".git"))
    except (OSError, ValueError):
        return None


def _folder(git: Path) -> Path:
    """Return the repository's folder: .git, or that which a file of this name points to."""
    return git if git.is_dir() else git.parent / _text(git).removeprefix("gitdir:").strip()


def _head(folder: Path) -> str | None:
    head = _text(folder / "HEAD")
    if not head.startswith("ref:"):
        return _digits(head)
    name = head.removeprefix("ref:").strip()
    if not re.fullmatch(r"refs(/[\w+=@-][\w.+=@-]*)+", name):
        return None
    # A work tree of its own keeps its HEAD, and shares the branches.
    shared = folder / _text(folder / "commondir") if (folder / "commondir").is_file() else folder
    for place in (folder, shared):
        if (place / name).is_file():
            return _digits(_text(place / name))
    packed = _text(shared / "packed-refs") if (shared / "packed-refs").is_file() else ""
    line = next((line for line in packed.splitlines() if line.endswith(f" {name}")), "")
    return _digits(line.partition(" ")[0])


def _digits(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else None


def _text(path: Path) -> str:
    if path.stat().st_size > LONGEST or not path.is_file():
        raise ValueError(f"{path} is none of git's files")
    return path.read_text(encoding="utf-8").strip()
