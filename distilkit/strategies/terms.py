"""Loss terms by name: what each reads, how it is computed from that, its weight and its options.

A term's fields are its keys in a recipe. Adding one takes a class here, or in a plugin
`TERMS.register("name")(LogitTerm.of(function))`.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, make_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, ConfigDict, Field

from distilkit.plugins import load_entry_points
from distilkit.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from distilkit.strategies.term_inputs import ExampleInputs, ListInputs

# The `__pydantic_config__` of terms and strategies, so that recipes are as strict inside [strategy] as elsewhere.
STRICT = ConfigDict(extra="forbid", strict=True)


def _reference(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("expected a model: an id of the hub, a folder, or a word that stands for one")
    return text


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Reference = Annotated[str, AfterValidator(_reference)]
Variant = Literal["paper", "released_code"]
Examples = Literal["text", "pairs", "triples", "lists"]
# What a term reads of the inside of the models; a term without any reads their scores or class logits.
Internal = Literal["attention", "states", "relations", "masked_lm"]


@dataclass(frozen=True)
class Term:
    """A loss and its weight in a stage's sum. The other fields of a subclass are the loss's options.

    Class attributes: `function` names the loss in `distilkit.losses`; `examples` are the forms of examples that it can
    be computed on; `uses_teacher` tells whether it compares with a teacher; `internal` is what it reads of the inside
    of the models; `reads_batch` tells whether it compares passages of other lists of the batch, where students can;
    `references` are the options that name models, which count by their content;
    `margins_suffice` tells whether differences of the teacher's scores are all that it reads of it, and
    `order_suffices` whether their order is.
    """

    __pydantic_config__ = STRICT
    function: ClassVar[str] = ""
    examples: ClassVar[tuple[Examples, ...]] = ("pairs", "triples", "lists")
    uses_teacher: ClassVar[bool] = True
    internal: ClassVar[Internal | None] = None
    reads_batch: ClassVar[bool] = False
    margins_suffice: ClassVar[bool] = False
    order_suffices: ClassVar[bool] = False
    references: ClassVar[tuple[str, ...]] = ()

    weight: Weight = 1.0

    @property
    def name(self) -> str:
        """The term's name in recipes and events."""
        return TERMS.name_of(type(self))

    @property
    def options(self) -> dict[str, Any]:
        """The loss's options and their values."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "weight"}

    @property
    def scores_suffice(self) -> bool:
        """Whether a score for each pair is all that it reads of the teacher, so that these can be computed ahead."""
        return self.uses_teacher and self.internal is None

    @property
    def counts_padding(self) -> bool:
        """Whether padding takes part in the loss, so that every text is padded to one length."""
        return False

    @classmethod
    def loss(cls) -> "Callable[..., Tensor]":
        """Return the loss, a function of tensors; imported here, so that strategies are listed without torch."""
        loss: Callable[..., Tensor] = getattr(import_module("distilkit.losses"), cls.function)
        return loss

    @classmethod
    def of(cls, function: "Callable[..., Tensor]") -> type[Self]:
        """Return the term of a loss that is not distilkit's own, called with the same tensors as others of this kind.

        Its parameters that have a default, other than None, are the term's options.
        """
        given = inspect.signature(function, eval_str=True).parameters.values()
        options = [
            (one.name, type(one.default) if one.annotation is one.empty else one.annotation, one.default)
            for one in given
            if one.default is not one.empty and one.default is not None
        ]
        own = {"__doc__": function.__doc__, "__module__": function.__module__, "loss": staticmethod(lambda: function)}
        return cast("type[Self]", make_dataclass(function.__name__, options, bases=(cls,), frozen=True, namespace=own))


TERMS: Registry[type[Term]] = Registry("loss term", load_entry_points)


def examples_for(terms: Iterable[Term]) -> Examples:
    """Return the plainest form of examples that all terms can be computed on. Raises ValueError where there is none."""
    terms = list(terms)
    forms: tuple[Examples, ...] = ("pairs", "triples", "lists", "text")
    for form in forms:
        if all(form in term.examples for term in terms):
            return form
    names = " and ".join(f"{term.name} (on {' or '.join(term.examples)})" for term in terms)
    raise ValueError(f"the losses have no examples in common: {names}")


class ExampleTerm(Term, ABC):
    """A loss that is a sum over pairs, tokens or pairs of tokens: each forward pass gives a share of it."""

    @abstractmethod
    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the share of the loss that the pairs of a forward pass have."""


