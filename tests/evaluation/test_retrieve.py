"""Exact search finds what scoring every pair finds, however the documents are cut, kept and interrupted."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import DOCUMENT_LENGTH, QUERY_LENGTH, save_tiny

from distilkit.evaluation import index as module
from distilkit.evaluation.search import Top, best
from distilkit.evaluation.trec import read_run
from distilkit.models.encoded import Encoded

Cli = Callable[..., Any]
Brute = dict[str, list[tuple[str, float]]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("searchers")
    for architecture in ("bert_dot", "colbert", "prettr"):
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    return folder


@pytest.fixture(scope="module")
def brute(models: Path, tiny_beir: Path) -> dict[str, Brute]:
    """Return every test query's documents by ranker, in the policy's order, from the scores of pairs one by one."""
    from distilkit.models.batch import SideBatch, TokenBatch
    from distilkit.models.load import load_ranker, load_tokenizer

    rows = {
        name: {row["_id"]: row["text"] for row in map(json.loads, (tiny_beir / name).read_text().splitlines())}
        for name in ("queries.jsonl", "corpus.jsonl")
    }
    found: dict[str, Brute] = {}
    for architecture in ("bert_dot", "colbert"):
        ranker, tokenizer = load_ranker(models / architecture), load_tokenizer(models / architecture)

        def batch(text: str, length: int, masks: int, tokenizer: Any = tokenizer) -> TokenBatch:
            ids = tokenizer(text, truncation=True, max_length=length)["input_ids"]
            row = torch.tensor([[*ids[:-1], *[tokenizer.mask_token_id] * masks, ids[-1]]])
            return TokenBatch(row, torch.ones_like(row), torch.zeros_like(row))

        masks = 2 if architecture == "colbert" else 0
        found[architecture] = {}
        for query in sorted(f"q{number}" for number in range(26, 34)):
            left = batch(rows["queries.jsonl"][query], QUERY_LENGTH, masks)
            with torch.no_grad():
                scores = {
                    document: float(ranker.score(SideBatch(left, batch(text, DOCUMENT_LENGTH, 0))))  # type: ignore[arg-type]
                    for document, text in rows["corpus.jsonl"].items()
                }
            found[architecture][query] = sorted(scores.items(), key=lambda one: (one[1], one[0]), reverse=True)
    return found


@pytest.fixture
def retrieve(cli: Cli, models: Path, tiny_beir: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that retrieves into a file and returns how it ended."""

    def call(architecture: str, *options: object, output: str = "run.trec") -> Any:
        fixed = ("--data", tiny_beir, "--output", tmp_path / output, "--runs-dir", tmp_path / "runs", "--bf16", "false")
        return cli("retrieve", models / architecture, *fixed, *options)

    return call


def assert_found(path: Path, expected: Brute, depth: int) -> None:
    run = read_run(path)
    assert list(run) == list(expected)
    for query, results in run.items():
        wanted = expected[query][:depth]
        np.testing.assert_allclose(
            [score for _, score in results], [score for _, score in wanted], atol=2e-5, rtol=1e-5
        )
        scores = dict(expected[query])
        for (document, _), (_, score) in zip(results, wanted, strict=True):
            assert scores[document] == pytest.approx(score, abs=2e-5, rel=1e-5)


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert"])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_search_equals_brute_force(
    architecture: str,
    block: int,
    retrieve: Cli,
    brute: dict[str, Brute],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    outcome = retrieve(architecture, "--depth", 9, "--batch-size", 3, "--json")
    assert outcome.code == 0, outcome.err
    assert_found(tmp_path / "run.trec", brute[architecture], 9)
    said = json.loads(outcome.out)
    assert (said["queries"], said["documents"], list(said["measures"])) == (8, 40, ["R@9", "RR@10", "nDCG@10"])


def test_a_depth_beyond_the_collection_finds_all_of_it(retrieve: Cli, brute: dict[str, Brute], tmp_path: Path) -> None:
    outcome = retrieve("bert_dot")
    assert outcome.code == 0, outcome.err
    assert outcome.out.split()[:3] == ["R@1000", "RR@10", "nDCG@10"]
    assert_found(tmp_path / "run.trec", brute["bert_dot"], 40)


