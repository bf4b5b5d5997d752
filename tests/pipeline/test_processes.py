"""Runs on two processes, which `torchrun` or the tests themselves start, end like runs on one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_processes import distilkit, end_well, run_cli, together
from settings_given import sets

from distilkit.evaluation.trec import read_run

pytestmark = pytest.mark.slow

# Dropout is drawn by each process for itself, so results are equal without it alone.
SETTINGS = {
    "student.dropout": 0.0,
    "teacher.dropout": 0.0,
    "train.save_steps": 5,
    "train.logging_steps": 1,
    "teacher.train.logging_steps": 1,
}
ONE = {"train.per_device_train_batch_size": 8, "teacher.train.per_device_train_batch_size": 4}
TWO = {"train.per_device_train_batch_size": 4, "teacher.train.per_device_train_batch_size": 2}
SECONDS = 500


def words(recipe: Path, runs: Path, settings: dict[str, Any], *more: str) -> list[str]:
    pairs = [f"{key}={value}" for key, value in {**SETTINGS, **settings}.items()]
    return ["run", str(recipe), "--runs-dir", str(runs), *sets(*pairs), *more]


@contextmanager
def launched(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run distilkit under torchrun on two processes, in a session of its own, of which nothing outlives the block."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "-m", "distilkit", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(arguments: list[str]) -> tuple[int, str, str]:
    """Return a command's exit code and what it printed; it fails where one hangs."""
    with launched(arguments) as process:
        out, said = process.communicate(timeout=SECONDS)
        return process.returncode, out, said


