"""A recipe turned into work: which stages, from which weights, on which data. Shared by the plan and the run."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.macs import encoder_macs
from distilkit.models.references import content_hash, local_folder
from distilkit.models.shape import STARTS, cut_size, encoder_size
from distilkit.progress import ProcessGroup
from distilkit.recipe import extended, grid_of, with_values
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model, ScoreFile, StageJob, Start, Teacher, chosen_options
from distilkit.runs.materials import Materials
from distilkit.runs.references import References
from distilkit.runs.stages import Stages
from distilkit.runs.targets import hash_of_scores
from distilkit.runs.teachers import ITSELF, members
from distilkit.settings import Recipe, StudentSettings, TeacherSettings, TrainSettings
from distilkit.strategies import Stage, Strategy, named_table, parse_strategy, strategy_from_table
from distilkit.strategies.stage import trained_macs


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

    def __init__(self, recipe: Recipe, artifacts: Artifacts, processes: ProcessGroup) -> None:
        self.recipe, self.artifacts, self.processes = recipe, artifacts, processes
        self.reporter = artifacts.reporter
        self.materials = Materials(recipe.data, artifacts)
        self.evaluator = Evaluator(recipe.evaluate, processes, self.reporter)
        for architecture in (recipe.teacher.architecture, recipe.student.architecture):
            STUDENTS.resolve(architecture)

    @cached_property
    def members(self) -> list[TeacherSettings]:
        """The rankers that teach: one, or those of an ensemble."""
        return members(self.recipe)

    @cached_property
    def bases(self) -> list[Model]:
        """Their checkpoints, before any fine-tuning."""
        try:
            return [reference(settings.model) for settings in self.members]
        except UserError as error:
            if not self.recipe.teacher.models or not self.recipe.teachers:
                raise
            # What was meant may be a teacher's name.
            raise UserError(f"{error} (names are {', '.join((ITSELF, *self.recipe.teachers))})") from None

    @property
    def base(self) -> Model:
        """The first teacher's checkpoint, which the student is cut out of where it names no other source."""
        return self.bases[0]

    @cached_property
    def stages(self) -> Stages:
        """Where stages are trained."""
        return Stages(self.materials, self.artifacts, self.evaluator, self.processes, self.recipe.general)

    def references_of(self, eval_set: EvalSet) -> References:
        """Return where the first stage and the teacher are evaluated on a query set."""
        return References(self.artifacts, eval_set.evaluator)

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

    @cached_property
    def teacher_chains(self) -> list[list[StageJob]]:
        """The stages that fine-tune each teacher; none for one that is used as it is."""
        return [self._teacher_chain(settings, base) for settings, base in zip(self.members, self.bases, strict=True)]

    def _teacher_chain(self, settings: TeacherSettings, base: Model) -> list[StageJob]:
        if settings.fine_tune is None or self.score_file is not None:
            return []
        strategy = label_strategy("[teacher] fine_tune", settings.fine_tune)
        stages = strategy.stages(settings.train, settings.seed)
        cut = StudentSettings(architecture=settings.architecture, shape=settings.shape) if settings.shape else None
        start = Start(base, cut, settings.dropout)
        return self._chain("teacher", stages, start, None, settings.architecture, base.tokenizer)

    def teacher_jobs(self) -> list[StageJob]:
        """Return the stages that fine-tune the teachers."""
        return [job for chain in self.teacher_chains for job in chain]

    @cached_property
    def score_file(self) -> ScoreFile | None:
        """The file that stands for the teacher, if `[teacher] scores` names one."""
        scores = self.recipe.teacher.scores
        if scores in ("cached", "online"):
            return None
        path = Path(scores).expanduser()
        if not path.exists():
            raise UserError(f"[teacher] scores = {scores!r}: expected 'cached', 'online' or a file, and there is none")
        return ScoreFile(path, hash_of_scores(path))

    def teacher(self, checkpoints: Path) -> Teacher | None:
        """Return the teacher as a ranker, fine-tuned now if it must be; None where a file is all that there is."""
        if not self.has_ranker:
            return None
        models = []
        for place, (base, chain) in enumerate(zip(self.bases, self.teacher_chains, strict=True), 1):
            self.reporter.prefix = "teacher: " if len(self.bases) == 1 else f"teacher {place}/{len(self.bases)}: "
            models.append(base)
            for job in chain:
                models[-1] = self.stages.get(job, checkpoints)
        return Teacher(tuple(models), self.recipe.teacher.combine)

    @property
    def has_ranker(self) -> bool:
        """Whether there is a teacher that ranks: with a file of scores, one that the recipe names beside it."""
        return self.score_file is None or bool(self.recipe.teacher.model_fields_set & {"model", "models"})

    def teacher_validation(self, teacher: Teacher | None, metric: str) -> float | None:
        """Return what the teacher reaches on the validation queries by a measure's canonical name."""
        if teacher is None:
            return None
        if len(self.teacher_chains) == 1 and (jobs := self.teacher_jobs()):
            return self.stages.validation(jobs[-1], metric)[metric]
        _, qrels = self.materials.judgements
        queries = self.materials.query_set("dev", qrels, self.evaluator.depth)
        run, _ = self.references_of(self.sets[0]).ranker("teacher", teacher, self.materials, queries)
        return self.evaluator.measure(run, queries, [metric]).means[metric]

    def planned_ranker(self) -> Teacher | None:
        """Return the teacher as an artifact's key knows it, trained or not; None where a file is all that there is."""
        if not self.has_ranker:
            return None
        models = [
            self.stages.planned(chain[-1]) if chain else base
            for base, chain in zip(self.bases, self.teacher_chains, strict=True)
        ]
        return Teacher(tuple(models), self.recipe.teacher.combine)

    def _planned_teacher(self) -> Teacher:
        """Return whom the student's stages learn from."""
        if self.score_file is not None:
            return Teacher((), self.recipe.teacher.combine, self.score_file)
        ranker = self.planned_ranker()
        assert ranker is not None
        return ranker

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
        tokenizer = source.tokenizer if checkpoint is None else local_folder(student.start)
        if checkpoint is None and chosen_options(student).get("vocabulary") == "word":
            tokenizer = self.materials.words()
        return self._chain("stage", stages, start, self._planned_teacher, student.architecture, tokenizer)

    def _chain(
        self,
        kind: str,
        stages: list[Stage],
        start: Start,
        teacher: Callable[[], Teacher] | None,
        architecture: str,
        tokenizer: Path,
    ) -> list[StageJob]:
        jobs: list[StageJob] = []
        before = None
        scores: Literal["cached", "online"] = "online" if self.recipe.teacher.scores == "online" else "cached"
        for stage in stages:
            taught_by = None
            if teacher is not None and stage.uses_teacher:
                # General distillation learns from the language model, before any fine-tuning.
                taught_by = Teacher((self.base,)) if stage.examples == "text" else teacher()
            selects = teacher is not None and self.recipe.data.passages is not None and stage.examples != "text"
            selector = teacher() if teacher is not None and selects else None
            job = StageJob(kind, stage, start, before, taught_by, architecture, tokenizer, scores, selector)
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
        """Return as many label-only steps as the student's stages take, or as cost as many multiply-accumulates."""
        length = self.recipe.data.max_length
        student, teacher = encoder_macs(*self.student_size(), length), sum(self.teacher_macs())
        steps = 0.0
        for job in jobs:
            _, own = self.stages.size(job)
            # Scores that a teacher gave ahead, for all runs, count as if it had given them for this one.
            taught = budget == "compute" and job.stage.uses_teacher
            steps += own * (trained_macs(student, teacher) / trained_macs(student) if taught else 1)
        return math.ceil(steps)

    def teacher_macs(self) -> list[float]:
        """Return the multiply-accumulates of each teacher for a pair of the greatest length."""
        length = self.recipe.data.max_length
        return [
            float(encoder_macs(*cut_size(base.folder, settings.shape), length))
            for settings, base in zip(self.members, self.bases, strict=True)
        ]

    def student_size(self) -> tuple[int, int, int]:
        """Return the student's layers, hidden and intermediate size."""
        student = self.recipe.student
        if student.start not in STARTS:
            return encoder_size(local_folder(student.start))
        return cut_size(self.base.folder if student.source is None else local_folder(student.source), student.shape)


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
    folder = local_folder(name)
    return Model(folder, content_hash(name), folder)