class ListTerm(Term, ABC):
    """A loss over lists of scores, or over each positive with each of its negatives."""

    @abstractmethod
    def compute(self, inputs: "ListInputs") -> "Tensor":
        """Return the share of the loss that a process's lists have."""


class LabelTerm(ExampleTerm):
    """A loss of the student's class logits against the labels of pairs."""

    uses_teacher = False

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the pairs' labels."""
        normaliser = inputs.counts.pairs
        return self.loss()(inputs.student.classes, inputs.labels, **self.options, normaliser=normaliser)


class LogitTerm(ExampleTerm):
    """A loss of the student's class logits against the teacher's."""

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the pairs' logits."""
        logits = inputs.student.classes, inputs.teacher.classes
        return self.loss()(*logits, **self.options, normaliser=inputs.counts.pairs)


class PreferenceTerm(ListTerm):
    """A loss of the student's scores of each positive and each of its negatives."""

    examples = ("triples", "lists")
    uses_teacher = False

    def compute(self, inputs: "ListInputs") -> "Tensor":
        """Return the loss of all (positive, negative) pairs of the lists."""
        sides = [inputs.student, inputs.teacher] if self.uses_teacher else [inputs.student]
        scores = [
            part for side in sides for part in (side[:, :1].expand_as(side[:, 1:]).reshape(-1), side[:, 1:].reshape(-1))
        ]
        count = inputs.counts.lists * (inputs.student.shape[1] - 1)
        return self.loss()(*scores, **self.options, normaliser=count)


class MarginTerm(PreferenceTerm):
    """A loss of the student's scores of each positive and each of its negatives against the teacher's."""

    uses_teacher = True


@TERMS.register("hard")
@dataclass(frozen=True)
class HardTerm(LabelTerm):
    """Cross-entropy of the student's classes against the labels."""

    function = "hard_cross_entropy"


@TERMS.register("next_text")
@dataclass(frozen=True)
class NextTextTerm(LabelTerm):
    """BERT's next sentence prediction: cross-entropy of the student's score of two texts, that the second continues.

    Devlin et al. 2019. It is read on the pairs of `[general] pairs = true` alone, whose labels are 1 where the second
    text continues the first. With one score z it is the binary cross-entropy of z.
    """

    function = "hard_cross_entropy"
    examples = ("text",)


@TERMS.register("ranknet")
@dataclass(frozen=True)
class RankNetTerm(PreferenceTerm):
    """RankNet: log(1 + exp(s⁻ - s⁺)) of a positive and a negative."""

    function = "ranknet"


@TERMS.register("soft")
@dataclass(frozen=True)
class SoftTerm(LogitTerm):
    """Cross-entropy (ce), Kullback-Leibler divergence (kl) or squared error of the classes against the teacher's."""

    function = "soft_loss"

    kind: Literal["ce", "kl", "logit_mse"] = "ce"
    temperature: Positive = 1.0
    reduction: Literal["batchmean", "mean"] = "batchmean"
    t_squared: bool = False

    @property
    def scores_suffice(self) -> bool:
        """Softmax sees the difference of two logits alone; their squared error sees both."""
        return self.internal is None and self.kind != "logit_mse"


@TERMS.register("margin_mse")
@dataclass(frozen=True)
class MarginMseTerm(MarginTerm):
    """Margin-MSE: squared error of the score margin between a positive and a negative, against the teacher's."""

    function = "margin_mse"
    margins_suffice = True


@TERMS.register("pointwise_mse")
@dataclass(frozen=True)
class PointwiseMseTerm(MarginTerm):
    """Squared errors of a positive's and a negative's scores against the teacher's; the released code halves them."""

    function = "pointwise_mse"

    variant: Variant = "paper"


