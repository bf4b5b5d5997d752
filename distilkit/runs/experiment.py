"""A recipe turned into work: which stages, from which weights, on which data. Shared by the plan and the run."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.evaluation.macs import encoder_macs
from distilkit.files import read_json
from distilkit.models import STUDENTS
from distilkit.models.references import content_hash, local_folder
from distilkit.recipe import extended, grid_of, with_values
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model, StageJob, Start
from distilkit.runs.materials import Materials
from distilkit.runs.references import References
from distilkit.runs.stages import Stages
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies import Stage, Strategy, named_table, parse_strategy, strategy_from_table

STARTS = ("random", "first_layers", "every_nth_layer")


@dataclass(frozen=True)
class GridPoint:
    """One combination of grid values and the chain of stages that it trains; no values where there is no grid."""

    values: dict[str, Any]
    jobs: list[StageJob]

    @property
    def label(self) -> str:
        """The values for people and events."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.values.items())


@dataclass(frozen=True)
class EvalSet:
    """One query set of the evaluation."""

    name: str
    materials: Materials
    evaluator: Evaluator
    split: str


class Experiment:
    """Everything that one recipe trains and measures."""

    def __init__(self, recipe: Recipe, artifacts: Artifacts, processes: Any) -> None:
        self.recipe, self.artifacts, self.processes = recipe, artifacts, processes
        self.reporter = artifacts.reporter
        self.materials = Materials(recipe.data, artifacts)
        self.evaluator = Evaluator(recipe.evaluate, processes, self.reporter)
        for architecture in (recipe.teacher.architecture, recipe.student.architecture):
            STUDENTS.resolve(architecture)

    @cached_property
    def base(self) -> Model:
        """The teacher's checkpoint, before any fine-tuning."""
        return reference(self.recipe.teacher.model)

    @cached_property
    def stages(self) -> Stages:
        """Where stages are trained."""
        general = self.recipe.general
        return Stages(self.materials, self.artifacts, self.base.folder, self.evaluator, self.processes, general)

    def references_of(self, eval_set: EvalSet) -> References:
        """Return where the first stage and the teacher are evaluated on a query set."""
        return References(self.artifacts, eval_set.evaluator, self.base.folder)

    @cached_property
    def sets(self) -> list[EvalSet]:
        """The query sets that are measured, `test` first."""
        settings = self.recipe.evaluate
        sets = [EvalSet("test", self.materials, self.evaluator, settings.split)]
        for name, extra in settings.sets.items():
            data = extended(self.recipe.data, extra)
            changed = {"measures": extra.measures, "rerank_depth": extra.rerank_depth}
            own = settings.model_copy(update={key: value for key, value in changed.items() if value is not None})
            materials = Materials(data, self.artifacts) if extra.data else self.materials
            sets.append(EvalSet(name, materials, Evaluator(own, self.processes, self.reporter), extra.split))
        return sets

    def teacher_jobs(self) -> list[StageJob]:
        """Return the stages that fine-tune the teacher; none where it is used as it is."""
        settings = self.recipe.teacher
        if settings.fine_tune is None:
            return []
        strategy = label_strategy("[teacher] fine_tune", settings.fine_tune)
        stages = strategy.stages(settings.train, settings.seed)
        start = Start(self.base, None, settings.dropout)
        return self._chain("teacher", stages, start, None, settings.architecture)

    def teacher(self, checkpoints: Path) -> Model:
        """Return the teacher, fine-tuned now if it must be."""
        model = self.base
        for job in self.teacher_jobs():
            model = self.stages.get(job, checkpoints)
        return model

    def teacher_validation(self, teacher: Model, metric: str) -> float:
        """Return what the teacher reaches on the validation queries by a measure's canonical name."""
        if jobs := self.teacher_jobs():
            return self.stages.validation(jobs[-1], metric)[metric]
        _, qrels = self.materials.judgements
        queries = self.materials.query_set("dev", qrels, self.evaluator.depth)
        references = References(self.artifacts, self.evaluator, self.base.folder)
        run, _ = references.model("teacher", teacher, self.materials, queries)
        return self.evaluator.measure(run, queries, [metric]).means[metric]

    def planned_teacher(self) -> Model:
        """Return the teacher as a stage's key knows it, trained or not."""
        jobs = self.teacher_jobs()
        if not jobs:
            return self.base
        artifact = self.stages.artifact(jobs[-1])
        return Model(self.artifacts.path(artifact) / "model", artifact.key)

    def grid(self) -> list[GridPoint]:
        """Return every combination of the grid's values with its stages; a single one without a grid.

        With `grid_fraction` below 1 each of several is a trial of that share of the steps.
        """
        grid, fraction = grid_of(self.recipe), self.recipe.grid_fraction if self.retrains else 1.0
        points = []
        for combination in itertools.product(*grid.values()):
            values = dict(zip(grid, combination, strict=True))
            points.append(self.point(values, fraction))
        return points

    def point(self, values: dict[str, Any], fraction: float = 1.0) -> GridPoint:
        """Return the stages with some of the recipe's values changed, the last one cut to a share of its steps."""
        jobs = self._student_jobs(with_values(self.recipe, values) if values else self.recipe)
        if fraction < 1:
            last = jobs[-1]
            steps = max(1, math.ceil(self.stages.size(last)[1] * fraction))
            train = last.stage.train.model_copy(update={"max_steps": steps})
            jobs[-1] = replace(last, stage=replace(last.stage, train=train))
        return GridPoint(values, jobs)

    @property
    def retrains(self) -> bool:
        """Whether the grid's points are trials, after which the chosen one is trained in full."""
        return self.recipe.grid_fraction < 1 and math.prod(map(len, grid_of(self.recipe).values())) > 1

    def _student_jobs(self, recipe: Recipe) -> list[StageJob]:
        student = recipe.student
        stages = resolved_stages(recipe)
        source = self.base if student.source is None else reference(student.source)
        checkpoint = None if student.start in STARTS else content_hash(student.start)
        start = Start(source, student, student.dropout, checkpoint)
        return self._chain("stage", stages, start, self.planned_teacher, student.architecture)

    def _chain(
        self, kind: str, stages: list[Stage], start: Start, teacher: Callable[[], Model] | None, architecture: str
    ) -> list[StageJob]:
        jobs: list[StageJob] = []
        before = None
        scores = "online" if self.recipe.teacher.scores == "online" else "cached"
        for stage in stages:
            taught_by = None
            if teacher is not None and stage.uses_teacher:
                # General distillation learns from the language model, before any fine-tuning.
                taught_by = self.base if stage.examples == "text" else teacher()
            selects = teacher is not None and self.recipe.data.passages is not None and stage.examples != "text"
            selector = teacher() if teacher is not None and selects else None
            job = StageJob(kind, stage, start, before, taught_by, architecture, scores, selector)  # type: ignore[arg-type]
            jobs.append(job)
            before = self.stages.artifact(job)
        return jobs

    def twin(self) -> Recipe | None:
        """Return the recipe of the label-only twin: the same student, seed and grid, without a teacher."""
        recipe = self.recipe
        if recipe.twin.budget == "none" or recipe.strategy["name"] == "fine_tune":
            return None
        strategy = label_strategy("[twin] strategy", recipe.twin.strategy)
        table = recipe.model_dump(mode="json", by_alias=True)
        table.update(
            name=f"{recipe.name}-label_only",
            strategy=named_table(strategy),
            twin={"budget": "none"},
            grid={key: values for key, values in grid_of(recipe).items() if not key.startswith("strategy.")},
        )
        jobs = self.point({key: values[0] for key, values in grid_of(recipe).items()}).jobs
        lists = strategy.stages(recipe.train, recipe.seed)[-1].examples == "lists"
        if lists and jobs[-1].stage.examples == "pairs":
            size = recipe.train.per_device_train_batch_size // (1 + recipe.train.negatives)
            table["train"]["per_device_train_batch_size"] = max(1, size)
        if recipe.twin.budget == "compute" or len(jobs) > 1 or lists:
            table["train"]["max_steps"] = self._twin_steps(jobs, recipe.twin.budget)
        # Its budget is the student's, whatever the recipe says of a stage of that name.
        own = table["stages"].get(strategy.stages(recipe.train, recipe.seed)[-1].name, {})
        for key in ("max_steps", "num_train_epochs", "per_device_train_batch_size"):
            own.pop(key, None)
        return Recipe.model_validate(table)

    def _twin_steps(self, jobs: list[StageJob], budget: str) -> int:
        """Return as many label-only steps as the student's stages take, or as cost as many multiply-accumulates.

        A trained forward pass costs three (itself and twice that for the gradients), a frozen one costs one.
        """
        length = self.recipe.data.max_length
        student, teacher = (
            encoder_macs(*size, length) for size in (self.student_size(), encoder_size(self.base.folder))
        )
        steps = 0.0
        for job in jobs:
            _, own = self.stages.size(job)
            # Scores that a teacher gave ahead, for all runs, count as if it had given them for this one.
            steps += own * (1 + teacher / (3 * student) if budget == "compute" and job.stage.uses_teacher else 1)
        return math.ceil(steps)

    def student_size(self) -> tuple[int, int, int]:
        """Return the student's layers, hidden and intermediate size."""
        from distilkit.models.shape import INTERMEDIATE_SIZES, Shape

        student = self.recipe.student
        if student.start not in STARTS:
            return encoder_size(local_folder(student.start))
        source = encoder_size(self.base.folder if student.source is None else local_folder(student.source))
        if student.shape is None:
            return source
        shape = Shape.parse(student.shape)
        if shape.hidden == source[1]:
            return shape.layers, shape.hidden, source[2]
        return shape.layers, shape.hidden, INTERMEDIATE_SIZES.get((shape.layers, shape.hidden), 4 * shape.hidden)


