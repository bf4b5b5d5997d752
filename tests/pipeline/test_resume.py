"""Runs that are killed, stopped or out of disk go on to the very bytes of a run that never was."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import SECONDS, distilkit, events, run_cli, started, wait_for

# Enough steps to be hit in their midst; dropout on, and a best checkpoint to be kept.
SETTINGS = {
    "twin.budget": "none",
    "train.num_train_epochs": 12.0,
    "train.per_device_train_batch_size": 8,
    "train.eval_steps": 7,
    "train.save_steps": 5,
    "student.dropout": 0.2,
    "teacher.dropout": 0.2,
    "teacher.train.num_train_epochs": 12.0,
    "teacher.train.eval_steps": 7,
    "teacher.train.save_steps": 5,
}
KINDS = {"distil": "stage", "fine_tune": "teacher"}
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def arguments(tiny_recipe: Path) -> Arguments:
    """Return a function from a folder of runs to the words of a command."""

    def words(runs: Path, *more: str, **changes: object) -> list[str]:
        changed = SETTINGS | {name.replace("__", "."): value for name, value in changes.items()}
        pairs = [f"{key}={value}" for key, value in changed.items()]
        return [
            "run",
            str(tiny_recipe),
            "--runs-dir",
            str(runs),
            *(word for pair in pairs for word in ("--set", pair)),
            *more,
        ]

    return words


@pytest.fixture(scope="module")
def whole(arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of runs of a run that nothing interrupts."""
    runs = tmp_path_factory.mktemp("whole")
    code, said = distilkit(arguments(runs), runs / "said")
    assert code == 0, said
    steps = [event["step"] for event in events(runs / "tiny", "checkpoint", "distil")]
    assert len(steps) > 10
    assert not list((runs / "tiny").glob("checkpoints"))
    return runs


def weights(runs: Path) -> dict[str, bytes]:
    """Return the bytes of the student and of the teacher."""
    teacher = next((runs / ".artifacts" / "teacher").glob("*/model/model.safetensors"))
    return {"student": (runs / "tiny" / "model" / "model.safetensors").read_bytes(), "teacher": teacher.read_bytes()}


