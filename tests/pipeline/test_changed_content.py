"""A run that is resumed in another world than it was started in never mixes the two."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import Stopped
from distilkit.manifest import write_manifest
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess


class World:
    """A recipe with data, a teacher, triples and a text of its own, and the runs that are made of them."""

    def __init__(
        self, folder: Path, recipe: Path, data: Path, model: Path, make_checkpoint: Callable[..., None]
    ) -> None:
        self.make_checkpoint = make_checkpoint
        self.folder, self.runs, self.data, self.model = folder, folder / "runs", folder / "data", folder / "model"
        self.recipe = folder / "tiny.toml"
        shutil.copytree(data, self.data)
        shutil.copytree(model, self.model)
        text = recipe.read_text().replace(json.dumps(str(data)), json.dumps(str(self.data)))
        self.recipe.write_text(text.replace(json.dumps(str(model)), json.dumps(str(self.model))))

    @property
    def run(self) -> Path:
        return self.runs / "tiny"

    def files(self) -> dict[str, bytes]:
        """Return what the run's folder holds of results and of the record."""
        timed = "cost.json", "manifest.json"  # latencies are measured anew
        found = [path for path in self.run.rglob("*") if path.is_file() and "eval" in path.parts]
        found = [path for path in found if path.name not in timed]
        return {str(path): path.read_bytes() for path in [self.run / "run.json", *found]}


@pytest.fixture
def world(
    tmp_path: Path,
    tiny_recipe: Path,
    tiny_beir: Path,
    tiny_checkpoint: Path,
    make_checkpoint: Callable[..., None],
) -> World:
    return World(tmp_path, tiny_recipe, tiny_beir, tiny_checkpoint, make_checkpoint)


Run = Callable[..., Any]


@pytest.fixture
def run(world: World, cli: Callable[..., Any]) -> Run:
    """Return a function that runs the recipe."""

    def call(*words: str, twin: str = "none") -> Any:
        return cli("run", world.recipe, "--runs-dir", world.runs, "--set", f"twin.budget={twin}", *words)

    return call


def stop_before(monkeypatch: pytest.MonkeyPatch, kind: str, run: Callable[[], Any]) -> None:
    """Run until a stage of a kind would be trained."""
    build = TrainedStage.build

    def stopping(stage: TrainedStage, folder: Path, workspace: Workspace) -> object:
        if stage.kind == kind:
            raise Stopped("stopped; continue with --resume auto")
        return build(stage, folder, workspace)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedStage, "build", stopping)
        assert run().code == 130


def invert(path: Path) -> None:
    """Judge another passage relevant to each query."""
    head, *rows = path.read_text().splitlines()
    fields = [row.split("\t") for row in rows]
    moved = [f"{query}\td{(int(passage[1:]) + 1) % 40}\t{grade}" for query, passage, grade in fields]
    path.write_text("\n".join([head, *moved]) + "\n")


def judge_otherwise(world: World) -> str:
    invert(world.data / "qrels" / "test.tsv")
    return "judgements of the split test"


def train_on_others(world: World) -> str:
    invert(world.data / "qrels" / "train.tsv")
    return "judgements of the split train"


def validate_on_others(world: World) -> str:
    invert(world.data / "qrels" / "dev.tsv")
    return "judgements of the split dev"


def rewrite_a_passage(world: World) -> str:
    path = world.data / "corpus.jsonl"
    path.write_text(path.read_text().replace("slow", "quick"))
    return "passages"


def rewrite_a_query(world: World) -> str:
    path = world.data / "queries.jsonl"
    path.write_text(path.read_text().replace("what", "which"))
    return "queries"


def replace_the_teacher(world: World) -> str:
    shutil.rmtree(world.model)
    world.make_checkpoint(world.model, seed=7)
    return f"content of the model {world.model}"


def change_the_tokenizer(world: World) -> str:
    path = world.model / "tokenizer.json"
    path.write_text(path.read_text().replace('"Lowercase"', '"NFC"'))
    return f"content of the model {world.model}"


def forget_content(world: World) -> None:
    """Leave the record that an earlier version wrote."""
    path = world.run / "run.json"
    record = json.loads(path.read_text())
    del record["content"], record["hash"]
    path.write_text(json.dumps(record))


CHANGES = [
    judge_otherwise,
    train_on_others,
    validate_on_others,
    rewrite_a_passage,
    rewrite_a_query,
    replace_the_teacher,
    change_the_tokenizer,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["teacher", "stage"])
def test_a_changed_world_is_refused_in_one_sentence(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[World], str], kind: str
) -> None:
    stop_before(monkeypatch, kind, run)
    before = world.files()
    what = change(world)
    code, _, said = run("--resume", "auto")
    expected = f"distilkit: {world.run} was started with other {what} than there are now; put them back to resume it"
    assert (code, said.splitlines()[-1].startswith(expected)) == (2, True), said
    assert world.files() == before