def test_every_query(retrieve: Cli, tmp_path: Path) -> None:
    outcome = retrieve("bert_dot", "--split", "all", "--depth", 2)
    assert outcome.out.endswith("there are no judgements, so it was not measured\n"), outcome.err
    assert len(read_run(tmp_path / "run.trec")) == 34


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert"])
def test_an_index_is_kept_and_checked(
    architecture: str, retrieve: Cli, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 16)
    index = tmp_path / "index"
    assert retrieve(architecture, "--index", index).code == 0
    assert retrieve(architecture, output="without.trec").code == 0
    before = (tmp_path / "run.trec").read_bytes()
    assert (tmp_path / "without.trec").read_bytes() == before
    files = sorted(path.name for path in index.iterdir())
    assert files == [f"documents-{number:06}.safetensors" for number in range(3)] + ["manifest.json"]
    with monkeypatch.context() as patched:
        patched.setattr(module, "encode_rows", lambda *rest, **more: pytest.fail("a document is encoded again"))
        assert retrieve(architecture, "--index", index, "--depth", 1000).code == 0
    assert (tmp_path / "run.trec").read_bytes() == before
    for option, message in (("--fp16", "dtype is"), ("--document-length", "document_length is 16 there, and 12")):
        outcome = retrieve(architecture, "--index", index, option, *([12] if "length" in option else []))
        assert outcome.code == 2
        assert f"--index {index} was made with another model or collection: {message}" in outcome.err
    outcome = retrieve("colbert" if architecture == "bert_dot" else "bert_dot", "--index", index)
    assert "was made with another model or collection" in outcome.err
    assert str(tmp_path) not in (index / "manifest.json").read_text()


def test_what_a_kill_leaves_is_gone_on_with(
    retrieve: Cli, brute: dict[str, Brute], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 16)
    whole, calls = module.save_encoded, []

    def stop(*rest: Any) -> None:
        calls.append(rest)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        whole(*rest)

    with monkeypatch.context() as patched:
        patched.setattr(module, "save_encoded", stop)
        outcome = retrieve("bert_dot", "--index", tmp_path / "index")
    assert outcome.code == 130
    assert (
        outcome.err.splitlines()[-1] == "distilkit: stopped; the same command continues with the blocks kept in --index"
    )
    assert not (tmp_path / "run.trec").exists()
    left = sorted(path.name for path in (tmp_path / "index").iterdir())
    assert left == ["documents-000000.safetensors", "documents-000001.safetensors", "manifest.json"]
    calls.clear()
    monkeypatch.setattr(module, "save_encoded", lambda *rest: calls.append(rest) or whole(*rest))
    assert retrieve("bert_dot", "--index", tmp_path / "index").code == 0
    assert len(calls) == 1
    assert_found(tmp_path / "run.trec", brute["bert_dot"], 40)


def test_an_index_that_was_killed_while_it_began_goes_on(
    retrieve: Cli, brute: dict[str, Brute], tmp_path: Path
) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / ".manifest.json.x0y1z2a3").write_text("{")
    assert retrieve("bert_dot", "--index", tmp_path / "index").code == 0
    assert_found(tmp_path / "run.trec", brute["bert_dot"], 40)


def test_half_precision(retrieve: Cli, brute: dict[str, Brute], tmp_path: Path) -> None:
    assert retrieve("colbert", "--index", tmp_path / "index", "--fp16").code == 0
    assert retrieve("colbert", "--fp16", output="without.trec").code == 0
    assert (tmp_path / "without.trec").read_bytes() == (tmp_path / "run.trec").read_bytes()
    run = read_run(tmp_path / "run.trec")
    for query, results in brute["colbert"].items():
        found = dict(run[query])
        assert all(found[document] == pytest.approx(score, rel=5e-3, abs=5e-3) for document, score in results)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("prettr", (), "is a prettr, which cannot search a whole collection: a bert_dot or a colbert can"),
        ("bert_dot", ("--split", "tset"), "no judgements for split 'tset'"),
        ("bert_dot", ("--index", "{tmp}"), "exists, and is not an index of documents; choose a new folder"),
    ],
)
def test_wrong_input(architecture: str, options: tuple[str, ...], message: str, retrieve: Cli, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    outcome = retrieve(architecture, *(word.format(tmp=tmp_path) for word in options))
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "run.trec").exists()


