"""A recipe as nodes: its teachers, the student's stages and grid, and what is evaluated."""

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from distilkit.data.examples import draw_queries
from distilkit.data.prefixes import NONE
from distilkit.errors import UserError
from distilkit.evaluation.measures import canonical_all
from distilkit.files import expanded
from distilkit.models import STUDENTS
from distilkit.models.shape import STARTS
from distilkit.pipeline.auxiliary_rankers import AuxiliaryRankers
from distilkit.pipeline.content import content_of
from distilkit.pipeline.data import Data, QuerySet
from distilkit.pipeline.evaluation import EvaluationSet, RankerCost, Ranking, Scorer, TeacherRanking
from distilkit.pipeline.example_maker import first_stage_of
from distilkit.pipeline.graph import Node
from distilkit.pipeline.mined import CandidatePairs
from distilkit.pipeline.models import Start, StoredModel, Teacher, checkpoint
from distilkit.pipeline.stage_chain import StageChain
from distilkit.pipeline.teacher_scores import FileScores, ScoreFile, hash_of_scores
from distilkit.pipeline.teachers import ITSELF, members
from distilkit.pipeline.tokens import Tokenizer
from distilkit.pipeline.trained_stage import TeacherStage, TrainedStage
from distilkit.pipeline.validation import AgreementValidation, FileRanking, Validation
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import extended, grid_of, with_values
from distilkit.run_folders.record import trial_label
from distilkit.settings import EvaluateSettings, EvaluationSetSettings, Recipe, StudentSettings, TeacherSettings
from distilkit.strategies import label_strategy, losses_off, resolved_stages

NO_EFFECTIVENESS = (
    "trained without labels: the validation queries are not judged, and agreement with the teacher on them is no "
    "measure of effectiveness"
)
NOTHING_JUDGED = f"{NO_EFFECTIVENESS}; nothing is judged here, so that is all that is measured"


@dataclass(frozen=True)
class GridPoint:
    """One combination of grid values and the chain of stages that it trains; no values where there is no grid."""

    values: dict[str, Any]
    stages: list[TrainedStage]

    @property
    def label(self) -> str:
        """The values for people and events."""
        return trial_label(self.values)


