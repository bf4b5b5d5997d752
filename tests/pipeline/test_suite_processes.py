"""Suites in real processes: side by side, killed, stopped, and gone on with."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from cli_processes import distilkit, events, run_cli, started, wait_for

from distilkit.manifest import SEAL, write_manifest

pytestmark = pytest.mark.slow

MATRIX = """
[matrix]
strategies = ["fine_tune", "standard_kd", "simplified_tinybert"]
students = ["bert_cat:L2_H16:first_layers"]
seeds = [1]
"""


@pytest.fixture(scope="module")
def suite_recipe(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = tiny_recipe.read_text().replace('name = "tiny"', 'name = "suite"')
    text = text.replace('[strategy]\nname = "simplified_tinybert"\n', "")
    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    path.write_text(text + MATRIX)
    return path


def words(recipe: Path, runs: Path, *more: str) -> list[str]:
    changes = ["train.num_train_epochs=5.0", "train.save_steps=5"]
    return ["run", str(recipe), "--runs-dir", str(runs), *(w for one in changes for w in ("--set", one)), *more]


def runs_of(runs: Path) -> dict[str, Path]:
    suite = json.loads((runs / "suite" / "suite.json").read_text())
    return {run["strategy"]: runs / run["name"] for run in suite["runs"]}


@pytest.fixture(scope="module")
def whole(suite_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the runs of a suite that nothing interrupts."""
    runs = tmp_path_factory.mktemp("whole")
    code, said = distilkit(words(suite_recipe, runs), runs / "said")
    assert code == 0, said
    return runs


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def assert_same(runs: Path, whole: Path) -> None:
    expected = runs_of(whole)
    for strategy, run in runs_of(runs).items():
        assert json.loads((run / "status.json").read_text())["state"] == "done"
        assert weights(run) == weights(expected[strategy]), strategy


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_suite_that_was_ended_goes_on(suite_recipe: Path, whole: Path, tmp_path: Path, number: int) -> None:
    with started(run_cli, words(suite_recipe, tmp_path), folder=tmp_path / "said") as process:

        def second_is_trained() -> bool:
            if not (tmp_path / "suite" / "suite.json").exists():
                return False
            run = runs_of(tmp_path)["standard_kd"]
            return len(events(run, "train", "prediction")) > 1

        wait_for(second_is_trained, process)
        process.signal(number)
        assert process.wait() == (-9 if number == signal.SIGKILL else 130)
    done = runs_of(tmp_path)["fine_tune"] / "model" / "model.safetensors"
    before = done.stat().st_mtime_ns
    code, said = distilkit(words(suite_recipe, tmp_path, "--resume", "auto"), tmp_path / "again")
    assert code == 0, said
    assert done.stat().st_mtime_ns == before
    assert_same(tmp_path, whole)


def test_two_processes_share_a_suite(suite_recipe: Path, whole: Path, tmp_path: Path) -> None:
    with started(run_cli, words(suite_recipe, tmp_path), folder=tmp_path / "first") as first:
        wait_for(lambda: (tmp_path / "suite" / "suite.json").exists(), first)
        code, said = distilkit(words(suite_recipe, tmp_path, "--resume", "auto"), tmp_path / "second")
        assert code == 0, said
        assert first.wait() == 0, first.stderr
    assert_same(tmp_path, whole)
    for run in runs_of(tmp_path).values():
        trained = [(event["key"], event["step"]) for event in events(run, "train", "fine_tune")]
        assert len(trained) == len(set(trained))
    assert len(list((tmp_path / ".artifacts" / "stage").glob("*/manifest.json"))) == 3


def test_jobs_work_side_by_side(suite_recipe: Path, whole: Path, tmp_path: Path) -> None:
    code, said = distilkit(words(suite_recipe, tmp_path, "--set", "matrix.jobs=2"), tmp_path / "said")
    assert code == 0, said
    assert (tmp_path / "suite" / "worker-1.log").exists()
    assert_same(tmp_path, whole)


def test_a_run_that_fails_does_not_keep_the_others_from_being_trained(
    suite_recipe: Path, whole: Path, tmp_path: Path
) -> None:
    # The artifacts of the whole suite, one of them broken and its manifest as if it had been written so, since one that
    # its manifest tells to be damaged is made again: the run that needs it fails when it reads it.
    shutil.copytree(whole / ".artifacts", tmp_path / ".artifacts")
    shutil.rmtree(tmp_path / ".artifacts" / "ranking")  # so that every student is read again
    for manifest in (tmp_path / ".artifacts" / "stage").glob("*/manifest.json"):
        record = json.loads(manifest.read_text())
        if record["made_of"]["stage"]["name"] == "prediction":
            (manifest.parent / "model" / "model.safetensors").write_bytes(b"broken")
            write_manifest(manifest.parent, {name: record[name] for name in record if name not in ("files", SEAL)})
    code, said = distilkit(words(suite_recipe, tmp_path), tmp_path / "said")
    assert code == 1, said
    assert "Traceback" not in said
    assert "1 of 3 runs failed: suite/standard_kd" in said
    done = {name for name, run in runs_of(tmp_path).items() if (run / "eval" / "test" / "cost.json").exists()}
    assert done == {"fine_tune", "simplified_tinybert"}