def test_faiss_finds_the_same_or_is_asked_for(retrieve: Cli, brute: dict[str, Brute], tmp_path: Path) -> None:
    import importlib.util

    outcome = retrieve("bert_dot", "--faiss", "Flat", "--depth", 9)
    if importlib.util.find_spec("faiss") is None:
        assert outcome.code == 2
        assert "--faiss needs faiss, which is not installed: pip install 'distilkit[faiss]'" in outcome.err
        return
    assert outcome.code == 0, outcome.err
    assert_found(tmp_path / "run.trec", brute["bert_dot"], 9)
    assert "single vectors" in retrieve("colbert", "--faiss", "Flat").err
    assert "cannot make such an index" in retrieve("bert_dot", "--faiss", "Flut").err


@pytest.mark.parametrize("depth", [1, 3, 10, 30])
def test_ties_go_to_the_lower_place(depth: int) -> None:
    draw = np.random.default_rng(depth)
    scores, places = draw.integers(0, 4, (50, 20)).astype(np.float32), np.stack([draw.permutation(90)[:20]] * 50)
    found = best(torch.from_numpy(scores), torch.from_numpy(places), depth)
    wanted = np.stack([np.lexsort((places[row], -scores[row]))[:depth] for row in range(50)])
    np.testing.assert_array_equal(found.places, np.take_along_axis(places, wanted, 1))
    np.testing.assert_array_equal(found.scores, np.take_along_axis(scores, wanted, 1))
    parts = (slice(0, 10), slice(10, 20))
    halves = [Top(torch.from_numpy(scores[:, part]), torch.from_numpy(places[:, part])) for part in parts]
    joined = halves[1].joined(halves[0], depth)
    np.testing.assert_array_equal(joined.places, found.places)


def test_scores_that_are_not_finite_end_the_search() -> None:
    from distilkit.errors import RunFailed
    from distilkit.evaluation.search import search

    class Broken:
        def score_all(self, queries: Encoded, documents: Encoded) -> torch.Tensor:
            return torch.full((len(queries), len(documents)), torch.nan)

    one = Encoded(torch.ones(2, 3))
    with pytest.raises(RunFailed, match="4 of 4 scores are not finite"):
        search(Broken(), one, [(0, one)], 1, torch.device("cpu"))


def test_processes_share_what_they_found() -> None:
    from distilkit.evaluation.search import shared

    scores, places = torch.tensor([[5.0, 4.0, 4.0, 3.0, 1.0, 4.0]]), torch.arange(6)[None]
    parts = [Top(scores[:, part], places[:, part]) for part in (slice(3, 6), slice(0, 3), slice(0, 0))]

    class Three:
        def gather(self, mine: list[Top]) -> list[Top]:
            return parts

    found = shared(parts[0], 3, Three())  # type: ignore[arg-type]
    assert found.places.tolist() == [[0, 1, 2]]
    assert found.scores.tolist() == [[5.0, 4.0, 4.0]]


def test_blocks_full_of_ties_are_searched_in_order() -> None:
    from distilkit.evaluation.search import search

    draw = np.random.default_rng(5)
    scores = torch.from_numpy(draw.integers(0, 6, (30, 60)).astype(np.float32))

    class Told:
        """Scores by place: a document's vector is its number."""

        def score_all(self, queries: Encoded, documents: Encoded) -> torch.Tensor:
            return scores[:, documents.states[:, 0].long()]

    blocks = [(at, Encoded(torch.arange(at, at + 6.0)[:, None])) for at in range(0, 60, 6)]
    found = search(Told(), Encoded(torch.zeros(30, 1)), blocks, 8, torch.device("cpu"))
    np.testing.assert_array_equal(found.places, (-scores).argsort(dim=1, stable=True)[:, :8])
