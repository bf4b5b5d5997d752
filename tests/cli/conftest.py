"""One finished run, trained by the command as a shell starts it, that the tests of the command line share."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from made_once import made_once


class Finished(NamedTuple):
    """A finished run: the folder of all runs, its own, its twin's, and how the command ended."""

    runs: Path
    run: Path
    twin: Path
    outcome: Any


@pytest.fixture(scope="session")
def finished(shell: Callable[..., Any], tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return the run of the tiny recipe, trained once for all processes that share the tests."""

    def train(folder: Path) -> None:
        outcome = shell("run", tiny_recipe, "--runs-dir", folder / "runs")
        assert outcome.code == 0, outcome.err
        (folder / "outcome.json").write_text(json.dumps(outcome._asdict()))

    folder = made_once(tmp_path_factory, "finished", train)
    runs, outcome = folder / "runs", SimpleNamespace(**json.loads((folder / "outcome.json").read_text()))
    return Finished(runs, runs / "tiny", runs / "tiny-label_only", outcome)