class Pipeline:
    """The nodes of one recipe. Making it reads the collection, and builds nothing else."""

    def __init__(self, recipe: Recipe, workspace: Workspace, twin_of: str | None = None) -> None:
        self.recipe, self.workspace, self.twin_of = recipe, workspace, twin_of
        self._points: list[GridPoint] | None = None
        for architecture in (recipe.teacher.architecture, recipe.student.architecture):
            STUDENTS.resolve(architecture)
        data = Data.of(recipe.data, workspace)
        measured = [(name, self._data_of(one, data), one.split) for name, one in self._measured()]
        self.labelled = data.held_from(measured)
        self.data = replace(self.labelled, labels=recipe.train.labels)
        self.scorer = Scorer.of(recipe.evaluate, workspace)

    def _measured(self) -> list[tuple[str, EvaluateSettings | EvaluationSetSettings]]:
        settings = self.recipe.evaluate
        return [("test", settings), *settings.sets.items()]

    def _data_of(self, one: EvaluateSettings | EvaluationSetSettings, data: Data) -> Data:
        """Return the data of a query set: the recipe's own, or with the keys of [data] that the set changes."""
        if isinstance(one, EvaluationSetSettings) and one.data:
            return Data.of(extended(self.recipe.data, one), self.workspace)
        return data

    # Teachers.

    @cached_property
    def members(self) -> list[TeacherSettings]:
        """The rankers that teach: one, or those of an ensemble."""
        return members(self.recipe)

    @cached_property
    def bases(self) -> list[StoredModel]:
        """Their checkpoints, before any fine-tuning."""
        try:
            return [self._checkpoint(settings.model, settings) for settings in self.members]
        except UserError as error:
            if not self.recipe.teacher.models or not self.recipe.teachers:
                raise
            # What was meant may be a teacher's name.
            raise UserError(f"{error} (names are {', '.join((ITSELF, *self.recipe.teachers))})") from None

    def checkpoints(self) -> list[StoredModel]:
        """Return every checkpoint that teachers and students start from, each once."""
        starts = [point.stages[0].start for point in self.grid()]
        found = [*self.bases, *(one for start in starts for one in (start.source, start.own) if one is not None)]
        return list({one.folder: one for one in found}.values())

    def _checkpoint(self, reference: str, ranker: StudentSettings | TeacherSettings | None = None) -> StoredModel:
        return checkpoint(reference, self.data.tokenizer, ranker)

    @cached_property
    def score_file(self) -> ScoreFile | None:
        """The file that stands for the teacher, if `[teacher] scores` names one."""
        settings = self.recipe.teacher
        if settings.scores in ("cached", "online"):
            return None
        path, where = expanded(settings.scores), f"[teacher] scores = {settings.scores!r}"
        if not path.exists():
            raise UserError(f"{where}: expected 'cached', 'online' or a file, and there is none")
        if settings.fine_tune is not None:
            raise UserError(
                f"{where}: a teacher with scores from a file cannot be fine-tuned; expected no [teacher] fine_tune"
            )
        made_by = None
        if settings.model_fields_set & {"model", "models"}:
            length = self.recipe.data.max_length
            made_by = {"teachers": [{"weights": base.sha256, "max_length": length} for base in self.bases]}
        return ScoreFile(path, hash_of_scores(path), self.data, where, made_by, settings.targets)

    @property
    def has_ranker(self) -> bool:
        """Whether there is a teacher that ranks: with a file of scores, one that the recipe names beside it."""
        return self.score_file is None or self.score_file.made_by is not None

    @cached_property
    def teacher_chains(self) -> list[list[TrainedStage]]:
        """The stages that fine-tune each teacher; none for one that is used as it is."""
        return [self._teacher_chain(settings, base) for settings, base in zip(self.members, self.bases, strict=True)]

    @cached_property
    def teacher_queries(self) -> frozenset[str]:
        """The training queries, drawn from the judgements, that fine-tune the teachers."""
        if not any(self._is_tuned(one) for one in self.members):
            return frozenset()
        drawn = [one for one in self.members if self._is_tuned(one) and one.train.triples is None]
        judged, _ = self.labelled.judgements
        return frozenset(
            query for one in drawn for query in draw_queries(judged, one.train.train_queries, one.query_seed)
        )

    def _is_tuned(self, settings: TeacherSettings) -> bool:
        return settings.fine_tune is not None and self.score_file is None

    def _teacher_chain(self, settings: TeacherSettings, base: StoredModel) -> list[TrainedStage]:
        if settings.fine_tune is None or not self._is_tuned(settings):
            return []
        if settings.train.teacher_queries:
            raise UserError("[teacher.train] teacher_queries: a teacher has none but its own; expected false")
        strategy = label_strategy("[teacher] fine_tune", settings.fine_tune)
        stages = strategy.stages(settings.train, settings.seed)
        cut = StudentSettings(architecture=settings.architecture, shape=settings.shape) if settings.shape else None
        start = Start(base, cut, settings.dropout)
        architecture = STUDENTS.resolve(settings.architecture)
        if settings.train.labels == "none":
            raise UserError('[teacher.train] labels = "none": a teacher is fine-tuned on labels; expected "judgements"')
        chain = StageChain(
            *self._shared,
            TeacherStage,
            start,
            architecture,
            base.tokenizer,
            "[teacher.train]",
            self.labelled,
            self._judged,
            query_seed=settings.query_seed,
        )
        return chain.stages(stages)

    @cached_property
    def ranker(self) -> Teacher | None:
        """The teacher that the student is held against; None where a file of scores is all that there is."""
        if not self.has_ranker:
            return None
        models = (chain[-1] if chain else base for base, chain in zip(self.bases, self.teacher_chains, strict=True))
        return Teacher(tuple(models), self.recipe.teacher.combine)

    @cached_property
    def teacher(self) -> Teacher:
        """Whom the student's stages learn from."""
        if self.score_file is not None:
            return Teacher((), self.recipe.teacher.combine, self.score_file)
        assert self.ranker is not None
        return self.ranker

    # The student.

    def grid(self) -> list[GridPoint]:
        """Return every combination of the grid's values with its stages; a single one without a grid.

        With `grid_fraction` below 1 each of several is a trial of that share of the steps.
        """
        if self._points is not None:
            return self._points
        grid, fraction = grid_of(self.recipe), self.recipe.grid_fraction if self.retrains else 1.0
        combinations = itertools.product(*grid.values())
        points = [self.point(dict(zip(grid, values, strict=True)), fraction) for values in combinations]
        # The length of a trial is a share of steps that may be known only when the examples are there.
        if fraction == 1 or all(point.stages[-1].steps(self.workspace) is not None for point in points):
            self._points = points
        return points

    def point(self, values: dict[str, Any], fraction: float = 1.0) -> GridPoint:
        """Return the stages with some of the recipe's values changed, the last one cut to a share of its steps."""
        stages = self._student_chain(with_values(self.recipe, values) if values else self.recipe)
        if fraction < 1 and (steps := stages[-1].steps(self.workspace)) is not None:
            stages[-1] = stages[-1].shortened(max(1, math.ceil(steps * fraction)))
        return GridPoint(values, stages)

    @property
    def retrains(self) -> bool:
        """Whether the grid's points are trials, after which the chosen one is trained in full."""
        return self.recipe.grid_fraction < 1 and math.prod(map(len, grid_of(self.recipe).values())) > 1

    def _student_chain(self, recipe: Recipe) -> list[TrainedStage]:
        student = recipe.student
        source = self.bases[0] if student.source is None else self._checkpoint(student.source)
        own = None if student.start in STARTS else self._checkpoint(student.start, student)
        start = Start(source, student, student.dropout, own)
        whole = (own or source).tokenizer
        if own is None:
            # A student of the teacher's kind reads what the teacher reads, one of another kind its own.
            alike = student.source is None and self.members[0].architecture == student.architecture
            before = source.tokenizer.prefixes if alike else NONE
            before = before.changed(student.query_prefix, student.document_prefix)
            whole = self.data.tokenizer(source.folder, before)
        tokenizer: Tokenizer = whole
        if own is None and start.options.get("vocabulary") == "word":
            tokenizer = self.data.words()
        elif student.vocabulary == "collection":
            tokenizer = self.data.cut(whole, start.options.get("markers"))
        architecture = STUDENTS.resolve(student.architecture)
        stages = resolved_stages(recipe)
        more = self.teacher_queries if any(stage.train.teacher_queries for stage in stages) else frozenset()
        text = self.bases[0] if any(stage.examples == "text" for stage in stages) else None
        chain = StageChain(
            *self._shared,
            TrainedStage,
            start,
            architecture,
            tokenizer,
            "[train]",
            self.data,
            self.validation,
            self.teacher,
            teacher_queries=more,
            language_model=text,
            auxiliary=self._auxiliary,
        )
        return chain.stages(stages)

    @cached_property
    def _auxiliary(self) -> AuxiliaryRankers:
        return AuxiliaryRankers(
            self.recipe, self.data, self._checkpoint, lambda recipe: self._student_chain(recipe)[-1]
        )

    def auxiliary_stages(self) -> dict[str, TrainedStage]:
        """Return the stages that train the auxiliary rankers which the student's stages ask, by what they are."""
        stages = (stage for point in self.grid() for stage in point.stages)
        return {name: found for stage in stages for name, found in stage.auxiliary.items()}

    @property
    def _shared(self) -> tuple[Recipe, Workspace, Scorer]:
        """What the stages of teachers and of students have in common."""
        return self.recipe, self.workspace, self.scorer

    # Evaluation.

    @cached_property
    def validation(self) -> Validation:
        """The student's validation queries and how they are measured."""
        return self._judged if self.recipe.train.labels == "judgements" else self._agreeing

    @cached_property
    def _judged(self) -> Validation:
        _, qrels = self.labelled.judgements
        queries = self.labelled.query_set("dev", qrels, self.recipe.evaluate.rerank_depth)
        return Validation(queries, self.scorer, tuple(canonical_all(self.recipe.evaluate.measures)))

    @cached_property
    def _agreeing(self) -> Validation:
        """Validation by agreement with the teacher, on candidates from where those of training come."""
        train, (_, unjudged) = self.recipe.train, self.data.judgements
        split = "dev" if "dev" in self.data.collection.splits else "train"
        where = split, sorted(unjudged), self.recipe.evaluate.rerank_depth
        candidates = first_stage_of(train, "[train]", self.data, self.scorer, *where)
        queries = QuerySet(self.data.collection, unjudged, candidates)
        if self.ranker is not None:
            teacher = TeacherRanking.of(self.ranker, self.data, queries, self.scorer)
            return AgreementValidation.of(queries, self.scorer, teacher)
        assert self.score_file is not None
        scores = FileScores(self.score_file, self.teacher.combine, CandidatePairs(self.data, candidates))
        return AgreementValidation.of(queries, self.scorer, FileRanking(queries, scores))

    @cached_property
    def sets(self) -> list[EvaluationSet]:
        """The query sets that are measured, `test` first."""
        settings = self.recipe.evaluate
        unjudged = self.recipe.train.labels == "none" and settings.split not in self.data.collection.splits
        sets = [] if unjudged else [EvaluationSet("test", self.data, settings, settings.split)]
        for name, extra in settings.sets.items():
            changed = {"measures": extra.measures, "rerank_depth": extra.rerank_depth}
            own = settings.model_copy(update={key: value for key, value in changed.items() if value is not None})
            sets.append(EvaluationSet(name, self._data_of(extra, self.data), own, extra.split))
        return sets

    def teacher_ranking(self, one: EvaluationSet) -> TeacherRanking | None:
        """Return how the teacher ranks a query set; None where a file of scores is all that there is."""
        if self.ranker is None:
            return None
        return TeacherRanking.of(self.ranker, one.data, one.queries, self.scorer)

    def student_ranking(self, point: GridPoint, one: EvaluationSet) -> Ranking:
        """Return how the trained student ranks a query set."""
        last = point.stages[-1]
        return Ranking(last, one.queries, last.tokens_of(one.data), self.scorer, f"re-rank {one.name}")

    def teacher_validation(self, metric: str) -> float | None:
        """Return what the teacher reaches on the validation queries by a measure's canonical name."""
        from distilkit.evaluation.measures import evaluate

        if isinstance(self.validation, AgreementValidation):
            return 1.0  # with itself
        if self.ranker is None:
            return None
        if len(self.teacher_chains) == 1 and self.teacher_chains[0]:
            return self.teacher_chains[0][-1].validated(self.workspace, metric)[metric]
        queries = self.validation.queries
        run = TeacherRanking.of(self.ranker, self.data, queries, self.scorer).run(self.workspace)
        return evaluate(run, queries.qrels, [metric]).means[metric]

    def notes(self) -> list[str]:
        """Return what is to be said of the data: rules that were applied and counted, queries that are left out."""
        own = [
            f"{one.own} of {len(one.queries.qrels)} queries of the set {one.name} are documents themselves: each is "
            "left out of its own results, as BEIR does"
            for one in self.sets
            if one.own
        ]
        file = [] if self.score_file is None else self.score_file.notes
        if self.recipe.train.labels == "none":
            file = [*file, *losses_off(self.recipe), NO_EFFECTIVENESS if self.sets else NOTHING_JUDGED]
        notes = [*self.data.leaks, *(note for one in self.sets for note in one.data.notes), *own, *file]
        return list(dict.fromkeys(notes))

    # The whole graph.

    @cached_property
    def content(self) -> dict[str, Any]:
        """What is read from outside, by its content."""
        return content_of(self)

    def stages(self) -> list[TrainedStage]:
        """Return every stage of teachers, auxiliary rankers and grid points, each once."""
        points = [stage for point in self.grid() for stage in point.stages]
        before = [stage for chain in self.teacher_chains for stage in chain]
        return list(dict.fromkeys([*before, *self.auxiliary_stages().values(), *points]))

    def targets(self) -> list[Node[Any]]:
        """Return what a run leaves: trained stages, and rankings and costs of teacher and student on every query set.

        Which grid point is trained in full is not known before; of them all the first has the same size.
        """
        points = self.grid()
        chosen = self.point(points[0].values) if self.retrains else points[0]
        found: list[Node[Any]] = [*self.stages(), *chosen.stages]
        for one in self.sets:
            found.append(one.queries.candidates)
            teacher = self.teacher_ranking(one)
            if self.twin_of is None and teacher is not None:
                found += [*teacher.rankings, *teacher.costs]
            ranking = self.student_ranking(chosen, one)
            found += [ranking, RankerCost(ranking)]
        return found

    def to_count(self) -> list[Node[Any]]:
        """Return the artifacts that must be there before the examples of every stage can be counted."""
        return [node for stage in self.stages() for node in stage.examples.to_count]

    def first_stages(self) -> list[Node[Any]]:
        """Return the candidates of all measured queries: where they lack, the run ends before anything is trained."""
        return [self.validation.queries.candidates, *(one.queries.candidates for one in self.sets)]
