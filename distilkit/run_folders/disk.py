"""How much of a disk files take, what is shared between folders counted once, and how much is free."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """One file on disk: its device and number, its size, and under how many names it is there."""

    identity: tuple[int, int]
    size: int
    names: int


@dataclass(frozen=True)
class Taken:
    """The files of a folder."""

    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """The bytes that they take, those of one file under several names once."""
        return sum(file.size for file in {file.identity: file for file in self.files}.values())


def taken(path: Path) -> Taken:
    """Return the files of a folder, or the one that a path is; what vanishes meanwhile takes nothing."""
    return Taken(tuple(map(_file, _stats(path))))


def freed(removed: Iterable[Taken]) -> int:
    """Return the bytes that are free once some folders are gone: files that are elsewhere, too, stay."""
    found: dict[tuple[int, int], list[File]] = {}
    for file in (file for one in removed for file in one.files):
        found.setdefault(file.identity, []).append(file)
    return sum(files[0].size for files in found.values() if len(files) >= files[0].names)


def free(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _file(found: os.stat_result) -> File:
    return File((found.st_dev, found.st_ino), found.st_size, found.st_nlink)


def _stats(path: Path) -> Iterator[os.stat_result]:
    paths = [path]
    if path.is_dir() and not path.is_symlink():
        paths = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    for one in paths:
        try:
            yield one.lstat()
        except OSError:
            continue
