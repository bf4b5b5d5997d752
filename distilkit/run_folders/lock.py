"""A lock that dies with its process: POSIX record locks, which forked workers do not inherit."""

import fcntl
import os
from pathlib import Path

from distilkit.files import make_folder


class Lock:
    """Holds a file's lock from `acquire` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether it was free."""
        return self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def wait(self, shared: bool = False) -> None:
        """Take the lock as soon as it is free; with `shared`, beside others that share it."""
        while not self._take(fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            pass

    def _take(self, how: int) -> bool:
        make_folder(self.path.parent)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.lockf(file, how)
            # Another one may have removed the file before it gave the lock back: then this is the lock of nothing.
            taken = os.path.samestat(os.fstat(file), os.stat(self.path))
        except (BlockingIOError, PermissionError, FileNotFoundError):
            taken = False
        except BaseException:
            os.close(file)
            raise
        if taken:
            self._file = file
        else:
            os.close(file)
        return taken

    def write(self, text: str) -> None:
        """Write on in the file of a lock that is held; closing another handle of it would give the lock back."""
        assert self._file is not None
        os.write(self._file, text.encode())

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_held(path: Path) -> bool:
    """Return whether another process holds a file's lock; never ask about a lock of one's own."""
    if not path.exists():
        return False
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(file)
