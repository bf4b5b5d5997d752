"""What every test shares: one thread, no network, and tiny collections and checkpoints made on the spot."""

import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from cli_processes import run_cli, started
from hypothesis import HealthCheck, settings
from made_once import made_once
from tiny_worlds import recipe_text, write_beir, write_checkpoint

# Before torch is imported: tests beside each other must not fight over the cores, nor reach for a hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

# How long an example takes says how busy the machine is.
settings.register_profile("distilkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("distilkit")

# Thousands of tests and all that they import make no cycles of references that are worth a search, over and over.
gc.disable()

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """Search for cycles from now on, in what tests make alone."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Let go of everything at the end, as some libraries complain about what is left."""
    gc.unfreeze()


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Finished(NamedTuple):
    """A finished run: the folder of all runs, its own, its twin's, and how the command ended."""

    runs: Path
    run: Path
    twin: Path
    outcome: Any


def call(*arguments: object) -> Outcome:
    """Run a command line in this process."""
    from distilkit.cli import main

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["distilkit", *map(str, arguments)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as done:
        code = done.code
    finally:
        sys.argv = before
    assert isinstance(code, int), f"left with {code!r}"
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function from a real collection's name to its folder; it skips the test where that is missing."""

    def find(name: str) -> Path:
        folder = SHARED / "data" / name
        if not folder.is_dir():
            pytest.skip(f"the collection {name} is not on this machine")
        return folder

    return find


@pytest.fixture(scope="session")
def tiny_beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BEIR folder of 40 passages and 34 queries (20 train, 6 dev, 8 test); topics tell what is relevant."""
    return made_once(tmp_path_factory, "beir", lambda folder: write_beir(folder / "tiny")) / "tiny"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random four-layer BERT with a ranking head (L4_H16, 2 heads), saved as on the hub."""
    parent = made_once(tmp_path_factory, "checkpoint", lambda folder: write_checkpoint(folder / "tiny-bert"))
    return parent / "tiny-bert"


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., None]:
    """Return `write_checkpoint`, for tests that need rankers of other sizes."""
    return write_checkpoint


@pytest.fixture(scope="session")
def cli() -> Callable[..., Outcome]:
    """Return a function that runs a command line in this process, as the installed script would."""
    return call


@pytest.fixture(scope="session")
def shell() -> Callable[..., Outcome]:
    """Return a function that runs a command line in a process of its own."""

    def run(*arguments: object, env: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> Outcome:
        command = [sys.executable, *options, "-m", "distilkit", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, tiny_beir: Path, tiny_checkpoint: Path) -> Path:
    """Return a recipe that trains teacher, student and twin in seconds, in fp32."""
    text = recipe_text(tiny_beir, tiny_checkpoint)
    return made_once(tmp_path_factory, "recipe", lambda folder: (folder / "tiny.toml").write_text(text)) / "tiny.toml"


@pytest.fixture(scope="session")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return the run of the tiny recipe, trained once for all processes that share the tests."""

    def train(folder: Path) -> None:
        words = ["run", str(tiny_recipe), "--runs-dir", str(folder / "runs")]
        with started(run_cli, words, folder=folder / "said") as process:
            outcome = Outcome(process.wait(), process.stdout, process.stderr)
        assert outcome.code == 0, outcome.err
        (folder / "outcome.json").write_text(json.dumps(outcome._asdict()))

    folder = made_once(tmp_path_factory, "finished", train)
    runs, outcome = folder / "runs", SimpleNamespace(**json.loads((folder / "outcome.json").read_text()))
    return Finished(runs, runs / "tiny", runs / "tiny-label_only", outcome)
