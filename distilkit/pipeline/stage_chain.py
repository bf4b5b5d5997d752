"""How the stages of a ranker become nodes of the graph: what each reads, whom it learns from, what it goes on from."""

from dataclasses import dataclass
from typing import Any

from distilkit.pipeline.auxiliary_rankers import AuxiliaryRankers
from distilkit.pipeline.data import Data
from distilkit.pipeline.evaluation import Scorer
from distilkit.pipeline.example_maker import ExampleMaker
from distilkit.pipeline.examples import Countable, TextExamples
from distilkit.pipeline.models import Start, StoredModel, Teacher
from distilkit.pipeline.teacher_internals import InternalsChoice, choose_internals
from distilkit.pipeline.tokens import Reader, TextReader, TextSequences, Tokenizer
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.validation import Validation
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import Recipe
from distilkit.strategies import Stage


@dataclass(frozen=True)
class StageChain:
    """What the stages of one ranker have in common: where they start, whom they learn from, and their settings.

    `language_model` teaches general distillation, which comes before any fine-tuning; `auxiliary` makes the auxiliary
    rankers; `query_seed` draws the training queries, the stage's own seed where it is None, and `teacher_queries` are
    read beside them where a stage says so.
    """

    recipe: Recipe
    workspace: Workspace
    scorer: Scorer
    kind: type[TrainedStage]
    start: Start
    architecture: str
    tokenizer: Tokenizer
    section: str
    data: Data
    validation: Validation
    teacher: Teacher | None = None
    query_seed: int | None = None
    teacher_queries: frozenset[str] = frozenset()
    language_model: StoredModel | None = None
    auxiliary: AuxiliaryRankers | None = None

    def stages(self, stages: list[Stage]) -> list[TrainedStage]:
        """Return the nodes of stages that go on from one another."""
        found: list[TrainedStage] = []
        for stage in stages:
            found.append(self._stage(stage, found[-1] if found else None))
        return found

    def _stage(self, stage: Stage, before: TrainedStage | None) -> TrainedStage:
        teacher = self.teacher if stage.uses_teacher else None
        on_text = stage.examples == "text"
        if teacher is not None and on_text:
            assert self.language_model is not None
            teacher = Teacher((self.language_model,))
        scored_ahead = teacher is not None and stage.uses_scores_alone and self.recipe.teacher.scores != "online"
        reader: Reader | TextReader
        examples: Countable[Any]
        if on_text:
            sequences = TextSequences(self.recipe.general, self.data.collection, self.tokenizer)
            reader = TextReader(sequences, stage.seed)
            examples = TextExamples(reader)
        else:
            reader = self.data.reader(self.tokenizer, self.architecture, self.start.options)
            made_of = self.recipe, self.data, self.scorer, self.teacher, self.section, self.tokenizer
            more = self.teacher_queries if stage.train.teacher_queries else frozenset()
            examples = ExampleMaker(*made_of, self.query_seed, more).examples(stage, teacher if scored_ahead else None)
        if stage.topics is not None and self.auxiliary is not None:
            examples = self.auxiliary.by_topic(stage, stage.topics, examples)
        precision, known = self.workspace.precision(stage.train.bf16, stage.train.fp16), InternalsChoice()
        if teacher is not None and not scored_ahead and len(teacher.members) == 1 and teacher.file is None:
            read = teacher.model, self.start.size[0], examples, reader
            known = choose_internals(stage, *read, self.recipe.teacher, precision, self.workspace)
        return self.kind(
            stage=stage,
            architecture=self.architecture,
            start=self.start,
            before=before,
            teacher=teacher,
            teacher_reader=None if on_text or scored_ahead else self._teacher_reader(teacher),
            scored_ahead=scored_ahead,
            data=self.data,
            reader=reader,
            examples=examples,
            precision=precision,
            validation=self.validation,
            processes=self.workspace.processes.count,
            section=self.section,
            internals=known.internals,
            said_of_internals=known.said,
            in_batch=None if self.auxiliary is None else self.auxiliary.in_batch_teacher(stage),
        )

    def _teacher_reader(self, teacher: Teacher | None) -> Reader | None:
        """Return the tokens of a teacher that is asked in every step; None where it reads what the student reads.

        A student whose vocabulary is cut has numbers of its own for tokens that are the same.
        """
        if teacher is None or teacher.file is not None:
            return None
        theirs = teacher.model.tokens_of(self.data)
        same = self.data.reader(self.tokenizer.uncut, self.architecture, self.start.options)
        return None if theirs == same else theirs
