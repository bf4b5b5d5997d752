"""Every strategy beyond the five papers trains the students that its method allows, with labels and without."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_rankers import OPTIONS

from distilkit.errors import UserError
from distilkit.pipeline.checks import check
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.problems import to_toml
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

# Each with the students that learn by it, where not all do.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "listwise(student_temperature=2.0)": (),
    "ranking_imitation": (),
    "contrastive(temperature=0.5)": (),
    "curriculum_margin": (),
    "minilm(relation_heads=4)": ("bert_cat",),
    "tas_balanced(clusters=3)": ("bert_dot", "colbert"),
}
WITHOUT_LABELS = {
    "pointwise_mse": [],
    "listwise": [],
    "curriculum_margin": [],
    "standard_kd": ["hard"],
    "minilm": ["hard"],
    "simplified_tinybert": ["hard"],
}

Make = Callable[..., Pipeline]


@pytest.fixture(scope="module")
def make(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return what makes the pipeline of a strategy and a student, whose artifacts all of them share."""
    root = tmp_path_factory.mktemp("strategies")

    def pipeline(strategy: str, student: str, *more: str) -> Pipeline:
        name, _, given = strategy.partition("(")
        keys = ", ".join(part for part in (f'name = "{name}"', given.removesuffix(")")) if part)
        options = {key: OPTIONS[key] for key in {student, "colbert"}}  # whom tas_balanced asks for whole batches
        settings = [
            *(f"strategy={{{keys}}}", f"student.architecture={student}", f"student.options={to_toml(options)}"),
            *("data.query_length=8", "data.document_length=16", "data.validation_queries=2"),
            *("teacher.fine_tune=none", "train.max_steps=2", "train.negatives=3", "train.negative_depth=12"),
            *("train.per_device_train_batch_size=2", "train.gradient_accumulation_steps=2", "evaluate.rerank_depth=3"),
            *more,
        ]
        if student == "tk":
            settings += ['student.start="random"', "student.shape=none"]
        workspace = Workspace(root / ".artifacts", Processes(), Reporter(quiet=True), checkpoints=root / "checkpoints")
        return Pipeline(load_recipe(tiny_recipe, settings), workspace)

    return pipeline


def trained(pipeline: Pipeline) -> list[str]:
    """Check and train a student's stages, and return the losses that they were trained by."""
    check(pipeline)
    stages = pipeline.grid()[0].stages
    pipeline.workspace.prepare(*stages)
    for stage in stages:
        # A curriculum's groups share the steps.
        assert pipeline.workspace.facts(stage)["steps"] in (1, 2)
        assert stage.load(pipeline.workspace).architecture == stage.architecture
    return [term.name for stage in stages for term in stage.stage.terms]


@pytest.mark.parametrize("student", OPTIONS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_student_is_trained_where_the_method_allows(strategy: str, student: str, make: Make) -> None:
    allowed = STRATEGIES[strategy]
    if not allowed or student in allowed:
        assert trained(make(strategy, student))
        return
    with pytest.raises(UserError, match=r"reads the student's intermediate layers|scores all pairs of a batch"):
        check(make(strategy, student))


@pytest.mark.parametrize("strategy", WITHOUT_LABELS)
def test_it_is_trained_without_labels(strategy: str, make: Make) -> None:
    pipeline = make(strategy, "bert_cat", "train.labels=none")
    losses = trained(pipeline)
    off = [note for note in pipeline.notes() if note.startswith("without labels the loss ")]
    assert [note.split()[4] for note in off] == WITHOUT_LABELS[strategy]
    assert not {"hard", "list", "contrastive"} & set(losses)
