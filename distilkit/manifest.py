"""The manifest of a folder: what its files were made of, and their sizes and hashes. It is written last of all."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import xxhash

from distilkit.errors import UserError
from distilkit.files import content_key, read_json, read_object_or_empty, write_json
from distilkit.untrusted import open_regular

MANIFEST = "manifest.json"
SEAL = "hash"
BLOCK = 1 << 22


def write_manifest(
    folder: Path, record: dict[str, Any], names: Iterable[str] | None = None, without: Collection[str] = ()
) -> None:
    """Write a record and the list of a folder's files (all of them, or some by name), which makes it complete.

    Files of the names `without` may change: they are not listed.
    """
    if names is None:
        files = (path for path in folder.rglob("*") if path.is_file())
        names = sorted(path.relative_to(folder).as_posix() for path in files)
    listed = {
        name: [(folder / name).stat().st_size, fast_hash(folder / name)]
        for name in names
        if name != MANIFEST and name not in without
    }
    write_json(folder / MANIFEST, sealed({**record, "files": listed}))


def write_made_of(
    folder: Path, made_of: dict[str, Any], names: Iterable[str] | None = None, without: Collection[str] = ()
) -> None:
    """Write the manifest of files that are known by what they were made of; see `write_manifest`."""
    write_manifest(folder, {"key": content_key(made_of), "made_of": made_of}, names, without)


def is_made_of(folder: Path, made_of: dict[str, Any]) -> bool:
    """Return whether a folder was made of this."""
    return read_manifest(folder).get("key") == content_key(made_of)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder, empty where there is none or it is damaged."""
    return read_object_or_empty(folder / MANIFEST)


def damage(folder: Path, content: bool = True) -> str | None:
    """Return in words what is wrong with a folder's files, None where they are as its manifest lists them.

    Without `content` their sizes alone are looked at. A manifest of an earlier version lists nothing.
    """
    try:
        manifest = read_json(folder / MANIFEST)
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError):
        return f"{MANIFEST} cannot be read"
    if not isinstance(manifest, dict) or (("files" in manifest or SEAL in manifest) and not is_sealed(manifest)):
        return f"{MANIFEST} has changed"
    files = manifest.get("files", {})
    if not isinstance(files, dict):
        return f"{MANIFEST} has changed"
    found = (_damage(folder, name, listed, content) for name, listed in files.items())
    return next((one for one in found if one is not None), None)


def _damage(folder: Path, name: str, listed: object, content: bool) -> str | None:
    path = folder / name
    size, content_hash = listed if isinstance(listed, list) and len(listed) == 2 else (None, None)
    try:
        if ".." in path.parts or not path.is_relative_to(folder):
            return f"{name!r} is not a file of it"
        if (now := path.stat().st_size) != size:
            return f"{name} has {now} bytes, not {size}"
        if content and _hash_once(path) != content_hash:
            return f"the content of {name} has changed"
    except FileNotFoundError:
        return f"{name} is missing"
    except (OSError, ValueError) as error:
        return f"{name} cannot be read ({error})"
    return None


REMEDY = "run its recipe again with --resume auto, which makes it anew"


def refuse_damage(folder: Path) -> None:
    """Raise UserError for a folder of a run whose manifest tells that it is damaged; without one nothing is told."""
    if (folder / MANIFEST).is_file() and (found := damage(folder)) is not None:
        raise UserError(f"{folder} is damaged: {found}; {REMEDY}")


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the hash of all that it says, which tells when a byte of its file changes."""
    return {**record, SEAL: _hash(record)}


def is_sealed(record: dict[str, Any]) -> bool:
    """Return whether an object is as `sealed` returned it."""
    return record.get(SEAL) == _hash({name: value for name, value in record.items() if name != SEAL})


def fast_hash(path: Path) -> str:
    """Return the 128 bits of XXH3 of a file's bytes, which tell damage, not intent, as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


_hashes: dict[tuple[Path, int, int, int], str] = {}


def _hash_once(path: Path) -> str:
    """Return the hash of a file's bytes, read once per process for as long as the file stays as it is."""
    status = path.stat()
    key = path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _hashes:
        _hashes[key] = fast_hash(path)
    return _hashes[key]


def _hash(record: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(record))  # as it is read again
    return xxhash.xxh3_128_hexdigest(json.dumps(plain, sort_keys=True).encode())
