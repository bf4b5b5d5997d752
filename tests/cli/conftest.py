"""One finished run, trained by the command as a shell starts it, that the tests of the command line share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Finished(NamedTuple):
    """A finished run: the folder of all runs, its own, its twin's, and how the command ended."""

    runs: Path
    run: Path
    twin: Path
    outcome: Any


@pytest.fixture(scope="session")
def finished(shell: Callable[..., Any], tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return the run of the tiny recipe."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    outcome = shell("run", tiny_recipe, "--runs-dir", runs)
    assert outcome.code == 0, outcome.err
    return Finished(runs, runs / "tiny", runs / "tiny-label_only", outcome)
