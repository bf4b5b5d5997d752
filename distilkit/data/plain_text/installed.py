"""The documentation of all installed packages as plain text: docstrings, read and never imported, and their pages.

What belongs to the built-in collection (the standard library, numpy, scipy) is left out as a whole, and of the rest
each text that says a query of the collection at hand: packages carry copies of each other's functions.
"""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from distilkit.data.sources.docstrings import RULE, in_file, normalised, sentences
from distilkit.data.sources.pydocs import PACKAGES
from distilkit.errors import UserError
from distilkit.untrusted import is_unicode

VERSION = 1
"""Raised when the rules change."""
SKIPPED = {"test", "tests", "testing", "__pycache__", "node_modules", "distilkit", "distilkit_tui", *PACKAGES}
SITES = ("site-packages", "dist-packages")
PAGES = (".md", ".rst", "METADATA")
LEGAL = ("licen", "copying", "notice", "authors", "contributors")
MOST_FILES, MOST_BYTES = 100_000, 1 << 20
"""A file of more bytes is data or was generated; of more files those that come first by the hash of their names."""
LEAST_WORDS = 8


def installed_files() -> list[tuple[str, Path]]:
    """Return the files that are read, each with its name below the folder of packages, in an order of its own.

    The order is that of hashes of the names, so that the first texts are of all packages. Links are not followed.
    """
    found: dict[str, Path] = {}
    for site in (Path(one) for one in sys.path if Path(one).name in SITES):
        for folder, below, names in os.walk(site):
            below[:] = sorted(name for name in below if name not in SKIPPED and not _of_skipped(name))
            for name in names:
                path = Path(folder) / name
                if _is_read(path) and not path.is_symlink():
                    found.setdefault(path.relative_to(site).as_posix(), path)
    return sorted(found.items(), key=lambda one: _hash(os.fsencode(one[0])))[:MOST_FILES]


@cache
def installed_fingerprint() -> str:
    """Return a hash of the names and contents of the files that are read; computed once a process."""
    digest = hashlib.sha256()
    for name, path in installed_files():
        digest.update(_hash(os.fsencode(name)) + _hash(_bytes(path)))
    return digest.hexdigest()


def installed_documents(queries: Iterable[str]) -> Iterator[str]:
    """Yield each different text once, blanks made single, but those that say one of some queries as a sentence.

    Raises UserError where nothing is installed that has any.
    """
    asked, seen = {normalised(query) for query in queries}, set[bytes]()
    for name, path in installed_files():
        for text in _texts(name, path):
            plain = normalised(text)
            mark = _hash(plain.encode())
            if mark in seen or len(plain.split()) < LEAST_WORDS or not is_unicode(text):
                continue
            seen.add(mark)
            if asked.isdisjoint(normalised(one) for one in sentences(text)):
                yield " ".join(RULE.sub("", text).replace("`", "").split())
    if not seen:
        raise UserError(
            "[general] text = 'installed_docs': no package is installed beside those of the built-in collection; "
            "expected some, or another text"
        )


def _texts(name: str, path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        module = name.removesuffix(".py").replace("/", ".")
        yield from (docstring.text for docstring in in_file(path, module, Counter()))
        return
    text = _bytes(path).decode("utf-8", errors="replace")
    if path.name == "METADATA":
        text = text.partition("\n\n")[2]  # below the headers is the page that the package index shows
    yield from (part for part in text.split("\n#") if part.strip())


def _is_read(path: Path) -> bool:
    if path.suffix == ".py":
        return not path.name.startswith("test_")
    return path.name.endswith(PAGES) and not path.name.lower().startswith(LEGAL)


def _of_skipped(folder: str) -> bool:
    """Tell whether a folder is that of the metadata of a package that is not read."""
    package = folder.partition("-")[0].lower()
    return folder.endswith(".dist-info") and package in SKIPPED


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError:
        return b""


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
