"""Files: read and hashed, and written so that none is ever half written, whatever ends the process or the power.

What is written takes its name after its content is on the disk: write, sync, rename, sync the folder.
"""

import errno
import glob
import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

from distilkit.untrusted import parse_json, read_text

T = TypeVar("T")


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value (keys sorted, no blanks, NaN refused), fit for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(value: object) -> str:
    """Return the sha256, as 64 hexadecimal digits, of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_hashes: dict[tuple[Path, int, int], str] = {}


def sha256_once(path: Path) -> str:
    """Return the sha256 of a file's bytes, hashed once per process for as long as the file stays as it is."""
    status = path.stat()
    key = (path.resolve(), status.st_size, status.st_mtime_ns)
    if key not in _hashes:
        _hashes[key] = sha256_file(path)
    return _hashes[key]


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file for reading, unpacking `.gz` on the way."""
    if path.suffix == ".gz":
        with gzip.GzipFile(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
            yield file
    else:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield file


@contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the name when the block ends well, else it is removed.

    After lost power the file is whole or not there; one that is not `durable` may be cut or empty then.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what we write is as readable as any other file of the user's.
        temporary.chmod(0o666 & ~_umask())
        _name(temporary, path, durable)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the name when the block ends well, else it is removed.

    After lost power the folder is whole or not there.
    """
    make_folder(path.parent)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    _unfinished.add(temporary)
    try:
        yield temporary
        _unfinished.discard(temporary)
        temporary.chmod(0o777 & ~_umask())
        remove_folder(path)
        _name(temporary, path)
    finally:
        _unfinished.discard(temporary)
        shutil.rmtree(temporary, ignore_errors=True)


def of_passing_folder(name: str, make: Callable[[Path], T]) -> T:
    """Return what is made of a new temporary folder, which is removed with it, or at once where making it fails."""
    folder = Path(tempfile.mkdtemp(prefix=f"distilkit-{name}-"))
    try:
        made = make(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    return made


def link_weights(source: str, target: str) -> None:
    """Copy a file, or share it on disk where it holds weights, nobody edits it, and the file system can."""
    if source.endswith((".safetensors", ".bin")):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there, in an order that never leaves a part of it under its name."""
    if not path.exists():
        return
    passing = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    path.replace(passing)
    _sync_unless_unfinished(path.parent)
    shutil.rmtree(passing)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that it is in nobody's way; return its new path, `NAME.damaged`."""
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir():
        remove_folder(aside)
    path.replace(aside)
    _sync_unless_unfinished(path.parent)
    return aside


def remove_leftovers(path: Path) -> None:
    """Remove what a killed process left of writing or removing a path; nobody else may be at it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def expanded(name: str) -> Path:
    """Return the path of a name in which `~` stands for a home; one of a user who is not there stays as it is."""
    return Path(os.path.expanduser(name))


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        _sync_unless_unfinished(folder.parent)


def sync(path: Path) -> None:
    """Write a file's content, or the names in a folder, through to the disk."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        # Some file systems write names through at once and refuse to be asked; some folders cannot be read.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            raise


_unfinished: set[Path] = set()
"""Temporary folders, which are written through when they take their name, with all that is in them."""


def _name(temporary: Path, path: Path, durable: bool = True) -> None:
    if not durable or not _unfinished.isdisjoint(path.parents):
        temporary.replace(path)
        return
    for folder, _, names in os.walk(temporary):
        for name in (*names, ""):
            sync(Path(folder, name))
    if not temporary.is_dir():
        sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def _sync_unless_unfinished(folder: Path) -> None:
    if _unfinished.isdisjoint((folder, *folder.parents)):
        sync(folder)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Replace a file's text in one step."""
    with atomic_path(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object, durable: bool = True) -> None:
    """Replace a file with a value's indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", durable)


def read_json(path: Path, links: bool = True) -> Any:
    """Return the value of a JSON file; raises OSError or ValueError for what is none, or is beyond what is read."""
    return parse_json(read_text(path, links=links))


def read_object_or_empty(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, an empty one where there is none, or none that can be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
