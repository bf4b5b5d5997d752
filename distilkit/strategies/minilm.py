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
    """Distil the relations among queries, among keys and among values of one layer, with predictions and labels.

    Equation: L = sum over X in (Q, K, V) of the mean over relation heads and tokens of
    KL(softmax(X_t X_t^T/sqrt(d_r)) || softmax(X_s X_s^T/sqrt(d_r))), plus L_soft and L_hard, each times its weight. The
    vectors of all attention heads are cut into relation heads of size d_r, so that neither the number of heads nor the
    width of student and teacher need be equal, and nothing is projected.
    Papers: Wang et al., MiniLMv2: Multi-Head Self-Attention Relation Distillation (2021).
    Deviations: the paper distils a language model on text; general = true does that first, and the ranker's relations,
    predictions and labels follow in one step as in Simplified TinyBERT.
    Defaults: the teacher's last layer, as the paper for teachers of base size (the 21st of 24 for large ones); as many
    relation heads as the teacher has attention heads, of which the paper takes up to 64; weights 1.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "MiniLMv2"

    relation_heads: Count | None = None
    """Into how many heads the vectors are cut; it divides both widths. The teacher's attention heads where absent."""
    teacher_layer: Count | None = None
    """The teacher's layer, from 1, that the student's last one learns from; its last where absent."""
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
