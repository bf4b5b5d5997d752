"""Power that is lost at any moment: a layer that knows what was written through to the disk, and drops the rest.

It is a model of a file system that keeps no promise beyond POSIX: the content of a file is as it was when the file was
last synced, empty where it never was; the names in a folder are those of its last sync, or, as the file system may have
got further, those of now.
"""

import itertools
import os
import random
import resource
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Image = dict[str, bytes | None]
"""What is on the disk, by path below the root: the bytes of files, None for folders."""

_CHANGES = ("unlink", "remove", "rmdir", "replace", "rename", "mkdir", "link", "fsync")


class Disk:
    """What of a folder would be there if the power were lost now. `cuts` counts the moments seen so far."""

    def __init__(self, root: Path) -> None:
        self.root, self.cuts = root, 0
        self._numbers = itertools.count()
        self._known: dict[tuple[int, int], tuple[int, int]] = {}
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        weakref.finalize(self, _close, self._known)
        # What is there already was written long ago.
        for path in [root, *root.rglob("*")]:
            self._keep(path)

    def synced(self, descriptor: int) -> None:
        """Keep what a file or folder holds now."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_relative_to(self.root):
            self._keep(path)

    def image(self, names: Callable[[], bool] = lambda: True) -> Image:
        """Return what is there after a cut; `names` is asked, folder by folder, whether its names are those of now."""
        found: Image = {}
        paths = {self._identity(path): path for path in [self.root, *self.root.rglob("*")]}

        def visit(folder: int, shown: str) -> None:
            path, kept = paths.get(folder), self._names.get(folder, {})
            now = kept if path is None else {one.name: self._identity(one) for one in path.iterdir()}
            for name, child in (now if names() else kept).items():
                if child in self._names or (child in paths and paths[child].is_dir()):
                    found[f"{shown}{name}"] = None
                    visit(child, f"{shown}{name}/")
                else:
                    found[f"{shown}{name}"] = self._content.get(child, b"")

        visit(self._identity(self.root), "")
        self._forget({*paths, *self._names, *itertools.chain(*(names.values() for names in self._names.values()))})
        return found

    def images(self, chance: random.Random) -> list[Image]:
        """Return what may be there: with the names of now, with those of each folder's last sync, and a mixture."""
        return [self.image(), self.image(lambda: False), self.image(lambda: chance.random() < 0.5)]

    def _keep(self, path: Path) -> None:
        if path.is_dir():
            self._names[self._identity(path)] = {one.name: self._identity(one) for one in path.iterdir()}
        else:
            self._content[self._identity(path)] = path.read_bytes()

    def _identity(self, path: Path) -> int:
        status = path.lstat()
        where = (status.st_dev, status.st_ino)
        if where not in self._known:
            # A file that is open keeps its number when it is removed, else the system may give it to the next one.
            handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._known[where] = (next(self._numbers), handle)
        return self._known[where][0]

    def _forget(self, needed: set[int]) -> None:
        for where, (number, handle) in list(self._known.items()):
            if number not in needed:
                os.close(handle)
                del self._known[where]


def _close(known: dict[tuple[int, int], tuple[int, int]]) -> None:
    for _, handle in known.values():
        os.close(handle)


def restore(image: Image, folder: Path) -> None:
    """Write an image into a folder, as it is found after the power has come back."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in image.items():
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(content)


@contextmanager
def recorded(root: Path, at_a_cut: Callable[[Disk], object] = lambda disk: None) -> Iterator[Disk]:
    """Record what a block writes below a folder, and call back at every moment when its names or syncs have changed."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    disk, lock, within = Disk(root.resolve()), threading.Lock(), 0
    originals = {name: getattr(os, name) for name in _CHANGES}

    def layer(name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal within
            if within == threading.get_ident():  # what a callback does is not a part of the block
                return originals[name](*given, **named)
            with lock:  # another thread of the block waits until this moment has been looked at
                result = originals[name](*given, **named)
                within = threading.get_ident()
                try:
                    if name == "fsync":
                        disk.synced(given[0])
                    disk.cuts += 1
                    at_a_cut(disk)
                finally:
                    within = 0
            return result

        return call

    for name in originals:
        setattr(os, name, layer(name))
    try:
        yield disk
    finally:
        for name, original in originals.items():
            setattr(os, name, original)
