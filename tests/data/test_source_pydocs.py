import hashlib
import os
import subprocess
import sys
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from distilkit.data.collection import open_collection
from distilkit.data.near_duplicates import near_pairs
from distilkit.data.sources import PydocsSource, docstrings
from distilkit.data.sources.docstrings import Docstring, UnfitError, document, normalised, query_and_body
from distilkit.data.sources.pydocs import DocEntry, near_copies, split
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
    for name in pydocs.splits:
        for query, judged in pydocs.qrels(name).items():
            (relevant,) = judged
            assert queries[query] not in passages[relevant]
            assert normalised(queries[query]) not in normalised(passages[relevant])


def test_splits_have_their_sizes_and_follow_the_hash_of_a_query(pydocs):
    queries = rows(pydocs.queries)
    assert pydocs.splits == ("train", "dev", "test")
    splits = {name: set(pydocs.qrels(name)) for name in pydocs.splits}
    assert [len(splits["test"]), len(splits["dev"])] == [800, 200]
    assert sum(map(len, splits.values())) == len(queries)
    by_hash = sorted(queries, key=lambda id: hashlib.sha1(("pydocs-3:" + queries[id]).encode()).hexdigest())
    # Groups of near queries go by one of their hashes; few queries are in one, so few are not where theirs points.
    assert len(set(by_hash[:800]) & splits["test"]) > 720


@pytest.mark.slow
def test_no_query_is_nearly_equal_to_one_of_another_split_and_no_two_documents_are(pydocs):
    """By all pairs, where the collection itself is built without comparing them all."""
    queries, passages = rows(pydocs.queries), list(rows(pydocs.passages).values())
    split = {query: name for name in pydocs.splits for query in pydocs.qrels(name)}
    ids = list(queries)
    near = near_by_products([queries[id] for id in ids])
    assert near
    assert [(ids[a], ids[b]) for a, b in near if split[ids[a]] != split[ids[b]]] == []
    assert near_by_products(passages) == []
    assert pydocs.info["dropped"]["nearly equal document"] > 200


def near_by_products(texts):
    """Return the pairs of texts whose words have a Jaccard similarity of at least .8, by a product of matrices."""
    words = [set(normalised(text).split()) for text in texts]
    columns = {word: place for place, word in enumerate(sorted(set().union(*words)))}
    table = np.zeros((len(texts), len(columns)), np.float32)
    for row, its in enumerate(words):
        table[row, [columns[word] for word in its]] = 1
    sizes = table.sum(1)
    common = table @ table.T
    found = np.argwhere(np.triu(5 * common >= 4 * (sizes[:, None] + sizes - common), 1))
    return [(int(a), int(b)) for a, b in found]


def test_near_queries_share_a_split_and_of_near_documents_the_first_is_kept():
    def entry(name, query, text):
        return DocEntry(name, text, query, text)

    near = [entry("a", "The mean of the distribution.", "one"), entry("b", "Mean of the distribution", "two")]
    chained = [entry("c", "one two three four five", "three"), entry("d", "one two three four six five", "four")]
    chained += [entry("e", "two three four six five", "five")]
    others = [entry(f"other {i}", f"query number {i} of a test {i + 7}", str(i)) for i in range(2000)]
    splits = split([*near, *chained, *others])
    found = {name: {passage for judged in qrels.values() for passage in judged} for name, qrels in splits.items()}
    assert [len(found["test"]), len(found["dev"]), len(found["train"])] == [800, 200, 1005]
    assert sum({"a", "b"} <= passages for passages in found.values()) == 1
    assert sum({"c", "d", "e"} <= passages for passages in found.values()) == 1
    texts = ["a b c d", "a b c d e", "b c d e f", "z", "a b c d e"]
    # The third is nearly equal to the second alone, which is left out.
    assert near_copies([entry(str(i), "", text) for i, text in enumerate(texts)]) == {1, 4}


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_near_pairs_are_all_pairs_of_that_similarity(threshold):
    rng = np.random.default_rng(3)
    texts = [set(rng.choice(list("abcdefghijkl"), rng.integers(0, 9))) for _ in range(300)]
    expected = {
        (later, earlier)
        for later in range(len(texts))
        for earlier in range(later)
        if (together := texts[later] | texts[earlier])
        and Fraction(len(texts[later] & texts[earlier]), len(together)) >= Fraction(str(threshold))
    }
    assert len(expected) > 20
    assert set(near_pairs(texts, threshold)) == expected


def test_queries_and_bodies_keep_to_their_lengths(pydocs):
    assert all(4 <= len(query.split()) <= 30 for query in rows(pydocs.queries).values())
    assert all(len(text.split()) > 20 for text in rows(pydocs.passages).values())
    assert len(set(map(normalised, rows(pydocs.queries).values()))) == len(pydocs.queries)


@pytest.mark.slow
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
