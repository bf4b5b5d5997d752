"""What disks and people do to files: a byte flipped, a file cut, emptied or gone."""

import random
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def _flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    _write(path, bytes(data))


def _cut(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    _write(path, data[: chance.randrange(1, len(data))])


def _emptied(path: Path, chance: random.Random) -> None:
    _write(path, b"")


def _gone(path: Path, chance: random.Random) -> None:
    path.unlink()


def _write(path: Path, data: bytes) -> None:
    """Write a file anew, as others may share its place on the disk."""
    path.unlink()
    path.write_bytes(data)


DAMAGES: dict[str, Damage] = {"flipped": _flipped, "cut": _cut, "emptied": _emptied, "gone": _gone}


def files(folder: Path) -> list[Path]:
    """Return the files below a folder that can be damaged in all of these ways, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 1)
