"""The student under training: its forward passes, the teacher's, and the weighted sum of a stage's losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from distilkit.losses.tensors import widen
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat, CatOutputs
from distilkit.models.encoded import Encoded
from distilkit.models.layer_map import LayerMap
from distilkit.models.projection import Projections
from distilkit.models.ranker import Ranker
from distilkit.packed.batch import Packed
from distilkit.packed.encoder import PackedInternals, can_pack, packed_internals
from distilkit.strategies.stage import Stage
from distilkit.strategies.term_inputs import Counts, ExampleInputs, ListInputs, Outputs
from distilkit.strategies.terms import ExampleTerm, ListTerm, RelationTerm
from distilkit.training.in_batch import (
    BatchShare,
    EncodedLists,
    InBatchTeacher,
    encoded_pairs,
    lists_of,
    scores_of,
)
from distilkit.training.step_loader import LengthBucket


@dataclass(frozen=True)
class LmHeads:
    """The heads that predict masked words: the student's, which is trained, and the teacher's, which is not."""

    student: nn.Module
    teacher: nn.Module


class Objective(nn.Module):
    """A student, its projections and (frozen, not a submodule) its teacher; forward gives a stage's losses.

    `forward(micro_batch, ways, counts)` returns every term unweighted, and `loss`, their weighted sum. Each is this
    micro-batch's share: summed over micro-batches and processes they are the losses of the whole batch. For lists
    there are also the mean scores of positives and negatives and the share of pairs in the right order.
    """

    def __init__(
        self,
        stage: Stage,
        student: Any,
        teacher: Any,
        projections: Projections | None,
        layers: LayerMap | None,
        lm_heads: LmHeads | None = None,
    ) -> None:
        super().__init__()
        self.stage = stage
        self.student = student
        self.projections = projections
        self.layers = layers
        self.lm_head = lm_heads.student if lm_heads is not None else None
        # Set where batches are packed and a device's compiled layers were seen to agree.
        self.compile_layers = False
        # In a list, because the teacher's weights are neither trained nor saved with the student's.
        self._teacher = [teacher] if teacher is not None else []
        self._teacher_lm_head = [lm_heads.teacher] if lm_heads is not None else []
        self._in_batch: list[InBatchTeacher] = []

    @property
    def teacher(self) -> Any:
        """The teacher, None for a stage without one or with scores computed ahead."""
        return self._teacher[0] if self._teacher else None

    @property
    def in_batch_teacher(self) -> InBatchTeacher | None:
        """The teacher that scores whole batches, None for a stage without one."""
        return self._in_batch[0] if self._in_batch else None

    @in_batch_teacher.setter
    def in_batch_teacher(self, teacher: InBatchTeacher) -> None:
        self._in_batch = [teacher]

    def forward(
        self, micro_batch: Sequence[LengthBucket], ways: int, counts: Counts, share: BatchShare | None = None
    ) -> dict[str, Tensor]:
        """Return the losses of a micro-batch; `ways` is the length of its lists, 1 for plain examples.

        `share` is what it has of a loss of the whole batch; without it such a loss is that of each list by itself.
        """
        losses: dict[str, Tensor] = {}
        scores: list[Tensor] = []
        targets: list[Tensor] = []
        encoded = [] if share is None else self._encoded(micro_batch)
        for number, bucket in enumerate(micro_batch):
            student = self._student(bucket, encoded[number] if encoded else None)
            teacher = self._taught(bucket)
            scores.append(student.scores)
            if teacher is not None:
                targets.append(teacher.scores)
            inputs = ExampleInputs(student, teacher, counts, bucket.labels, bucket.tokens)
            for term in self.stage.terms:
                if isinstance(term, ExampleTerm):
                    found = term.compute(inputs)
                    losses[term.name] = losses[term.name] + found if term.name in losses else found
        places = torch.cat([bucket.places for bucket in micro_batch])
        lists = ListInputs(_lists(scores, places, ways), _lists(targets, places, ways) if targets else None, counts)
        for term in self.stage.terms:
            if isinstance(term, ListTerm):
                whole = share is not None and term.reads_batch
                losses[term.name] = share.values[term.name] if share and whole else term.compute(lists)
        total = torch.stack([term.weight * losses[term.name] for term in self.stage.terms]).sum()
        if share is not None:
            total = total + share.gradient(_as_lists(encoded, micro_batch, ways))
        return {"loss": total, **losses, **(_order(lists.student.detach(), counts.lists) if ways > 1 else {})}

    def encoded_lists(self, micro_batch: Sequence[LengthBucket], ways: int) -> EncodedLists:
        """Return a micro-batch's lists as the student's vectors."""
        return _as_lists(self._encoded(micro_batch), micro_batch, ways)

    def scores(self, bucket: LengthBucket) -> tuple[Tensor, Tensor]:
        """Return the student's and the teacher's score of each pair, shape `[b]` each.

        Raises ValueError for a stage without a teacher.
        """
        teacher = self._taught(bucket)
        if teacher is None:
            raise ValueError("scores are compared with those of a teacher, and this stage has none")
        return self._student(bucket).scores, teacher.scores

    def _encoded(self, micro_batch: Sequence[LengthBucket]) -> list[tuple[Encoded, Encoded]]:
        found = []
        for bucket in micro_batch:
            assert not isinstance(bucket.tokens, TokenBatch | Packed)
            found.append(encoded_pairs(self.student, bucket.tokens))
        return found

    def _student(self, bucket: LengthBucket, encoded: tuple[Encoded, Encoded] | None = None) -> Outputs:
        stage, tokens = self.stage, bucket.tokens
        if not isinstance(tokens, TokenBatch | Packed):
            scores = widen(self.student(tokens) if encoded is None else scores_of(self.student, *encoded))
            return Outputs(torch.stack([torch.zeros_like(scores), scores], dim=-1))
        layers = range(self.student.num_layers) if stage.reads("attention") else ()
        wanted = list(range(self.student.num_layers + 1)) if stage.reads("states") else []
        found, last = self._internals(self.student, tokens, layers, wanted, None)
        if self.projections is not None and found.states:
            found = replace(found, states=self.projections(found.states))
        return self._outputs(self.student, found, bucket, last, self.lm_head)

    def _taught(self, bucket: LengthBucket) -> Outputs | None:
        """Return the teacher's outputs for a bucket, or what it computed ahead: its internals or its scores."""
        if (taught := bucket.taught) is not None:
            scores = tuple(widen(one) for one in taught.attentions if isinstance(one, Tensor))
            return Outputs(taught.classes, scores, tuple(map(widen, taught.states)))
        if bucket.targets is not None:
            return Outputs(torch.stack([torch.zeros_like(bucket.targets), bucket.targets], dim=-1))
        if not self._teacher:
            if names := [term.name for term in self.stage.terms if term.uses_teacher]:
                raise ValueError(f"the loss {names[0]!r} needs a teacher")
            return None
        teacher, layers, stage = self._teacher[0], self.layers, self.stage
        attention = layers.attention if layers is not None and stage.reads("attention") else ()
        states = list(layers.states) if layers is not None and stage.reads("states") else []
        with torch.no_grad():
            tokens = bucket.teacher_tokens or bucket.tokens
            assert isinstance(tokens, TokenBatch | Packed)
            found, last = self._internals(teacher, tokens, attention, states, self._teacher_layer)
            head = self._teacher_lm_head[0] if self._teacher_lm_head else None
            return self._outputs(teacher, found, bucket, last, head)

    @property
    def _teacher_layer(self) -> int | None:
        """The teacher's layer, from 1, whose relations are learned; None for the last."""
        return next((term.teacher_layer for term in self.stage.terms if isinstance(term, RelationTerm)), None)

    def _internals(
        self,
        model: BertCat,
        tokens: TokenBatch | Packed,
        layers: Sequence[int],
        states: list[int],
        related: int | None,
    ) -> tuple[CatOutputs | PackedInternals, Tensor | None]:
        """Return a model's internals and, where words are predicted, its last state.

        `related` is the layer, from 1, whose queries, keys and values are read where a loss does; the last for None.
        """
        wanted = states if self.lm_head is None else [*states, model.num_layers]
        found: CatOutputs | PackedInternals
        if isinstance(tokens, Packed):
            found = packed_internals(model, tokens, layers, wanted, self.stage.head, self.compile_layers)
        else:
            more: dict[str, Any] = {}
            if self.stage.reads("relations"):
                more["vectors_of"] = [(related or model.num_layers) - 1]
            found = model.forward_internals(tokens, layers, wanted, head=self.stage.head, **more)
        if self.lm_head is None:
            return found, None
        return replace(found, states=found.states[:-1]), found.states[-1]

    def _outputs(
        self,
        model: BertCat,
        found: CatOutputs | PackedInternals,
        bucket: LengthBucket,
        last: Tensor | None,
        head: nn.Module | None,
    ) -> Outputs:
        words = None
        if last is not None and head is not None and bucket.chosen is not None:
            words = head(last[bucket.chosen.bool()], model.encoder.get_input_embeddings().weight)
        vectors = found.vectors[0] if isinstance(found, CatOutputs) and found.vectors else ()
        return Outputs(model.class_logits(widen(found.logits)), found.attentions, found.states, words, vectors)


