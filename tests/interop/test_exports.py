"""Exports score in the libraries that they are for as they do here, to 1e-5, on texts longer than the limit too.

They run with whichever of these libraries are installed: `make interop` adds the versions that PyLate is pinned to.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peers import write_bert
from tiny_rankers import save_tiny

from distilkit.models.save import save_ranker
from distilkit.scoring import peers
from distilkit.scoring.rankers import OpenRanker, open_ranker

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]
Make = Callable[..., OpenRanker]
OLD = int(version("sentence-transformers").partition(".")[0]) < 6
# Those of the tiny rankers, but for the forms that other libraries compute.
OPTIONS: dict[str, dict[str, Any]] = {"bert_dot-plain": {}, "colbert": {"form": "stanford", "dim": 8}}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that saves a ranker of an architecture, so wide that scores differ, and opens it."""

    def made(architecture: str) -> OpenRanker:
        base, kind = write_bert(tmp_path / "base", head=True), architecture.partition("-")[0]
        save_tiny(tmp_path / kind, base, kind, OPTIONS.get(architecture))
        return open_ranker(str(tmp_path / kind))

    return made


@pytest.mark.parametrize(
    ("architecture", "format", "package"),
    [
        ("bert_cat", "cross-encoder", "sentence_transformers"),
        ("bert_cat", "transformers", "transformers"),
        ("bert_dot-plain", "sentence-transformers", "sentence_transformers"),
        ("bert_dot", "sentence-transformers", "sentence_transformers"),
        ("bert_dot-plain", "transformers", "transformers"),
        ("colbert", "pylate", "pylate"),
        ("colbert", "sentence-transformers", "sentence_transformers"),
    ],
)
def test_scores_are_those_of_the_library(architecture: str, format: str, package: str, make: Make) -> None:
    library = pytest.importorskip(package)
    if architecture == "colbert" and package == "sentence_transformers" and not hasattr(library, "MultiVectorEncoder"):
        pytest.skip("this version of sentence-transformers has no multi-vector class")
    opened = make(architecture)
    found = peers.check_export(opened.folder, opened, format)
    if package == "sentence_transformers" and architecture.startswith("bert_dot") and OLD:
        assert "version 6" in found.why_not
        save_ranker(opened.ranker, opened.tokenizer, opened.folder, query_length=16, document_length=16)
        opened = open_ranker(str(opened.folder))
        found = peers.check_export(opened.folder, opened, format)
    assert found.library.startswith(package.replace("_", "-"))
    assert found.difference is not None
    queries, documents = peers.texts(opened)
    assert len(opened.tokenizer(queries[-1])["input_ids"]) > opened.stored_length, "no text is cut"
    scores = peers.our_scores(opened, queries, documents)
    assert len(np.unique(scores.round(3))) > len(scores) // 2, "scores are so alike that nothing is compared"


def test_stanfords_layout_alone_scores_alike(make: Make) -> None:
    library = pytest.importorskip("sentence_transformers")
    if not hasattr(library, "MultiVectorEncoder"):
        pytest.skip("this version of sentence-transformers has no multi-vector class")
    opened = make("colbert")
    queries, documents = peers.texts(opened)
    ours = peers.our_scores(opened, queries, documents)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (opened.folder / name).unlink()
    with torch.no_grad():
        theirs = peers.multi_vector(opened.folder, opened, queries, documents)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    again = open_ranker(str(opened.folder))
    np.testing.assert_allclose(peers.our_scores(again, queries, documents), ours, rtol=1e-6, atol=1e-6)


def test_rerankers_ranks_with_a_cross_encoder(make: Make) -> None:
    rerankers = pytest.importorskip("rerankers")
    opened = make("bert_cat")
    _, documents = peers.texts(opened)
    model = rerankers.Reranker(str(opened.folder), model_type="cross-encoder", device="cpu", dtype=torch.float32)
    query = peers.QUERIES[0]
    found = {one.doc_id: one.score for one in model.rank(query=query, docs=documents).results}
    ours = peers.our_scores(opened, [query], documents)
    np.testing.assert_allclose([found[at] for at in range(len(documents))], ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["prettr", "tk"])
def test_what_loads_here_alone_scores_alike(architecture: str, make: Make) -> None:
    import distilkit

    opened = make(architecture)
    queries, documents = peers.texts(opened)
    found = distilkit.load(opened.folder).score([(query, one) for query in queries for one in documents])
    np.testing.assert_allclose(found, peers.our_scores(opened, queries, documents), rtol=1e-5, atol=1e-5)
    assert peers.check_export(opened.folder, opened, "transformers").difference is None
