"""MiniLMv2: the relations among a layer's queries, keys and values, with the ranker's predictions and the labels."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT, Count, HardTerm, Positive, RelationTerm, SoftTerm, Weight


@dataclass(frozen=True)
class RelationWeights:
    """The weight of each loss."""

    __pydantic_config__ = STRICT

    relation: Weight = 1.0
    """The weight of the divergence of relations."""
    soft: Weight = 1.0
    """The weight of the cross-entropy against the teacher's predictions."""
    hard: Weight = 1.0
    """The weight of the cross-entropy against the labels."""

    def __post_init__(self) -> None:
        if not self.relation:
            raise ValueError("relation = 0.0 leaves nothing of this strategy; expected a number above 0")


@STRATEGIES.register("minilm")
@dataclass(frozen=True)
class MiniLm:
    """Distil how the tokens of one layer relate to each other, with the teacher's predictions and the labels.

    Equation: L = Σ over X in (Q, K, V) of KL(softmax(X_t X_tᵀ/√d_r) || softmax(X_s X_sᵀ/√d_r)), the mean over tokens
    and relation heads, + L_soft + L_hard, each times its weight. Q, K and V are the queries, keys and values of one
    layer's self-attention in the teacher (t) and the student (s). They are cut into relation heads of size d_r, so that
    student and teacher may differ in their number of attention heads and in width, and nothing has to be projected.
    Papers: Wang et al., MiniLMv2: Multi-Head Self-Attention Relation Distillation (2021).
    Deviations: the paper distils a language model on plain text. general = true does that first; the relations, the
    predictions and the labels of the ranker follow in one step, as in Simplified TinyBERT.
    Defaults: the teacher's last layer, as in the paper for teachers of base size (of large ones it takes layer 21 of
    24); as many relation heads as the teacher has attention heads (the paper takes up to 64); all weights 1.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "MiniLMv2"

    relation_heads: Count | None = None
    """How many relation heads the vectors are cut into; it must divide the widths of student and teacher. Where absent,
    as many as the teacher has attention heads."""
    teacher_layer: Count | None = None
    """The teacher's layer, counted from 1, that the student's last layer learns from; the last one where absent."""
    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: RelationWeights = field(default_factory=RelationWeights)
    """The weight of each loss."""
    general: bool = False
    """Whether the language model's relations are distilled on plain text first."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the step on pairs, general distillation before it if asked for."""
        relation = RelationTerm(self.weights.relation, self.relation_heads, self.teacher_layer)
        outputs = SoftTerm(self.weights.soft, temperature=self.temperature), HardTerm(self.weights.hard)
        distil = Stage("distil", (relation, *(term for term in outputs if term.weight)), "pairs", train, seed)
        return [Stage("general", (relation,), "text", train, seed), distil] if self.general else [distil]
