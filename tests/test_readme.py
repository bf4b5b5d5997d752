"""The README's commands, run as they stand, with nothing but the amount of work cut down."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_processes import run_cli, started

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.partition("#")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
    if line.startswith(("distilkit ", "make ", "pip "))
]
# Laid over every run: the same work, less of it.
SMALL = [
    "train.max_steps=2",
    "train.per_device_train_batch_size=4",
    "train.train_queries=20",
    "teacher.train.max_steps=2",
    "teacher.train.train_queries=20",
    "data.validation_queries=5",
    "evaluate.queries=5",
    "evaluate.rerank_depth=3",
]


def test_the_two_commands_are_in_the_makefile() -> None:
    found = [command for command in COMMANDS if command.startswith("make ")]
    assert found == ["make demo", "make test"]
    for command in found:
        shown = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        assert ("distilkit run recipes/simplified_tinybert.toml" in shown.stdout) == (command == "make demo")


def test_two_lines_stand_for_the_demo_where_there_is_no_make() -> None:
    done = subprocess.run(
        ["make", "demo", "--dry-run", "VENV=.new"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    made = done.stdout.replace(".new", ".venv").replace("--quiet --quiet --disable-pip-version-check ", "")
    lines = [line for _, block in BLOCKS for line in block.splitlines() if ".venv/bin/" in line]
    assert len(lines) == 2
    for command in " && ".join(lines).split(" && "):
        assert command in made, command


def test_the_readme_names_every_placeholder() -> None:
    assert not re.search(r"@@|@[A-Z]+@", README)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # there are many of them, which use what the ones before left
def test_every_command_of_the_readme_runs(tmp_path: Path, tiny_beir: Path) -> None:
    (tmp_path / "my-collection").symlink_to(tiny_beir)
    (tmp_path / "triples.tsv").write_text("q0\td0\td1\nq1\td1\td2\n")
    commands = [command for command in COMMANDS if command.startswith("distilkit ")]
    # What `make demo` leaves is there before the commands that look at it.
    ran = ["distilkit run recipes/simplified_tinybert.toml --resume auto", *commands]
    assert len(ran) > 8
    for command in ran:
        if "msmarco" in command:  # needs the hub; tests/recipes trains it on a folder and checkpoints made on the spot
            continue
        code, out, err = _run(command, tmp_path, tmp_path / "said")
        assert code == 0, f"{command}\n{err}"
        words = shlex.split(command)
        if "--output" in words:
            assert (tmp_path / words[words.index("--output") + 1]).stat().st_size > 0, command
        if "--output" not in words or words[1] != "compare":  # whose report is in the file then
            assert out.strip(), command
    for language, block in BLOCKS:
        if language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=tmp_path, env=_environment(), capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr


def _inside(folder: Path, words: list[str]) -> None:
    os.chdir(folder)
    os.environ.update(_environment())
    run_cli(words)


def _run(command: str, folder: Path, said: Path) -> tuple[int, str, str]:
    """Run a command in a folder, in a process of its own; return its exit code and what it wrote to both streams."""
    words = shlex.split(command)[1:]
    if words[0] == "run" and "--dry-run" not in words:
        words += [part for setting in SMALL for part in ("--set", setting)]
    with started(_inside, folder, words, folder=said) as process:
        return process.wait(), process.stdout, process.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1"}
