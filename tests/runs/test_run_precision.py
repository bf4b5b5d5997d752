"""`bf16 = "auto"` is decided once a machine, whatever a later measurement says, and a run keeps what it began with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distilkit.pipeline.precision
import distilkit.training.precision
from distilkit.errors import Stopped
from distilkit.pipeline.graph import Artifact
from distilkit.pipeline.plan import plan
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import execute
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_with_source

FAST, SLOW = [(2.0, 1.0)] * 5, [(1.0, 2.0)] * 5
Measured = list[list[tuple[float, float]]]
AUTO = ("twin.budget=none", "train.bf16='auto'", "teacher.train.bf16='auto'", "evaluate.bf16='auto'")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Return the measurements to come of a processor with bfloat16 units: each is taken off the list."""
    left = [FAST, SLOW, FAST, SLOW]
    monkeypatch.setattr(distilkit.training.precision, "bf16_units", lambda: ("avx512_bf16",))
    monkeypatch.setattr(distilkit.pipeline.precision, "best_times", lambda: left.pop(0))
    return left


def workspace_of(root: Path) -> Workspace:
    return Workspace(root, OneProcess(), Reporter(quiet=True))


def request_of(tiny_recipe: Path, runs: Path, *overrides: str, resume: bool = False) -> Request:
    recipe, source = load_with_source(tiny_recipe, [*AUTO, *overrides])
    return Request(recipe, source, runs, resume)


def record_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["precision"]
    return found


def trained_in(runs: Path) -> set[str]:
    manifests = [path for kind in ("stage", "teacher") for path in (runs / ".artifacts" / kind).glob("*/manifest.json")]
    return {json.loads(path.read_text())["made_of"]["stage"]["precision"] for path in manifests}


def test_later_workspaces_take_the_first_measurement(tmp_path: Path, measured: Measured) -> None:
    assert [workspace_of(tmp_path).precision("auto") for _ in range(3)] == ["bf16"] * 3
    assert len(measured) == 3
    # Another place has its own, and what is said outright is never measured.
    assert workspace_of(tmp_path / "other").precision("auto") == "fp32"
    assert workspace_of(tmp_path / "none").precision(False) == "fp32"
    assert not (tmp_path / "none").exists()


def test_other_threads_or_another_processor_are_measured_for_themselves(
    tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workspace_of(tmp_path).precision("auto") == "bf16"
    monkeypatch.setattr(distilkit.pipeline.precision, "machine", lambda: {"cpu": "another"})
    assert workspace_of(tmp_path).precision("auto") == "fp32"
    monkeypatch.undo()
    assert len(json.loads((tmp_path / "precision.json").read_text())) == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", "null", '{"KEY": 1}', '{"KEY": {"precision": "fp8", "why": ""}}', "\0"]
)
def test_a_damaged_file_is_measured_again(tmp_path: Path, measured: Measured, damage: str) -> None:
    workspace_of(tmp_path).precision("auto")
    (key,) = json.loads((tmp_path / "precision.json").read_text())
    (tmp_path / "precision.json").write_text(damage.replace('"KEY"', json.dumps(key)))
    assert [workspace_of(tmp_path).precision("auto") for _ in range(2)] == ["fp32"] * 2
    assert len(measured) == 2


def test_all_processes_take_what_the_main_one_found(tmp_path: Path, measured: Measured) -> None:
    class Second(OneProcess):
        is_main = False

        def on_main(self, work: Callable[[], Any]) -> Any:
            return distilkit.training.precision.AutoPrecision("bf16", "the main process says so")

    workspace = Workspace(tmp_path, Second(), Reporter(quiet=True))
    assert (workspace.precision("auto"), len(measured)) == ("bf16", 4)


def test_a_resumed_run_keeps_what_it_began_with(
    tiny_recipe: Path, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = TrainedStage.build

    def stopping(stage: TrainedStage, folder: Path, workspace: Workspace) -> object:
        if stage.kind == "stage":
            raise Stopped("stopped; continue with --resume auto")
        return build(stage, folder, workspace)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedStage, "build", stopping)
        with pytest.raises(Stopped):
            execute(request_of(tiny_recipe, tmp_path), quiet=True)
    record = record_of(tmp_path / "tiny" / "run.json")
    assert (record["training"], record["evaluation"], record["auto"]["precision"]) == ("bf16", "bf16", "bf16")
    planned = plan(request_of(tiny_recipe, tmp_path)).steps
    (tmp_path / ".artifacts" / "precision.json").unlink()  # a new measurement would now speak for float32
    assert [step.key for step in plan(request_of(tiny_recipe, tmp_path, resume=True)).steps] == [
        step.key for step in planned
    ]
    execute(request_of(tiny_recipe, tmp_path, resume=True), quiet=True)
    assert (len(measured), trained_in(tmp_path)) == (3, {"bf16"})
    assert len(list((tmp_path / ".artifacts" / "teacher").glob("*/manifest.json"))) == 1
    assert record_of(tmp_path / "tiny" / "run.json") == record
    said = (tmp_path / "tiny" / "log.txt").read_text()
    assert (
        said.count(
            'in bfloat16, evaluation in bfloat16; bf16 = "auto" chose bfloat16, since bfloat16 was measured to be at'
        )
        == 2
    )


def test_all_runs_of_a_suite_have_one_precision(
    tiny_recipe: Path, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.pipeline.suite_run import execute_suite

    text = tiny_recipe.read_text().replace('name = "tiny"', 'name = "suite"')
    text = text.replace('[strategy]\nname = "simplified_tinybert"\n', "")
    path = tmp_path / "suite.toml"
    path.write_text(
        f'{text}\n[matrix]\nstrategies = ["fine_tune", "standard_kd"]\nstudents = ["bert_cat:L1_H16"]\nseeds = [1]\n'
    )

    prepare = Workspace.prepare

    def forgetful(workspace: Workspace, *targets: Artifact[Any]) -> None:
        (workspace.root / "precision.json").unlink(missing_ok=True)  # as on another machine
        prepare(workspace, *targets)

    monkeypatch.setattr(Workspace, "prepare", forgetful)
    execute_suite(request_of(path, tmp_path / "runs"), quiet=True)
    suite = tmp_path / "runs" / "suite"
    assert record_of(suite / "suite.json")["auto"]["precision"] == "bf16"
    assert {record_of(one)["auto"]["precision"] for one in suite.glob("*/run.json")} == {"bf16"}
    assert (len(measured), trained_in(tmp_path / "runs")) == (3, {"bf16"})


def test_a_run_without_auto_measures_nothing(tiny_recipe: Path, tmp_path: Path, measured: Measured) -> None:
    plain = "train.bf16=false", "teacher.train.bf16=false", "evaluate.bf16=true"
    folder = execute(request_of(tiny_recipe, tmp_path, *plain), quiet=True)
    assert folder is not None
    assert record_of(folder.run_json) == {"training": "fp32", "evaluation": "bf16", "auto": None}
    assert "precision: training in float32, evaluation in bfloat16\n" in folder.log.read_text()
    assert len(measured) == 4
