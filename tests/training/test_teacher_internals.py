"""A teacher's internals, computed once for all runs on the same pairs: stored, read, and the same student."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from settings_given import sets

from distilkit.data.internals import BlankInternals, InternalsStore, Layout, Taught
from distilkit.errors import RunFailed

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("internals") / "runs"


@pytest.fixture(scope="module")
def trained(cli: Cli, tiny_recipe: Path, runs: Path) -> Callable[..., Path]:
    """Return a function that runs the tiny recipe and returns the run's folder."""

    def finish(name: str, *options: str) -> Path:
        words = sets("twin.budget=none", *options)
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", name, *words)
        assert done.code == 0, done.err
        return runs / name

    return finish


def losses(run: Path) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event["values"] for event in events if event["kind"] == "train" and event["stage"] == "distil"]


def kept(runs: Path) -> list[Path]:
    return sorted((runs / ".artifacts/internals").glob("*/manifest.json"))


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-6), ("float16", 2e-3)])
def test_losses_are_those_of_a_teacher_in_every_step(trained: Any, runs: Path, dtype: str, close: float) -> None:
    online, cached = trained(f"online-{dtype}"), trained(dtype, f"teacher.internals={dtype}")
    both = list(zip(losses(online), losses(cached), strict=True))
    for theirs, ours in both:
        assert theirs.keys() == ours.keys()
        for name in ("loss", "attention", "hidden", "embedding", "soft", "hard"):
            assert ours[name] == pytest.approx(theirs[name], rel=close, abs=close)
    weights = [load_file(run / "model/model.safetensors") for run in (online, cached)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=max(close / 10, 1e-5), msg=name)


def test_systems_of_the_same_pairs_share_them(trained: Any, runs: Path) -> None:
    asked = "teacher.internals=float32", "train.max_steps=2"
    trained("first", *asked)
    before = len(kept(runs))
    trained("second", *asked, "strategy.temperature=3.0")
    trained("ranker", *asked, 'strategy={name = "ranker_distill"}')
    assert len(kept(runs)) == before
    trained("other-pairs", *asked, "seed=2")
    trained("other-layers", *asked, 'strategy={name = "ranker_distill", weights = {attention = 0.0}}')
    assert len(kept(runs)) == before + 2


def test_above_the_limit_the_teacher_runs_in_every_step(trained: Any, runs: Path, cli: Cli, tiny_recipe: Path) -> None:
    sets = ["--set", "teacher.internals=float32", "--set", "teacher.internals_limit=1e-6", "--set", "twin.budget=none"]
    done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", "small", "--dry-run", *sets)
    assert done.code == 0, done.err
    assert "distil: the teacher runs in every step: the internals of" in done.out
    assert "more than [teacher] internals_limit = 1e-06 GB" in done.out
    before = len(kept(runs))
    trained("small", "teacher.internals=float32", "teacher.internals_limit=1e-6")
    assert len(kept(runs)) == before


def test_a_plan_says_that_they_are_kept(runs: Path, cli: Cli, tiny_recipe: Path) -> None:
    done = cli(
        "run", tiny_recipe, "--runs-dir", runs, "--name", "plan", "--dry-run", "--set", "teacher.internals=float16"
    )
    assert done.code == 0, done.err
    assert "in float16, computed once for all runs that read them" in done.out


def filled(folder: Path, scale: float = 1.0) -> tuple[InternalsStore, Taught]:
    """Return a store of three examples of two, four and one tokens, and what was put into it, padded."""
    layout, lengths = Layout(2, 3, 1, 5), np.array([2, 4, 1])
    store = InternalsStore.create(folder, layout, np.array([7, (1 << 32) + 2, (5 << 32) + 1]), lengths, "float16")
    drawn, rng = Taught.blank(layout, lengths, "float32"), np.random.default_rng(0)
    for side in (*drawn.attentions, *drawn.states):
        side[...] = scale * rng.normal(size=side.shape)
    store.put(np.arange(3), drawn)
    return store, drawn


def test_a_store_gives_back_what_was_put_into_it(tmp_path: Path) -> None:
    _, drawn = filled(tmp_path)
    found = InternalsStore.open(tmp_path).of(np.array([5, 0]), np.array([1, 7]))
    for ours, theirs in zip(found.attentions, drawn.attentions, strict=True):
        assert ours.shape == (2, 3, 2, 2)
        np.testing.assert_allclose(ours[1], theirs[0, :, :2, :2], rtol=1e-3)
        np.testing.assert_allclose(ours[0, :, :1, :1], theirs[2, :, :1, :1], rtol=1e-3)
        assert not ours[0, :, 1:].any()
    np.testing.assert_allclose(found.states[0][1], drawn.states[0][0, :2], rtol=1e-3)


def test_a_number_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r'do not fit into float16; set \[teacher\] internals = "float32"'):
        filled(tmp_path, 1e6)


def test_zeros_stand_for_what_is_not_there_yet() -> None:
    blank = BlankInternals(Layout(1, 2, 3, 4), lambda queries, passages: passages, "float16")
    found = blank.of(np.array([0, 0]), np.array([3, 6]))
    assert found.attentions[0].shape == (2, 2, 6, 6)
    assert len(found.states) == 3
