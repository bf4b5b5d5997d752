"""The documentation of installed packages as text: told by content, each text once, nothing of what is measured."""

import sys
from pathlib import Path

import pytest

from distilkit.data.plain_text import installed, read_texts, text_identity
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError

LONG = "Return the sum of all the numbers that are in a list."


def module(*docstrings: str) -> str:
    """Return a module of functions with these docstrings."""
    return "".join(f"def f{number}():\n    {text!r}\n" for number, text in enumerate(docstrings))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "one" / "site-packages"
    files = {
        "numbers_of/sums.py": module(LONG, "Too short.", "Count how often each of the words is in a text of words."),
        "numbers_of/copies.py": module(f"{LONG}\n"),
        "numbers_of/tests/test_sums.py": module("This text of a test is long enough to be read by somebody."),
        "numbers_of/broken.py": "def f(:\n",
        "numbers_of/guide.md": "# Guide\nHow numbers are added up, with care, one after the other.\n",
        "numbers_of/LICENSE.md": "You may do with these numbers whatever you want to do with them.\n",
        "numbers_of-1.0.dist-info/METADATA": "Name: numbers-of\n\nA page about numbers, and how they are added up.",
        "numpy/sums.py": module("This text belongs to the collection that is built in, and stays out."),
        "numpy-2.0.dist-info/METADATA": "Name: numpy\n\nThis page belongs to the collection that is built in too.",
        "[red]odd[/red].py": module("A module of an odd name says something that is long enough."),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "strange.py").write_text(
        'def f():\n    "Half a surrogate pair \\ud800 makes no text that could be kept."\n'
    )
    use(folder, monkeypatch)
    return folder


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(folder)])
    installed.installed_fingerprint.cache_clear()


@pytest.fixture(autouse=True)
def fresh() -> object:
    yield
    installed.installed_fingerprint.cache_clear()


def test_each_text_is_read_once_and_tests_licences_and_the_built_in_collection_are_not(site: Path) -> None:
    found = list(read_texts("installed_docs"))
    assert sorted(found) == [
        "# Guide How numbers are added up, with care, one after the other.",
        "A module of an odd name says something that is long enough.",
        "A page about numbers, and how they are added up.",
        "Count how often each of the words is in a text of words.",
        LONG,
    ]
    assert found == list(read_texts("installed_docs"))


def test_a_text_that_says_a_query_is_left_out(site: Path, tmp_path: Path) -> None:
    write_texts(tmp_path / "queries.arrow", [("q", "return the sum of all the numbers that are in a list")])
    queries = Texts.open(tmp_path / "queries.arrow")
    assert LONG not in list(read_texts("installed_docs", queries=queries))
    assert len(list(read_texts("installed_docs", queries=queries))) == 4


def test_it_is_told_by_content_and_not_by_its_place(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = text_identity("installed_docs", fingerprint="of the collection")
    moved = tmp_path / "two" / "site-packages"
    moved.parent.mkdir()
    site.rename(moved)
    use(moved, monkeypatch)
    assert text_identity("installed_docs", fingerprint="of the collection") == before
    assert text_identity("installed_docs", fingerprint="of another one") != before
    (moved / "numbers_of/sums.py").write_text(module("Another text, which is as long as the one that was here before."))
    use(moved, monkeypatch)
    assert text_identity("installed_docs", fingerprint="of the collection") != before


def test_large_environments_are_read_to_a_limit(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = installed.installed_files()
    monkeypatch.setattr(installed, "MOST_FILES", 3)
    assert installed.installed_files() == everything[:3]
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match="no package is installed beside those of the built-in collection"):
        list(read_texts("installed_docs"))
