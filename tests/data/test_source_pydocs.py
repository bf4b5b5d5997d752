import hashlib
import os
import subprocess
import sys
import warnings
from collections import Counter

import pytest

from distilkit.data.collection import open_collection
from distilkit.data.sources import PydocsSource, docstrings
from distilkit.data.sources.docstrings import Docstring, UnfitError, document, normalised, query_and_body
from distilkit.errors import UserError


@pytest.fixture(scope="module")
def pydocs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pydocs")
    PydocsSource().write(folder)
    return open_collection(folder)


def rows(texts):
    return {id: text for ids, contents in texts.batches(1000) for id, text in zip(ids, contents, strict=True)}


def test_the_counts_are_recorded_and_add_up(pydocs):
    documents = pydocs.info["documents"]
    assert documents["stdlib"] > 1000
    assert documents["numpy"] > 500
    assert documents["scipy"] > 1000
    assert sum(documents.values()) == len(pydocs.passages) == len(pydocs.queries)
    assert set(pydocs.info["dropped"]) >= {"private", "query too short", "body too short", "duplicate query"}
    assert pydocs.info["versions"] == PydocsSource().key()["versions"]


def test_no_document_contains_its_query(pydocs):
    passages, queries = rows(pydocs.passages), rows(pydocs.queries)
    for split in pydocs.splits:
        for query, judged in pydocs.qrels(split).items():
            (relevant,) = judged
            assert queries[query] not in passages[relevant]
            assert normalised(queries[query]) not in normalised(passages[relevant])


def test_the_splits_follow_the_hash_of_the_query(pydocs):
    queries = rows(pydocs.queries)
    by_hash = sorted(queries, key=lambda id: hashlib.sha1(("pydocs-2:" + queries[id]).encode()).hexdigest())
    assert pydocs.splits == ("train", "dev", "test")
    assert set(pydocs.qrels("test")) == set(by_hash[:800])
    assert set(pydocs.qrels("dev")) == set(by_hash[800:1000])
    assert set(pydocs.qrels("train")) == set(by_hash[1000:])


def test_queries_and_bodies_keep_to_their_lengths(pydocs):
    assert all(4 <= len(query.split()) <= 30 for query in rows(pydocs.queries).values())
    assert all(len(text.split()) > 20 for text in rows(pydocs.passages).values())
    assert len(set(map(normalised, rows(pydocs.queries).values()))) == len(pydocs.queries)


def test_building_imports_nothing_and_is_the_same_in_another_process(pydocs, tmp_path):
    program = f"""
import sys
from pathlib import Path
from distilkit.data.sources import PydocsSource
from distilkit.data.collection import open_collection
before = set(sys.modules)
PydocsSource().write(Path({str(tmp_path)!r}))
assert not {{name.split(".")[0] for name in set(sys.modules) - before}} & {{"scipy", "this", "antigravity", "tkinter"}}
assert "scipy" not in sys.modules and "numpy.polynomial" not in sys.modules
print(open_collection(Path({str(tmp_path)!r})).fingerprint)
"""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert output.strip() == pydocs.fingerprint


def test_listing_the_sources_loads_nothing_heavy():
    program = "import sys, distilkit.data.sources; print({'pyarrow', 'numpy', 'bm25s', 'torch'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


BODY = "It has a body. " + "word " * 20


def cut(text):
    return query_and_body(Docstring("module.name", "()", text))


def test_the_query_is_the_first_sentence_of_the_first_paragraph():
    assert cut(f"Return a thing,\nfor\n  example e.g. this. {BODY}")[0] == "Return a thing, for example e.g. this."
    query, body = cut(f"A summary without a stop\n\n{BODY}\n\nNotes\n-----\n``code``")
    assert query == "A summary without a stop"
    assert body == ["It", "has", "a", "body.", *["word"] * 20, "Notes", "code"]


def test_sentences_that_repeat_the_query_are_taken_out_of_the_body():
    body = cut(f"Return the sum now. {BODY}\n\nThat is: *return the*  sum, now! Return the sum now.")[1]
    assert body == ["It", "has", "a", "body.", *["word"] * 20]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"Too short this. {BODY}", "query too short"),
        (f"{'word ' * 31}. {BODY}", "query too long"),
        ("A query of five words. Short body.", "body too short"),
        ("", "query too short"),
    ],
)
def test_unfit_docstrings_say_why(text, reason):
    with pytest.raises(UnfitError, match=reason):
        cut(text)


def test_a_query_that_lies_across_sentences_is_found_in_the_document():
    with pytest.raises(UnfitError, match="query in document"):
        document(Docstring("a.b", "()", ""), "Give. this back", ["Please", "give", "this.", "Back"])
    assert document(Docstring("a._b.c", "(x)", ""), "Give this back", ["Body"] * 50) == "a.c(x) " + " ".join(
        ["Body"] * 35
    )


SOURCE = '''
"""Module."""
class Public(Base):
    """Class."""
    def __init__(self, size, *, deep=False): ...
    def method(self, a, /, b=1, *rest, c, **more):
        """Method."""
        def inner():
            """Not public."""
    def _hidden(self):
        """Private."""
    @classmethod
    def make(cls):
        """Make."""
class _Private:
    """Private."""
    def method(self):
        """Inside a private class."""
try:
    import nowhere
except ImportError:
    async def fallback(*, key):
        """Fallback."""
"\\d"
'''


def test_public_docstrings_are_found_without_importing(tmp_path, monkeypatch):
    package = tmp_path / "made_up"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Package."""\nraise RuntimeError("imported")\n')
    (package / "_inner.py").write_text(SOURCE)
    (package / "broken.py").write_text("def (:\n")
    for name in ("test_x.py", "tests/__init__.py"):
        (package / name).write_text('"""Not read."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    dropped = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(docstrings.docstrings("made_up", dropped))
    assert found == [
        ("made_up", "", "Package."),
        ("made_up._inner", "", "Module."),
        ("made_up._inner.Public", "(size, deep)", "Class."),
        ("made_up._inner.Public.method", "(a, b, *rest, c, **more)", "Method."),
        ("made_up._inner.Public.make", "()", "Make."),
        ("made_up._inner.fallback", "(key)", "Fallback."),
    ]
    assert dropped == {"private": 3}
    assert "made_up" not in sys.modules


def test_a_package_without_sources_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(docstrings.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(UserError, match="has no Python sources; expected those of stdlib, for the built-in collection"):
        list(docstrings.docstrings("stdlib", Counter()))
    with pytest.raises(UserError, match="the package no_such_package is not installed"):
        list(docstrings.docstrings("no_such_package", Counter()))
