"""The student under training: its forward passes, the teacher's, and the weighted sum of a stage's losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from distilkit.losses import (
    attention_mse,
    embedding_mse,
    hard_cross_entropy,
    hidden_mse,
    list_cross_entropy,
    soft_cross_entropy,
)
from distilkit.losses.precision import widen
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat, Internals
from distilkit.models.layer_map import LayerMap
from distilkit.models.projection import Projections
from distilkit.strategies.stage import Stage, Term


@dataclass(frozen=True)
class MicroBatch:
    """Pairs of like length, padded: tokens [b, L], labels [b], and their places [b] in the process's batch."""

    tokens: TokenBatch
    labels: Tensor
    places: Tensor


@dataclass(frozen=True)
class Counts:
    """What the whole effective batch holds, over all micro-batches, accumulation steps and processes.

    Every loss is divided by these, so that cutting a batch up changes neither loss nor gradient.
    """

    pairs: int
    lists: int
    tokens: int
    token_pairs: int


class Objective(nn.Module):
    """A student, its projections and (frozen, not a submodule) its teacher; forward gives a stage's losses.

    `forward(micro_batches, ways, counts)` returns every term unweighted, and `loss`, their weighted sum. Each is this
    process's share: summed over accumulation steps and processes they are the losses of the whole batch.
    """

    def __init__(
        self,
        stage: Stage,
        student: BertCat,
        teacher: BertCat | None,
        projections: Projections | None,
        layers: LayerMap | None,
    ) -> None:
        super().__init__()
        self.stage = stage
        self.student = student
        self.projections = projections
        self.layers = layers
        # In a list, because the teacher's weights are neither trained nor saved with the student's.
        self._teacher = [teacher] if teacher is not None else []

    @property
    def teacher(self) -> BertCat | None:
        """The teacher, None for a stage without one."""
        return self._teacher[0] if self._teacher else None

    def forward(self, micro_batches: Sequence[MicroBatch], ways: int, counts: Counts) -> dict[str, Tensor]:
        """Return the losses of this process's batch; `ways` is the length of its lists, 1 for plain pairs."""
        losses: dict[str, Tensor] = {}
        scores: list[Tensor] = []
        for batch in micro_batches:
            student, teacher = self._run(batch.tokens)
            classes = self.student.class_logits(widen(student.logits))
            scores.append(classes[:, 1] - classes[:, 0])
            for term in self.stage.terms:
                if term.name != "list":
                    share = self._term(term, batch, classes, student, teacher, counts)
                    losses[term.name] = losses[term.name] + share if term.name in losses else share
        for term in self.stage.terms:
            if term.name == "list":
                places = torch.cat([batch.places for batch in micro_batches])
                ordered = torch.empty_like(torch.cat(scores)).index_copy(0, places, torch.cat(scores))
                lists = ordered.view(-1, ways)
                losses["list"] = list_cross_entropy(lists, normaliser=counts.lists)
        total = torch.stack([term.weight * losses[term.name] for term in self.stage.terms]).sum()
        return {"loss": total, **losses}

    def _run(self, tokens: TokenBatch) -> tuple[Internals, Internals | None]:
        stage, layers = self.stage, self.layers
        wants_attention = any(term.name == "attention" for term in stage.terms)
        student_attention = range(self.student.num_layers) if wants_attention else ()
        student_states = range(self.student.num_layers + 1) if self._wants_states else ()
        student = self.student.forward_internals(tokens, student_attention, student_states, head=stage.head)
        if self.projections is not None and student.states:
            student = replace(student, states=self.projections(student.states))
        if not self._teacher:
            return student, None
        attention = layers.attention if layers is not None and wants_attention else ()
        states = layers.states if layers is not None and self._wants_states else ()
        with torch.no_grad():
            return student, self._teacher[0].forward_internals(tokens, attention, states, head=stage.head)

    @property
    def _wants_states(self) -> bool:
        return any(term.name in ("hidden", "embedding") for term in self.stage.terms)

    def _term(
        self,
        term: Term,
        batch: MicroBatch,
        classes: Tensor,
        student: Internals,
        teacher: Internals | None,
        counts: Counts,
    ) -> Tensor:
        mask = batch.tokens.attention_mask
        if term.name == "hard":
            return hard_cross_entropy(classes, batch.labels, normaliser=counts.pairs)
        if teacher is None:
            raise ValueError(f"the loss {term.name!r} needs a teacher")
        if term.name == "soft":
            targets = self._teacher[0].class_logits(widen(teacher.logits))
            return soft_cross_entropy(classes, targets, **term.options, normaliser=counts.pairs)
        released = self.stage.variant == "released_code"
        if term.name == "attention":
            rows = counts.pairs * mask.shape[1] ** 2 if released else counts.token_pairs
            return attention_mse(student.attentions, teacher.attentions, mask, **term.options, normaliser=rows)
        tokens = counts.pairs * mask.shape[1] if released else counts.tokens
        if term.name == "embedding":
            return embedding_mse(student.states[0], teacher.states[0], mask, **term.options, normaliser=tokens)
        return hidden_mse(student.states[1:], teacher.states[1:], mask, **term.options, normaliser=tokens)