@pytest.fixture(scope="module")
def one(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the runs of one process."""
    runs = tmp_path_factory.mktemp("one")
    code, said = distilkit(words(tiny_recipe, runs, ONE), tmp_path_factory.mktemp("said"))
    assert code == 0, said
    return runs


@pytest.fixture(scope="module")
def two(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the runs of two processes that found nothing cached."""
    runs = tmp_path_factory.mktemp("two")
    code, out, said = finish(words(tiny_recipe, runs, TWO))
    assert code == 0, said
    assert out.count("Run folder:") == 1  # one process speaks for both
    assert said.count("collection: reading") == 1
    assert "find_unused_parameters" not in said  # torch warns where it looks for parameters in vain
    return runs


def events(runs: Path, kind: str, run: str = "tiny") -> list[tuple[str, int, dict[str, float]]]:
    path = runs / run / "events.jsonl"  # missing where there was nothing to train
    rows = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    own = (row for row in rows if "reused" not in row)  # a run also has the events of stages that it found trained
    return [(row["stage"], row["step"], row["values"]) for row in own if row["kind"] == kind]


@pytest.mark.parametrize("run", ["tiny", "tiny-label_only"])
def test_two_processes_train_what_one_does(one: Path, two: Path, run: str) -> None:
    for name in ("run.trec", "references/teacher/run.trec"):
        if not (one / run / "eval" / "test" / name).exists():
            continue
        expected, found = (read_run(runs / run / "eval" / "test" / name) for runs in (one, two))
        assert expected.keys() == found.keys()
        for query, results in expected.items():
            assert dict(found[query]) == pytest.approx(dict(results), rel=0, abs=1e-4)


@pytest.mark.parametrize("run", ["tiny", "tiny-label_only"])
def test_the_losses_are_the_same(one: Path, two: Path, run: str) -> None:
    expected, found = events(one, "train", run), events(two, "train", run)
    assert [(stage, step) for stage, step, _ in expected] == [(stage, step) for stage, step, _ in found]
    for (stage, step, values), (_, _, others) in zip(expected, found, strict=True):
        assert others == pytest.approx(values, rel=1e-4, abs=1e-6), (stage, step)
    assert [row[:2] for row in events(one, "checkpoint", run)] == [row[:2] for row in events(two, "checkpoint", run)]


def test_the_artifacts_are_the_same(one: Path, two: Path) -> None:
    """One process finds what two have built, and the other way round."""
    names = [sorted(str(path.relative_to(runs)) for path in (runs / ".artifacts").glob("*/*")) for runs in (one, two)]
    assert names[0] == names[1]


def test_a_warm_cache(two: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    with together(run_cli, words(tiny_recipe, two, TWO, "--name", "again"), folder=tmp_path) as ranks:
        end_well(ranks)
    assert events(two, "train", "again") == []
    first, second = ((two / run / "model" / "model.safetensors").read_bytes() for run in ("tiny", "again"))
    assert first == second


def test_a_finished_run_is_printed_once(two: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    with together(run_cli, words(tiny_recipe, two, TWO, "--resume", "auto"), folder=tmp_path) as ranks:
        assert end_well(ranks).count("Run folder:") == 1


def test_a_contended_cache(one: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    first, second = (words(tiny_recipe, tmp_path, TWO, "--name", name) for name in ("first", "second"))
    with (
        together(run_cli, first, folder=tmp_path / "said/1") as ranks,
        together(run_cli, second, folder=tmp_path / "said/2") as others,
    ):
        end_well([*ranks, *others])
    for kind in ("collection", "teacher", "stage", "ranking", "cost"):
        found, expected = (
            sorted(path.name for path in (runs / ".artifacts" / kind).iterdir()) for runs in (tmp_path, one)
        )
        assert found == expected
    trained = [stage for run in ("first", "second") for stage, step, _ in events(tmp_path, "train", run) if step == 1]
    assert sorted(trained) == ["distil", "fine_tune"]


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_leaves_a_checkpoint(tiny_recipe: Path, tmp_path: Path, number: int) -> None:
    settings = TWO | {"twin.budget": "none", "train.num_train_epochs": 20.0}
    whole = tmp_path / "whole"
    assert finish(words(tiny_recipe, whole, settings))[0] == 0
    runs = tmp_path / "stopped"
    with launched(words(tiny_recipe, runs, settings)) as process:
        until(lambda: len(_checkpoints(runs)) >= 2, process)
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
    status = json.loads((runs / "tiny" / "status.json").read_text())
    assert status["state"] == "stopped"
    assert _checkpoints(runs)[-1] == status["step"]
    code, _, said = finish(words(tiny_recipe, runs, settings, "--resume", "auto"))
    assert code == 0, said
    assert "resumed from step" in said
    first, second = ((one / "tiny" / "model" / "model.safetensors").read_bytes() for one in (whole, runs))
    assert first == second


def _checkpoints(runs: Path) -> list[int]:
    return [step for stage, step, _ in events(runs, "checkpoint") if stage == "distil"]


def until(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("setting", "code", "sentence"),
    [
        ({"train.learning_rate": 1e30, "train.warmup_ratio": 0.0}, 1, "a loss is not finite"),
        ({"evaluate.split": "train", "data.validation.from": "train", "data.validation.queries": 99}, 2, "99"),
        ({"data.path": "nowhere"}, 2, "nowhere"),
    ],
)
def test_what_fails_in_one_place_ends_both_processes(
    tiny_recipe: Path, tmp_path: Path, setting: dict[str, Any], code: int, sentence: str
) -> None:
    _, _, said = finish(words(tiny_recipe, tmp_path, TWO | setting))
    told = [line for line in said.splitlines() if line.startswith("distilkit: ")]
    assert len(told) == 1, said
    assert sentence in told[0]
    assert f"exitcode  : {code} " in said
    assert said.count("Traceback") == 1, said  # the launcher's own


@pytest.mark.thorough
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_takes_the_other_with_it(tiny_recipe: Path, tmp_path: Path, victim: int) -> None:
    settings = TWO | {"twin.budget": "none", "train.num_train_epochs": 60.0}
    with launched(words(tiny_recipe, tmp_path, settings)) as process:
        until(lambda: len(_checkpoints(tmp_path)) >= 2, process)
        killed = _rank(process.pid, victim)
        os.kill(killed, signal.SIGKILL)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert said.count("Traceback") == 1, said
    # Unless the launcher stops it before it notices, which happens where both have one core.
    lost = f"distilkit: process {1 - victim} has lost process {victim} (pid {killed}), which failed or was killed"
    assert lost in said or "closing signal SIGTERM" in said
    code, _, said = finish(words(tiny_recipe, tmp_path, settings, "--resume", "auto"))
    assert code == 0, said


def _rank(launcher: int, rank: int) -> int:
    """Return the process of a rank below a launcher."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher and f"RANK={rank}".encode() in environment:
            return int(path.name)
    raise AssertionError("no such process")
