"""The manifest of a folder: what its files were made of, and their sizes and hashes. It is written last of all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

from distilkit.files import content_key, read_json, write_json

MANIFEST = "manifest.json"
BLOCK = 1 << 22


def write_manifest(folder: Path, record: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Write a record and the list of a folder's files (all of them, or some by name), which makes it complete."""
    if names is None:
        files = (path for path in folder.rglob("*") if path.is_file())
        names = sorted(path.relative_to(folder).as_posix() for path in files)
    listed = {name: _listed(folder / name) for name in names if name != MANIFEST}
    write_json(folder / MANIFEST, {**record, "files": listed})


def write_made_of(folder: Path, made_of: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Write the manifest of files that are known by what they were made of."""
    write_manifest(folder, {"key": content_key(made_of), "made_of": made_of}, names)


def is_made_of(folder: Path, made_of: dict[str, Any]) -> bool:
    """Return whether a folder is complete and was made of this."""
    return read_manifest(folder).get("key") == content_key(made_of)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder, empty where there is none or it is damaged."""
    try:
        found = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fast_hash(path: Path) -> str:
    """Return the 128 bits of XXH3 of a file's bytes, which tell damage, not intent, as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _listed(path: Path) -> list[int | str]:
    return [path.stat().st_size, fast_hash(path)]
