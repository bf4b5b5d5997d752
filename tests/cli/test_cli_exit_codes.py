"""Exit code 0 means done, whatever a verb raises: every kind of exception goes through the command line."""

import builtins
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit import errors

Cli = Callable[..., Any]


def made(kind: type[BaseException]) -> BaseException:
    """Return an exception of a kind, whatever it takes to make one."""
    if issubclass(kind, UnicodeDecodeError):
        return kind("utf-8", b"x", 0, 1, "y")
    if issubclass(kind, UnicodeEncodeError):
        return kind("utf-8", "x", 0, 1, "y")
    if issubclass(kind, UnicodeTranslateError):
        return kind("x", 0, 1, "y")
    if issubclass(kind, BaseExceptionGroup):
        return kind("x", [ValueError("y")])
    if issubclass(kind, SystemExit):
        return kind(3)
    words = 2 if kind.__name__ == "BadOptionUsage" else 1
    return kind(*["words"] * words)


def kinds() -> dict[str, type[BaseException]]:
    """Return every exception of Python, of ours and of the libraries that read the command line."""
    modules = [builtins, errors]
    for name in ("typer", "typer.exceptions", "click", "click.exceptions", "typer._click.exceptions"):
        try:
            modules.append(importlib.import_module(name))
        except ImportError:
            continue
    found = {
        f"{one.__module__}.{one.__qualname__}": one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseException)
    }
    return {name: one for name, one in found.items() if one.__name__ != "NoArgsIsHelpError"}  # needs a whole parser


CODES = {errors.UserError: 2, errors.Busy: 2, errors.RunFailed: 1, errors.Stopped: 130, KeyboardInterrupt: 130}


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(asked: object) -> None:
        raise error

    monkeypatch.setattr("distilkit.commands.listings.recipes", fail)


@pytest.mark.parametrize("name", sorted(kinds()))
def test_no_exception_is_success(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = kinds()[name]
    error = made(kind)
    raising(monkeypatch, error)
    try:
        done = cli("recipes")
    except BaseException as passed:
        if passed is not error:
            raise
        return  # it ends the process with a traceback and 1
    assert done.code != 0, name
    assert done.out == ""
    assert done.err == "" if kind is SystemExit else done.err.startswith("distilkit: ")
    assert done.code == CODES.get(kind, done.code)


@pytest.mark.parametrize("code", [0, None, False, ""])
def test_leaving_with_nothing_is_no_success(cli: Cli, monkeypatch: pytest.MonkeyPatch, code: Any) -> None:
    raising(monkeypatch, SystemExit(code))
    done = cli("recipes")
    assert (done.code, done.out) == (1, "")
    assert "recipes ended early" in done.err


@pytest.mark.parametrize("code", [1, 2, 130])
def test_a_code_of_its_own_after_a_broken_pipe(cli: Cli, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(asked: object) -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            sys.exit(code)

    monkeypatch.setattr("distilkit.commands.listings.recipes", fail)
    assert cli("recipes").code == code


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("raise EOFError", 1), ("import typer; raise typer.Abort", 1), ("import typer; raise typer.Exit(0)", 1),
        ("raise SystemExit", 1), ("raise GeneratorExit", 1), ("raise StopIteration", 1), ("raise MemoryError", 1),
        ("raise KeyboardInterrupt", 130), ("import os; os.kill(os.getpid(), 2)", 130), ("raise BrokenPipeError", 1),
        ("import asyncio; raise asyncio.CancelledError", 1), ("input()", 1),
    ],
)  # fmt: skip
def test_processes_that_break_off(tmp_path: Path, statement: str, code: int) -> None:
    script = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import distilkit.commands.listings as listings\n"
        f"def fail(asked):\n    {statement}\n"
        "listings.recipes = fail\n"
        "from distilkit.cli import main\nsys.argv = ['distilkit', 'recipes']\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr


@pytest.mark.parametrize("words", [["recipes"], ["strategies", "--json"], ["--help"], ["run", "--help"]])
def test_a_reader_that_has_seen_enough(words: list[str]) -> None:
    """`distilkit recipes | head -1` is done; a disk that is full is not."""
    command = [sys.executable, "-m", "distilkit", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
    with open("/dev/full", "wb") as full:
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode == 1


def test_a_name_that_no_file_system_takes_is_wrong_input(cli: Cli) -> None:
    done = cli("show", "x" * 300)
    assert done.code == 2
    assert done.err.endswith("no file system takes so long a name; expected 255 bytes at most\n")