def resolved_stages(recipe: Recipe) -> list[Stage]:
    """Return a recipe's stages, each with its own settings of [stages.NAME]; text is drawn by `general_seed`."""
    stages = strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)
    settled = []
    for stage in stages:
        own = recipe.stages.get(stage.name, {})
        train = TrainSettings.model_validate({**recipe.train.model_dump(exclude_unset=True), **own})
        seed = recipe.general_seed if stage.examples == "text" else stage.seed
        settled.append(replace(stage, train=train, seed=seed))
    return settled


def label_strategy(key: str, text: str) -> Strategy:
    """Return the strategy of a key that takes one without a teacher; raises UserError that names the key."""
    try:
        strategy = parse_strategy(text)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    if any(stage.uses_teacher for stage in strategy.stages(TrainSettings(), 1)):
        raise UserError(f"{key} = {text!r} needs a teacher itself; expected fine_tune(...)")
    return strategy


def reference(name: str) -> Model:
    """Return the weights of a model reference; raises UserError where there are none."""
    return Model(local_folder(name), content_hash(name))


def encoder_size(folder: Path) -> tuple[int, int, int]:
    """Return layers, hidden size and intermediate size from a model's config.json, whatever its type calls them."""
    config = read_json(folder / "config.json")
    hidden = config.get("hidden_size", config.get("dim"))
    return (
        config.get("num_hidden_layers", config.get("n_layers")),
        hidden,
        config.get("intermediate_size", config.get("hidden_dim", 4 * hidden)),
    )