def status(runs: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((runs / "tiny" / "status.json").read_text())
    return found


def prepared(whole: Path, runs: Path, stage: str) -> Path:
    """Return a folder with all that a run has when a stage of it begins."""
    for kind in ("collection", "candidates", "tokens", *(["teacher"] if stage == "distil" else [])):
        shutil.copytree(whole / ".artifacts" / kind, runs / ".artifacts" / kind)
    return runs


def in_the_midst(runs: Path, stage: str) -> Callable[[], bool]:
    return lambda: len(events(runs / "tiny", "checkpoint", stage)) >= 2


def resume(arguments: Arguments, runs: Path, whole: Path, **changes: object) -> None:
    """Finish a run and compare it with the one that was never interrupted."""
    before = {stage: events(runs / "tiny", "checkpoint", stage) for stage in KINDS}
    code, said = distilkit(arguments(runs, "--resume", "auto", **changes), runs / "said")
    assert code == 0, said
    assert "resumed from step" in said
    for stage, found in before.items():
        # Nothing is done twice: after a resume come the checkpoints that were missing.
        after = events(runs / "tiny", "checkpoint", stage)[len(found) :]
        assert not found or [event["step"] for event in after if event["step"] <= found[-1]["step"]] == []
    assert weights(runs) == weights(whole)
    assert status(runs)["state"] == "done"
    assert not (runs / "tiny" / "checkpoints").exists()
    for name in ("run.trec", "per_query.csv", "measures.json"):
        assert (runs / "tiny" / "eval" / "test" / name).read_bytes() == (
            whole / "tiny" / "eval" / "test" / name
        ).read_bytes()


@pytest.mark.slow
def test_kill_minus_nine_of_the_command_itself(arguments: Arguments, whole: Path, tmp_path: Path) -> None:
    runs = prepared(whole, tmp_path, "distil")
    command = [sys.executable, "-m", "distilkit", *arguments(runs)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(in_the_midst(runs, "distil"))
        process.kill()
        assert process.wait(SECONDS) == -signal.SIGKILL
    finally:
        process.kill()
    assert not list((runs / ".artifacts" / "stage").glob("*/manifest.json"))
    assert status(runs)["state"] == "running"
    resume(arguments, runs, whole)
    # What the killed build left is gone too.
    assert [path.name for path in (runs / ".artifacts" / "stage").iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", KINDS)
def test_kill_minus_nine(arguments: Arguments, whole: Path, tmp_path: Path, stage: str) -> None:
    runs = prepared(whole, tmp_path, stage)
    with started(run_cli, arguments(runs), folder=tmp_path / "said") as process:
        wait_for(in_the_midst(runs, stage), process)
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    resume(arguments, runs, whole)


@pytest.mark.parametrize(("stage", "how"), [("distil", "SIGINT"), ("distil", "stop file"), ("fine_tune", "SIGTERM")])
def test_a_request_to_stop_leaves_a_checkpoint(
    arguments: Arguments, whole: Path, tmp_path: Path, how: str, stage: str
) -> None:
    runs = prepared(whole, tmp_path, stage)
    with started(run_cli, arguments(runs), folder=tmp_path / "said") as process:
        wait_for(in_the_midst(runs, stage), process)
        if how == "stop file":
            (runs / "tiny" / "stop").touch()
        else:
            process.signal(getattr(signal, how))
        assert process.wait() == 130, process.stderr
    assert "Traceback" not in process.stderr
    assert process.stderr.endswith("distilkit: stopped; continue with --resume auto\n")
    assert status(runs)["state"] == "stopped"
    assert status(runs)["exit"] == {"code": 130, "error": "stopped; continue with --resume auto"}
    checkpoint = events(runs / "tiny", "checkpoint", stage)[-1]["step"]
    assert checkpoint == status(runs)["step"]
    resume(arguments, runs, whole)
    assert not (runs / "tiny" / "stop").exists()


def test_asking_twice_stops_at_once(arguments: Arguments, whole: Path, tmp_path: Path) -> None:
    runs = prepared(whole, tmp_path, "distil")
    with started(run_cli, arguments(runs), folder=tmp_path / "said") as process:
        wait_for(in_the_midst(runs, "distil"), process)
        # In a step that never ends, the first request would wait for its checkpoint for ever.
        process.signal(signal.SIGSTOP)
        process.signal(signal.SIGINT)
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)
        assert process.wait() == 130, process.stderr
    assert "Traceback" not in process.stderr
    assert "stopped at once" in process.stderr
    assert status(runs)["state"] == "stopped"
    resume(arguments, runs, whole)


def sizes(whole: Path) -> dict[str, int]:
    """Return the bytes of the weights that a checkpoint of the student holds, and of the finished model."""
    model = (whole / "tiny" / "model" / "model.safetensors").stat().st_size
    projections = next((whole / ".artifacts" / "stage").glob("*/projections.safetensors")).stat().st_size
    return {"model": model, "checkpoint": model + projections}


def leftovers(runs: Path) -> list[str]:
    """Return what a write that failed may have left: temporary names and results without a manifest."""
    names = [str(path.relative_to(runs)) for path in runs.rglob(".*") if path.name != ".artifacts"]
    unfinished = [
        str(path.relative_to(runs))
        for path in (runs / ".artifacts").glob("*/*")
        if path.is_dir() and not (path / "manifest.json").exists()
    ]
    return names + unfinished


def run_untried(arguments: list[str], largest_file: int) -> None:
    """Be the command without the trial of the first steps, which saves a model as large as the finished one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilkit.pipeline.checks.try_first_steps", lambda *_: None)
        run_cli(arguments, largest_file)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["checkpoint", "best", "model"])
def test_a_full_disk_ends_the_run_and_nothing_is_half_written(
    arguments: Arguments, whole: Path, tmp_path: Path, what: str
) -> None:
    runs = prepared(whole, tmp_path, "distil")
    # The checkpoint's optimiser state is twice its weights; the other two fail at the weights.
    changes = {
        "checkpoint": {},
        "best": {"train__save_steps": 5, "train__eval_steps": 7},
        "model": {"train__save_steps": 1000, "train__eval_steps": 7},
    }[what]
    largest = {
        "checkpoint": sizes(whole)["checkpoint"] + 5000,
        "best": sizes(whole)["checkpoint"] - 1000,
        "model": sizes(whole)["model"] - 1000,
    }[what]
    with started(run_untried, arguments(runs, **changes), largest, folder=runs / "said") as process:
        code, said = process.wait(), process.stderr
    assert code == 1, said
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("distilkit: ")
    assert "File too large" in last
    assert "continue with --resume auto" in last
    assert leftovers(runs) == []
    assert status(runs)["state"] == "crashed"
    assert "File too large" in str(status(runs)["exit"])
    code, said = distilkit(arguments(runs, "--resume", "auto", **changes), runs / "said")
    assert code == 0, said
    assert weights(runs) == weights(whole)


def test_a_full_disk_in_the_trial_of_a_first_step_is_no_wrong_input(
    arguments: Arguments, whole: Path, tmp_path: Path
) -> None:
    runs = prepared(whole, tmp_path, "distil")
    code, said = distilkit(arguments(runs), runs / "said", largest_file=sizes(whole)["model"] - 1000)
    assert code == 1, said
    last = said.splitlines()[-1]
    assert last.startswith("distilkit: the first step of the stage distil cannot be tried: ")
    assert "File too large" in last
    assert last.endswith("continue with --resume auto")
    assert leftovers(runs) == []
    assert not (runs / "tiny").exists()


def test_a_full_disk_after_a_checkpoint_costs_the_steps_since(
    arguments: Arguments, whole: Path, tmp_path: Path
) -> None:
    runs = prepared(whole, tmp_path, "distil")
    with started(run_cli, arguments(runs), folder=tmp_path / "said") as process:
        wait_for(in_the_midst(runs, "distil"), process)
        process.signal(signal.SIGTERM)
        assert process.wait() == 130
    kept = {path.name for path in (runs / "tiny" / "checkpoints").glob("*/checkpoint-*")}
    code, said = distilkit(
        arguments(runs, "--resume", "auto"), runs / "said", largest_file=sizes(whole)["checkpoint"] + 5000
    )
    assert code == 1, said
    assert {path.name for path in (runs / "tiny" / "checkpoints").glob("*/checkpoint-*")} == kept
    assert leftovers(runs) == []
    resume(arguments, runs, whole)


def test_a_loss_that_is_not_finite_crashes_the_run(arguments: Arguments, whole: Path, tmp_path: Path) -> None:
    runs = prepared(whole, tmp_path, "distil")
    changes = {"train__learning_rate": 1e30, "train__warmup_ratio": 0.0, "train__save_steps": 1}
    code, said = distilkit(arguments(runs, **changes), tmp_path / "said")
    assert code == 1
    last = said.splitlines()[-1]
    assert last.startswith("distilkit: stage distil, step 2 of ")
    assert "attention" in last
    assert "Traceback" not in said
    assert status(runs)["state"] == "crashed"
    assert status(runs)["exit"] == {"code": 1, "error": last.removeprefix("distilkit: ")}
    assert [path.name for path in (runs / "tiny" / "checkpoints").glob("*/*")] == ["checkpoint-1"]
    assert leftovers(runs) == []


def test_float16_needs_a_gpu_and_leaves_nothing(arguments: Arguments, tmp_path: Path) -> None:
    code, said = distilkit(arguments(tmp_path, train__fp16="true"), tmp_path / "said")
    assert code == 2
    assert said.splitlines()[-1].startswith("distilkit: [train] fp16 = true needs a GPU")
    assert not (tmp_path / "tiny").exists()


def test_a_run_that_is_worked_on_is_left_alone(arguments: Arguments, whole: Path, tmp_path: Path) -> None:
    runs = prepared(whole, tmp_path, "distil")
    with started(run_cli, arguments(runs), folder=tmp_path / "first") as process:
        wait_for(in_the_midst(runs, "distil"), process)
        process.signal(signal.SIGSTOP)
        code, said = distilkit(arguments(runs, "--resume", "auto"), tmp_path / "second")
        process.signal(signal.SIGCONT)
        assert code == 2
        assert "is being worked on by another process" in said
        assert process.wait() == 0, process.stderr
    assert weights(runs) == weights(whole)
    assert os.listdir(runs / ".artifacts" / "stage") == os.listdir(whole / ".artifacts" / "stage")