def _as_lists(
    encoded: Sequence[tuple[Encoded, Encoded]], micro_batch: Sequence[LengthBucket], ways: int
) -> EncodedLists:
    rows = [bucket.rows for bucket in micro_batch if bucket.rows is not None]
    return lists_of(encoded, torch.cat([bucket.places for bucket in micro_batch]), torch.cat(rows), ways)


def _lists(scores: list[Tensor], places: Tensor, ways: int) -> Tensor:
    """Return scores in the order of their examples, shape [lists, ways]."""
    joined = torch.cat(scores)
    return torch.empty_like(joined).index_copy(0, places, joined).view(-1, ways)


def _order(lists: Tensor, count: int) -> dict[str, Tensor]:
    """Return this process's share of the mean scores, their margin and the share of pairs in the right order."""
    positive, negative = lists[:, 0], lists[:, 1:]
    means = {"positive_score": positive.sum() / count, "negative_score": negative.mean(dim=1).sum() / count}
    right = (positive[:, None] > negative).float().mean(dim=1).sum() / count
    margin = means["positive_score"] - means["negative_score"]
    return {**means, "margin": margin, "pairwise_accuracy": right}


def packs(stage: Stage, student: Ranker, teacher: Ranker | None) -> bool:
    """Return whether a stage's models and losses have packed forms.

    Models are cross-encoders on BERT or DistilBERT, on BERT alone where the head is that of the released code; the
    losses of internals of the released code count padding, and have none, nor have relations.
    """
    if stage.counts_padding or stage.reads("relations"):
        return False
    models = [student] if teacher is None else [student, teacher]
    return all(can_pack(model) and (stage.head == "plain" or model.config.model_type == "bert") for model in models)
