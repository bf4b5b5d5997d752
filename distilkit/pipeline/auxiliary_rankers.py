"""Auxiliary rankers, asked beside a stage's teacher: who encodes queries for clusters, who scores whole batches."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.references import content_hash, local_folder
from distilkit.pipeline.data import Data
from distilkit.pipeline.examples import Countable
from distilkit.pipeline.models import ModelNode, StoredModel
from distilkit.pipeline.teacher_scores import ScoredExamples
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.topics import QueryClusters, TopicExamples
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import Recipe
from distilkit.strategies.stage import Stage, TopicSampling

if TYPE_CHECKING:
    from distilkit.training.in_batch import InBatchTeacher


@dataclass(frozen=True)
class BatchTeacher:
    """A ranker that scores all pairs of a batch, and the tokens that it reads."""

    model: ModelNode
    reader: Reader

    def opened(self, workspace: Workspace, batch_size: int, untrained: bool) -> "InBatchTeacher":
        """Return the frozen ranker, on the device; with `untrained` as before any training, to be timed."""
        from distilkit.training.in_batch import InBatchTeacher

        model = copy.deepcopy(self.model.untrained(workspace, True)) if untrained else self.model.load(workspace)
        ranker: Any = model.eval().requires_grad_(False).to(workspace.processes.device)
        tokens: Any = workspace.value(self.reader)
        return InBatchTeacher(ranker, tokens, batch_size)


@dataclass(frozen=True)
class AuxiliaryRankers:
    """Makes the nodes of auxiliary rankers: a model that is there, or one that the recipe's teacher teaches first.

    `checkpoint` finds the weights of a reference, `trained` the last stage of a recipe's student.
    """

    recipe: Recipe
    data: Data
    checkpoint: Callable[[str], StoredModel]
    trained: Callable[[Recipe], ModelNode]
    _by_margins: dict[str, ModelNode] = field(default_factory=dict)

    def by_topic(self, stage: Stage, sampling: TopicSampling, examples: Countable[Any]) -> TopicExamples:
        """Return triples that are drawn by topics and margins; raises UserError where their scores are not known."""
        if not isinstance(examples, ScoredExamples):
            raise UserError(
                '[teacher] scores = "online": pairs are drawn by their margins, so that scores are computed before; '
                'expected "cached"'
            )
        clusters = None
        if sampling.clusters != 1:
            model = self._ranker(sampling.encoder, "cluster_encoder", "baseline", "bert_dot")
            made_of = model, model.tokens_of(self.data), examples.examples
            clusters = QueryClusters(*made_of, sampling.clusters, stage.seed)
        return TopicExamples(examples, clusters, sampling.bins)

    def in_batch_teacher(self, stage: Stage) -> BatchTeacher | None:
        """Return who scores all pairs of a stage's batches; None where no loss asks for it."""
        if stage.in_batch_teacher is None:
            return None
        model = self._ranker(stage.in_batch_teacher, "in_batch_teacher", "colbert", "colbert")
        return BatchTeacher(model, model.tokens_of(self.data))

    def _ranker(self, reference: str, key: str, word: str, architecture: str) -> ModelNode:
        """Return the ranker of a reference; `word` stands for one of an architecture that learns margins first."""
        if reference != word:
            return searcher(reference, key, self.data, one_vector=architecture == "bert_dot")
        if architecture not in self._by_margins:
            self._by_margins[architecture] = self.trained(self._with_student(architecture))
        return self._by_margins[architecture]

    def _with_student(self, architecture: str) -> Recipe:
        """Return a recipe that trains a student of an architecture by Margin-MSE, with the keys of [train].

        It is the recipe's own student where that is of this architecture, else all layers of what that is cut from.
        """
        student = self.recipe.student
        if STUDENTS.resolve(student.architecture) != architecture:
            layers, hidden, _ = self.checkpoint(student.source or self.recipe.teacher.model).size
            options = {name: table for name, table in student.options.items() if isinstance(table, dict)}
            start = {"shape": f"L{layers}_H{hidden}", "start": "first_layers", "embeddings": "drawn", "num_labels": 1}
            start["vocabulary"] = "whole"
            student = student.model_copy(update={"architecture": architecture, "options": options, **start})
        return self.recipe.model_copy(update={"student": student, "strategy": {"name": "margin_mse"}})


def searcher(reference: str, key: str, data: Data, one_vector: bool) -> StoredModel:
    """Return the model of a reference that encodes queries and passages apart.

    Args:
        reference: the model
        key: the key that names it, for messages
        data: the collection that it reads
        one_vector: whether only one vector a text will do; a bare encoder is a bi-encoder then

    Raises:
        UserError: for no model, or one that cannot do this
    """
    from distilkit.models.load import architecture_of, saved_options, saved_prefixes

    folder = local_folder(reference)
    name = architecture_of(folder) or ("bert_dot" if one_vector else "bare encoder")
    kind = STUDENTS[name].ranker() if name in STUDENTS else None
    expected = "a bert_dot" if one_vector else "a bert_dot or colbert"
    if kind is None or not hasattr(kind, "score_all") or (one_vector and name != "bert_dot"):
        raise UserError(f"[strategy] {key} = {reference!r}: a {name} does not encode texts so; expected {expected}")
    options = saved_options(folder, name)
    tokenizer = data.tokenizer(folder, saved_prefixes(folder, name))
    return StoredModel(folder, content_hash(reference), tokenizer, reference, name, options)
