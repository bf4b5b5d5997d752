"""What only a real process shows: what is imported, closed pipes, odd terminals, Ctrl-C."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "transformers", "textual", "scipy", "numpy", "pyarrow", "pydantic", "datasets")


@pytest.mark.parametrize("module", ["distilkit", "distilkit.cli", "distilkit.__main__"])
def test_importing_the_command_line_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("verb", ["recipes", "strategies", "runs"])
def test_listing_needs_no_torch(verb: str, tmp_path: Path) -> None:
    code = (
        "import sys; from distilkit.cli import main\n"
        f"sys.argv = ['distilkit', {verb!r}]\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert done.code == 0\n"
        f"print([name for name in ('torch', 'transformers', 'textual') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    "arguments", [("strategies", "--json"), ("recipes",), ("--help",), ("compare", "tiny", "--format", "csv")]
)
def test_a_closed_pipe_is_no_error(arguments: tuple[str, ...], finished: Any) -> None:
    env = {**os.environ, "DISTILKIT_RUNS": str(finished.runs)}
    reading, writing = os.pipe()
    os.close(reading)  # as when `head` has left before the first line comes
    try:
        command = [sys.executable, "-m", "distilkit", *arguments]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=env)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_head_gets_its_line(finished: Any) -> None:
    command = f"{sys.executable} -m distilkit compare tiny --runs-dir {finished.runs} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("Take: ")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_terminal_without_unicode(shell: Callable[..., Any], finished: Any) -> None:
    env = {"PYTHONIOENCODING": "ascii"}
    outcome = shell("compare", "tiny", "--runs-dir", finished.runs, env=env)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.isascii()
    assert "label-only" in outcome.out
    outcome = shell("show", "größe", env=env)
    assert outcome.code == 2
    assert "gr\\xf6\\xdfe" in outcome.err


def test_ctrl_c_before_anything_runs(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what runs the tests may ignore it
        "import distilkit.recipe as recipe\n"
        "recipe.shipped_recipes = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "from distilkit.cli import main\n"
        "sys.argv = ['distilkit', 'recipes']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("distilkit: stopped at once")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", ["EOFError('cut short')", "BrokenPipeError(32, 'Broken pipe')"])
def test_what_breaks_off_is_not_done(error: str, tmp_path: Path) -> None:
    """A file or a connection that ends early inside a verb is a failure, unlike a reader that has seen enough."""
    code = (
        "import distilkit.recipe as recipe\n"
        f"def broken():\n    raise {error}\n"
        "recipe.shipped_recipes = broken\n"
        "import sys; from distilkit.cli import main\n"
        "sys.argv = ['distilkit', 'recipes']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("distilkit: recipes broke off: ")
    assert done.stderr.count("\n") == 1


def test_threads_wait_patiently_unless_the_user_says_how() -> None:
    from distilkit.cli import SPINS, patient_threads

    given: dict[str, str] = {}
    patient_threads(given)
    assert given == {"GOMP_SPINCOUNT": str(SPINS)}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        own = {name: "ACTIVE"}
        patient_threads(own)
        assert own == {name: "ACTIVE"}