@TERMS.register("weighted_ranknet")
@dataclass(frozen=True)
class WeightedRankNetTerm(MarginTerm):
    """RankNet weighted by the size of the teacher's margin; the released code keeps the margin's sign."""

    function = "weighted_ranknet"
    margins_suffice = True

    variant: Variant = "paper"


@dataclass(frozen=True)
class InternalTerm(ExampleTerm):
    """A loss of attention scores or hidden states, token by token; the released code's counts padding too."""

    examples = ("pairs", "triples", "lists", "text")

    variant: Variant = "paper"

    @property
    def counts_padding(self) -> bool:
        """Whether padding takes part in the means."""
        return self.variant == "released_code"


@TERMS.register("attention")
@dataclass(frozen=True)
class AttentionTerm(InternalTerm):
    """Squared error of attention scores before the softmax against the teacher's, summed over the mapped layers."""

    function = "attention_mse"
    internal = "attention"

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the mapped layers; without padding no L x L scores are kept."""
        from distilkit.packed.batch import Packed

        tokens, counts = inputs.tokens, inputs.counts
        if isinstance(tokens, Packed):
            from distilkit.packed.transfer import QueryKey, packed_attention_mse

            student, teacher = (
                [one for one in side.attentions if isinstance(one, QueryKey)]
                for side in (inputs.student, inputs.teacher)
            )
            return packed_attention_mse(student, teacher, tokens.offsets, tokens.longest, counts.token_pairs)
        pairs = counts.pairs * inputs.mask.shape[1] ** 2 if self.counts_padding else counts.token_pairs
        layers = inputs.student.attentions, inputs.teacher.attentions
        return self.loss()(*layers, inputs.mask, **self.options, normaliser=pairs)


@dataclass(frozen=True)
class StateTerm(InternalTerm):
    """A loss of hidden states after their projection."""

    internal = "states"
    # Which of the mapped states: the first is the embeddings' output.
    chosen: ClassVar[int | slice] = 0

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the chosen states."""
        states = inputs.student.states[self.chosen], inputs.teacher.states[self.chosen]
        tokens = inputs.counts.pairs * inputs.mask.shape[1] if self.counts_padding else inputs.counts.tokens
        return self.loss()(*states, inputs.mask, **self.options, normaliser=tokens)


@TERMS.register("hidden")
@dataclass(frozen=True)
class HiddenTerm(StateTerm):
    """Squared error of the mapped layers' hidden states, projected to the teacher's width, against the teacher's."""

    function = "hidden_mse"
    chosen = slice(1, None)


@TERMS.register("embedding")
@dataclass(frozen=True)
class EmbeddingTerm(StateTerm):
    """Squared error of the embedding layer's output, projected to the teacher's width, against the teacher's."""

    function = "embedding_mse"


@TERMS.register("relation")
@dataclass(frozen=True)
class RelationTerm(ExampleTerm):
    """MiniLMv2: KL divergence of how the tokens' queries, keys and values relate in one layer from the teacher's."""

    function = "relation_kl"
    examples = ("pairs", "triples", "lists", "text")
    internal = "relations"

    relation_heads: Count | None = None
    teacher_layer: Count | None = None

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the tokens."""
        vectors = inputs.student.vectors, inputs.teacher.vectors
        return self.loss()(*vectors, inputs.mask, self.relation_heads, normaliser=inputs.counts.tokens)


@TERMS.register("masked_lm")
@dataclass(frozen=True)
class MaskedLmTerm(SoftTerm):
    """Cross-entropy (ce), KL divergence (kl) or squared error of the logits of masked words against the teacher's."""

    examples = ("text",)
    internal = "masked_lm"

    def compute(self, inputs: "ExampleInputs") -> "Tensor":
        """Return the loss of the words that are predicted."""
        words = inputs.student.words, inputs.teacher.words
        return self.loss()(*words, **self.options, normaliser=inputs.counts.chosen)