def test_what_is_put_back_goes_on(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_before(monkeypatch, "stage", run)
    kept = (world.data / "qrels" / "test.tsv").read_text()
    judge_otherwise(world)
    assert run("--resume", "auto").code == 2
    (world.data / "qrels" / "test.tsv").write_text(kept)
    assert run("--resume", "auto").code == 0


def test_another_number_of_processes_is_refused(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_before(monkeypatch, "stage", run)
    monkeypatch.setattr("distilkit.training.processes.Processes", lambda: Two())
    code, _, said = run("--resume", "auto")
    assert code == 2
    assert "was started with 1 process, not 2 processes, whose steps would read other batches" in said


class Two(OneProcess):
    """A group that says it has two processes; this one does the work of all."""

    count = 2
    rank = 0

    def require_together(self, problem: str) -> None:
        """Return at once: the other process, which is this one too, fails alike."""


def test_files_beside_the_collection_are_told_by_their_content(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    triples = world.folder / "triples.tsv"
    rows = [f"q{query}\td{query}\td{(query + 9) % 40}\n" for query in range(20)]
    triples.write_text("".join(rows))
    words = ("--set", f"train.triples={json.dumps(str(triples))}")
    stop_before(monkeypatch, "stage", lambda: run(*words))
    triples.write_text("".join(reversed(rows)))
    code, _, said = run("--resume", "auto", *words)
    assert code == 2
    assert f"was started with other content of the triples {triples} than there are now" in said


def test_the_record_names_what_was_read(world: World, run: Run) -> None:
    assert run().code == 0
    content = json.loads((world.run / "run.json").read_text())["content"]
    assert content.keys() == {"fingerprint", "data", "sets", "read", "processes", "teacher", "references"}
    assert content["read"].keys() == {f"the model {world.model}"}
    assert content["sets"]["test"].keys() == {"passages", "queries", "judgements"}
    manifest = json.loads((world.run / "eval" / "test" / "manifest.json").read_text())
    assert manifest["made_of"]["judgements"] == content["sets"]["test"]["judgements"]
    files = {"run.trec", "per_query.csv", "measures.json", "cost.json", "qrels.tsv", "ir-metadata.yml"}
    assert manifest["files"].keys() == files
    for reference in ("bm25", "teacher"):
        own = json.loads((world.run / "eval" / "test" / "references" / reference / "manifest.json").read_text())
        assert own["made_of"]["content"] == manifest["made_of"]["content"]


def test_results_of_something_else_are_made_anew(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update of distilkit, which computes another key of the same content."""
    assert run().code == 0
    whole = world.files()
    status = world.run / "status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "state": "stopped"}))
    for path in [*world.run.rglob("measures.json"), *world.run.rglob("per_query.csv")]:
        path.write_text("of something else")
    (world.run / "model" / "config.json").unlink()  # which shares its place on disk with that of the artifact
    (world.run / "model" / "config.json").write_text("of something else")
    for path in [*world.run.rglob("manifest.json")]:
        write_manifest(path.parent, {"key": "0" * 64}, json.loads(path.read_text())["files"])
    assert run("--resume", "auto").code == 0
    assert world.files() == whole
    assert json.loads((world.run / "model" / "config.json").read_text())


def test_a_run_of_an_earlier_version_is_measured_anew(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has neither keys of its content nor manifests of its results."""
    stop_before(monkeypatch, "stage", run)
    forget_content(world)
    measures = world.run / "eval" / "test" / "references" / "bm25" / "measures.json"
    kept = measures.read_text()
    for path in world.run.rglob("manifest.json"):
        path.unlink()
    measures.write_text(kept.replace("0.", "0.9"))
    assert run("--resume", "auto").code == 0
    assert measures.read_text() == kept


def test_an_earlier_version_s_run_of_other_data_is_refused(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_before(monkeypatch, "stage", run)
    forget_content(world)
    judge_otherwise(world)
    code, _, said = run("--resume", "auto")
    assert (code, "was started with other data than there are now" in said) == (2, True)


def test_a_suite_s_finished_runs_are_of_the_same_world(
    world: World, run: Run, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = world.recipe.read_text().replace('[strategy]\nname = "simplified_tinybert"\n', "")
    world.recipe.write_text(
        f'{text}\n[matrix]\nstrategies = ["fine_tune", "standard_kd"]\nstudents = ["bert_cat:L1_H16"]\nseeds = [1]\n'
    )
    build, trained = TrainedStage.build, list[str]()

    def stopping(stage: TrainedStage, folder: Path, workspace: Workspace) -> object:
        trained.append(stage.kind)
        if trained.count("stage") == 2:
            raise Stopped("stopped; continue with --resume auto")
        return build(stage, folder, workspace)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedStage, "build", stopping)
        assert run().code == 130
    judge_otherwise(world)
    code, _, said = run("--resume", "auto")
    assert (code, "other judgements of the split test" in said) == (2, True), said
    shutil.rmtree(next(world.run.glob("fine_tune-*")))  # the finished one
    code, _, said = run("--resume", "auto")
    assert (code, "other judgements of the split test" in said) == (2, True), said


def test_a_twin_of_another_world_is_not_taken_up(world: World, run: Run) -> None:
    assert run(twin="steps").code == 0
    shutil.rmtree(world.run)
    judge_otherwise(world)
    code, _, said = run(twin="steps")
    assert code == 2
    assert f"{world.runs / 'tiny-label_only'} was started with other judgements of the split test" in said
    assert not world.run.exists()
