"""What live processes use of the folder of artifacts, so that nothing is removed that one of them reads or builds."""

import os
import socket
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distilkit.run_folders.lock import Lock, is_held

FOLDER = "in_use"
TURN = "turn"


class Uses:
    """The artifacts that this process uses: lines `KIND/KEY` of a file whose lock it holds as long as it lives.

    Where the folder cannot be written nothing is stated, since nothing can be removed there either.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stated: set[str] = set()
        self._lock: Lock | None = None

    def state(self, name: str) -> None:
        """Say that an artifact is used from now on; to be said before it is looked for."""
        if name in self._stated:
            return
        with suppress(PermissionError), turn(self._root, shared=True):
            if self._lock is None:
                self._lock = self._begin()
            self._lock.write(f"{name}\n")
        self._stated.add(name)

    def _begin(self) -> Lock:
        handle, path = tempfile.mkstemp(dir=self._root / FOLDER, prefix=f"{socket.gethostname()}-{os.getpid()}-")
        os.close(handle)
        lock = Lock(Path(path))
        lock.acquire()
        weakref.finalize(self, _end, lock, os.getpid())
        return lock


def _end(lock: Lock, pid: int) -> None:
    if os.getpid() == pid:  # a forked worker uses what its parent uses
        with suppress(OSError):
            lock.path.unlink()
    lock.release()


@contextmanager
def turn(root: Path, shared: bool = False) -> Iterator[None]:
    """Keep what is used (`shared`) apart from what is removed for a block: a removal waits for all others."""
    lock = Lock(root / FOLDER / TURN)
    lock.wait(shared)
    try:
        yield
    finally:
        lock.release()


def in_use(root: Path) -> set[str]:
    """Return the artifacts that live processes use, forgetting dead ones; to be asked in a `turn` of one's own."""
    found: set[str] = set()
    for path in (root / FOLDER).glob("*"):
        if path.name == TURN or path.is_symlink() or not path.is_file():
            continue
        if is_held(path):
            found.update(path.read_text(encoding="utf-8", errors="replace").split())
        else:
            path.unlink(missing_ok=True)
    return found
