"""A trained stage: what its key is made of, what can be wrong with it, and how it is trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilkit.data.batches import total_steps
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.models import STUDENTS
from distilkit.pipeline.auxiliary_rankers import BatchTeacher
from distilkit.pipeline.build_objective import build_objective, save_result, start_student
from distilkit.pipeline.data import Data
from distilkit.pipeline.evaluation import Ranking
from distilkit.pipeline.examples import Countable
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.models import ModelNode, Size, Start, Teacher
from distilkit.pipeline.stage_checks import check_in_batch, check_offset, check_pair, check_teaching, check_text
from distilkit.pipeline.teacher_internals import TeacherInternals
from distilkit.pipeline.tokens import Reader, TextReader, Tokenizer, WordTokenizer
from distilkit.pipeline.topics import TopicExamples
from distilkit.pipeline.validation import Validation
from distilkit.pipeline.workspace import Workspace
from distilkit.strategies.stage import Stage, trained_macs
from distilkit.training.precision import Precision

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker
    from distilkit.training.step_loader import TrainingSet


@dataclass(frozen=True, eq=False)
class TrainedStage(ModelNode, Artifact[Path]):
    """One trained stage: its student, head, projections and events.

    Attributes:
        stage: losses, kind of examples and optimiser settings
        architecture: the student's
        start, before: the weights it starts from: a start, or the stage before
        teacher: whom it learns from, None for labels alone
        teacher_reader: the tokens of a teacher that is asked in every step and reads others than the student
        reader, examples: the student's tokens and what it is trained on
        precision: fp32, bf16 or fp16
        validation: the validation queries
        processes: how many processes train, which make the effective batch
        section: the recipe's table of its settings, for messages
        internals: what the teacher computed of the examples before, in place of every step
        said_of_internals: what is to be said of that, empty where the recipe asks for nothing of the kind
        in_batch: who scores all pairs of a batch for it
    """

    stage: Stage
    architecture: str
    start: Start
    before: "TrainedStage | None"
    teacher: Teacher | None
    teacher_reader: Reader | None
    scored_ahead: bool
    data: Data
    reader: Reader | TextReader
    examples: "Countable[TrainingSet]"
    precision: Precision
    validation: Validation
    processes: int
    section: str = "[train]"
    internals: TeacherInternals | None = None
    said_of_internals: str = ""
    in_batch: BatchTeacher | None = None

    kind: ClassVar[str] = "stage"
    together: ClassVar[bool] = True

    @property
    def tokenizer(self) -> Tokenizer:  # type: ignore[override]
        """The student's tokenizer."""
        return self.reader.tokenizer

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """Weights, tokens and examples; the teacher where it is asked in every step."""
        found: list[Node[Any]] = [self.before or self.start.source, self.reader, self.tokenizer, self.examples]
        if self.asks_teacher and self.teacher is not None:
            found += [*self.teacher.members, *([self.teacher_reader] if self.teacher_reader else [])]
        if self.internals is not None:
            found.append(self.internals)
        if self.stage.trains_scores:
            found += [*self.validation.inputs, self.scoring_reader]
        if self.in_batch is not None:
            found += [self.in_batch.model, self.in_batch.reader]
        return tuple(found)

    @property
    def auxiliary(self) -> "dict[str, TrainedStage]":
        """The stages that train the auxiliary rankers which this one asks, by what they are to it."""
        clusters = self.examples.clusters if isinstance(self.examples, TopicExamples) else None
        asked = {
            "encoder of queries": clusters.model if clusters else None,
            "in-batch teacher": self.in_batch.model if self.in_batch else None,
        }
        return {name: model for name, model in asked.items() if isinstance(model, TrainedStage)}

    @property
    def asks_teacher(self) -> bool:
        """Whether the teacher takes part in every step."""
        ahead = self.scored_ahead or self.internals is not None
        return self.teacher is not None and self.stage.uses_teacher and not ahead

    @property
    def scoring_reader(self) -> Reader:
        """The tokens that the student ranks by, whatever the stage trains on."""
        if isinstance(self.reader, Reader):
            return self.reader
        return self.tokens_of(self.data)

    def identity(self) -> dict[str, Any]:
        """Return everything that the stage's numbers depend on."""
        stage, teacher = self.stage, self.teacher
        identity: dict[str, Any] = {
            "architecture": self.architecture,
            "code": STUDENTS[self.architecture].code,
            "stage": stage.numbers(self.processes, self.precision),
            "start": {"stage": self.before.key} if self.before else self.start.identity(),
            "dropout": self.start.dropout,
            "teacher": teacher.identity if teacher and stage.uses_teacher else None,
            "scored_ahead": self.scored_ahead,
            "tokens": self.reader.key,
            "examples": self.examples.key,
        }
        if self.internals is not None:
            identity["internals"] = self.internals.key
        if self.in_batch is not None:
            identity["in_batch"] = {"teacher": self.in_batch.model.key, "tokens": self.in_batch.reader.key}
        if stage.trains_scores and (stage.train.eval_steps is not None or stage.train.eval_examples):
            identity["validation"] = self.validation.identity(self.reader)
        return identity

    @property
    def options(self) -> dict[str, Any]:
        """The options of the student's architecture."""
        return self.start.options

    # Sizes.

    @property
    def size(self) -> Size:
        """Layers, hidden size and intermediate size of the student's encoder."""
        return self.start.size

    @property
    def batch_size(self) -> int:
        """The examples of an optimiser step, over all devices and accumulated batches."""
        return self.stage.train.batch_size(self.processes)

    @property
    def pairs_per_step(self) -> int:
        """The pairs (or sequences of text) of an optimiser step."""
        return self.batch_size * self.stage.ways

    def steps(self, workspace: Workspace) -> int | None:
        """Return the optimiser steps of the training, None as long as the number of examples is not known."""
        train, examples = self.stage.train, self.examples.count(workspace)
        return train.max_steps if examples is None else total_steps(examples, self.batch_size, train)

    @property
    def step_macs(self) -> float:
        """The multiply-accumulates of an optimiser step, with those of a teacher that is asked in it."""
        teacher = self.teacher.model.macs(self.teacher_reader or self.reader) if self.asks_teacher else 0.0  # type: ignore[union-attr]
        return self.pairs_per_step * trained_macs(self.macs(self.reader), teacher + self.in_batch_macs)

    @property
    def in_batch_macs(self) -> float:
        """The multiply-accumulates of an in-batch teacher for a pair."""
        return self.in_batch.model.macs(self.in_batch.reader) if self.in_batch else 0.0

    @property
    def shape(self) -> str:
        """What the seconds of an optimiser step depend on."""
        train = self.stage.train
        teacher = [*self.teacher.model.size] if self.asks_teacher and self.teacher else None
        how = [train.freeze_embeddings, train.optim, train.torch_compile, self.start.dropout, self.precision]
        kept = {} if self.internals is None else {"internals": self.internals.dtype}
        what = {"terms": [type(term).__name__ for term in self.stage.terms], "teacher": teacher, "how": how, **kept}
        size = {"architecture": self.architecture, "size": self.size, "pairs": self.pairs_per_step}
        return content_key({**what, **size, "tokens": self.reader.key})[:16]

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of training and validation."""
        steps, train = self.steps(workspace) or 0, self.stage.train
        validations = 0
        if self.stage.trains_scores:
            validations = len(range(0, steps, train.eval_steps)) if train.eval_steps else 1
        return steps * workspace.rates.seconds(self.shape, self.step_macs) + validations * self.validation_ranking.work(
            workspace
        )

    # Building.

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Train the stage on all processes; raises RunFailed, and Stopped after a checkpoint."""
        from distilkit.models.load import load_tokenizer
        from distilkit.training.trainer import Trainer

        stage, processes, progress = self.stage, workspace.processes, workspace.progress
        assert workspace.checkpoints is not None
        reader: Node[Any] = self.reader
        tokens, objective = workspace.value(reader), build_objective(self, workspace, self.precision == "bf16")
        examples = workspace.value(self.examples)
        for said in self.examples.left_out(workspace):
            progress.say(said)
        pairs = examples.queries.ravel(), examples.passages.ravel()
        if isinstance(reader, Reader) and (cut := workspace.value(reader).cut(*pairs)).texts:
            progress.say(f"{stage.name}: {cut}")
        trainer = Trainer(
            stage=stage,
            objective=objective,
            examples=examples,
            tokens=tokens,
            precision=self.precision,
            processes=processes,
            reporter=progress,
            checkpoints=self.checkpoints(workspace.checkpoints),
            validate=self._validator(workspace),
            label=stage.name,
            work=workspace.rates.seconds(self.shape, self.step_macs),
            metric=self.metric,
            teacher_tokens=workspace.value(self.teacher_reader) if self.teacher_reader else None,
            internals=None if self.internals is None else workspace.value(self.internals),
        )
        if stage.score_offset != "none":
            from distilkit.training.offset import set_score_offset

            progress.say(f"{stage.name}: {set_score_offset(objective, trainer.loader, processes)}")
        with progress.recording(self.key, folder / "events.jsonl"):
            state = trainer.train()
        if processes.is_main:
            tokenizer = load_tokenizer(workspace.value(self.tokenizer))
            save_result(objective, folder, tokenizer, self.data.settings, stage.name, self.tokenizer.prefixes)
        facts = {
            "seconds": round(state.seconds, 3),
            "steps": state.step,
            "macs": state.step * self.step_macs,
            "examples": len(examples),
            "validation": state.validation,
            "best_step": state.best_step or state.step,
            "curve": state.curve,
            **({} if stage.score_offset == "none" else {"score_offset": objective.student.options.offset}),
        }
        return {**facts, "validated_on": self.validation.identity(self.reader)} if stage.trains_scores else facts

    def checkpoints(self, folder: Path) -> Path:
        """Return the folder of the stage's own checkpoints, out of that of a run's."""
        return folder / f"{self.kind}-{self.key[:16]}"

    def open(self, folder: Path, workspace: Workspace) -> Path:
        """Return the folder of the student."""
        return folder / "model"

    def load(self, workspace: Workspace) -> "Ranker":
        """Return the student, in evaluation mode."""
        from distilkit.models.load import load_ranker

        return load_ranker(workspace.value(self))

    # Validation.

    @property
    def metric(self) -> str:
        """The measure that chooses between results of the stage."""
        return self.validation.metric(self.stage.train.metric_for_best_model)

    @property
    def validation_ranking(self) -> Ranking:
        """The validation queries as the trained stage ranks them."""
        return Ranking(self, self.validation.queries, self.scoring_reader, self.validation.scorer, "validate")

    def validated(self, workspace: Workspace, metric: str | None = None) -> dict[str, float]:
        """Return what the trained stage reaches on the validation queries, by its own metric or another."""
        names = list(dict.fromkeys([*self.validation.measures, metric or self.metric]))
        known = self.known_validation(workspace)
        if set(names) <= known.keys():
            return {name: value for name, value in known.items() if name in names}
        # The run that trained it asked for something else.
        run = workspace.value(self.validation_ranking)
        return self.validation.measure(run, names, workspace)

    def known_validation(self, workspace: Workspace) -> dict[str, float]:
        """Return what training measured on these validation queries last, empty where it did not."""
        facts = workspace.facts(self)
        same = facts.get("validated_on") == self.validation.identity(self.reader)
        return (facts["validation"] or {}) if same else {}

    def _validator(self, workspace: Workspace) -> "Callable[[Ranker], dict[str, float]]":
        measures = list(dict.fromkeys([*self.validation.measures, self.metric]))
        validation, reader = self.validation, self.scoring_reader

        def validate(ranker: "Ranker") -> dict[str, float]:
            ranking = self.validation_ranking
            tokens, work = workspace.value(reader), ranking.pair_seconds(workspace)
            run = validation.scorer.rerank(ranker, tokens, validation.queries, "validate", work, workspace)
            return validation.measure(run, measures, workspace)

        return validate

    # What can be wrong.

    def untrained(self, workspace: Workspace, needs_head: bool) -> "Ranker":
        """Return the student before its first stage; of several stages of one start it is built once."""
        return workspace.value(StartingStudent(self.start, self.tokenizer.uncut))

    def check(self, workspace: Workspace) -> None:
        """Refuse settings, weights and shapes that would end the training later; what several runs share once."""
        if (checked := f"checked {self.key}") in workspace.tried:
            return
        try:
            _ = self.metric
        except UserError as error:
            raise UserError(f"{self.section} metric_for_best_model: {error}") from None
        check_teaching(self)
        check_in_batch(self)
        if isinstance(self.tokenizer, WordTokenizer) and not workspace.has(self.tokenizer):
            return  # A student of the collection's own words cannot be built before these are counted.
        student = self.untrained(workspace, needs_head=True)
        check_pair(self, student, workspace)
        check_text(self, student)
        check_offset(self, student)
        workspace.tried.add(checked)

    def shortened(self, steps: int) -> "TrainedStage":
        """Return the same stage with another number of steps."""
        train = self.stage.train.model_copy(update={"max_steps": steps})
        return replace(self, stage=replace(self.stage, train=train))


class TeacherStage(TrainedStage):
    """A stage that fine-tunes a teacher."""

    kind: ClassVar[str] = "teacher"


@dataclass(frozen=True, eq=False)
class StartingStudent(Node["Ranker"]):
    """A student before its first stage, for checks alone."""

    start: Start
    tokenizer: Tokenizer

    kind: ClassVar[str] = "starting_student"

    def identity(self) -> dict[str, Any]:
        """Return the start and the tokenizer."""
        return {"start": self.start.identity(), "tokenizer": self.tokenizer.key}

    def value(self, workspace: Workspace) -> "Ranker":
        """Build it; raises UserError where tokenizer and weights do not fit."""
        from distilkit.models.load import load_tokenizer, require_fit

        student, folder = start_student(self.start, self.tokenizer, workspace), workspace.value(self.tokenizer)
        require_fit(load_tokenizer(folder), student.config, folder)
        return student
