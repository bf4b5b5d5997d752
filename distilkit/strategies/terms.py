"""The terms that an objective may have: which loss each is, what that reads, and whether it needs a teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from distilkit.registry import Registry

# labels: class logits and labels of pairs. logits: class logits of both models. lists: scores of a query's list, the
# positive first. scored_lists: the same with the teacher's. preferences: scores of positives and negatives.
# margins: the same with the teacher's. attention, states: internals. masked_lm: logits over the vocabulary.
Reads = Literal[
    "labels", "logits", "lists", "scored_lists", "preferences", "margins", "attention", "states", "masked_lm"
]

WITHOUT_TEACHER = ("labels", "lists", "preferences")


@dataclass(frozen=True)
class TermKind:
    """A kind of term; its loss is imported when it is computed, so that strategies are listed without torch."""

    reads: Reads
    module: str
    function: str

    @property
    def uses_teacher(self) -> bool:
        """Whether the loss compares with a teacher."""
        return self.reads not in WITHOUT_TEACHER

    @property
    def loss(self) -> Callable[..., Any]:
        """The loss, a plain function of tensors."""
        function: Callable[..., Any] = getattr(import_module(self.module), self.function)
        return function


TERMS: Registry[TermKind] = Registry("loss term")

TERMS.register("hard")(TermKind("labels", "distilkit.losses.labels", "hard_cross_entropy"))
TERMS.register("list")(TermKind("lists", "distilkit.losses.labels", "list_cross_entropy"))
TERMS.register("soft")(TermKind("logits", "distilkit.losses.logits", "soft_loss"))
TERMS.register("attention")(TermKind("attention", "distilkit.losses.internals", "attention_mse"))
TERMS.register("hidden")(TermKind("states", "distilkit.losses.internals", "hidden_mse"))
TERMS.register("embedding")(TermKind("states", "distilkit.losses.internals", "embedding_mse"))
PAIRS, LISTS, RANKS = (f"distilkit.losses.{name}" for name in ("pairs", "lists", "list_ranks"))
TERMS.register("ranknet")(TermKind("preferences", PAIRS, "ranknet"))
TERMS.register("margin_mse")(TermKind("margins", PAIRS, "margin_mse"))
TERMS.register("pointwise_mse")(TermKind("margins", PAIRS, "pointwise_mse"))
TERMS.register("weighted_ranknet")(TermKind("margins", PAIRS, "weighted_ranknet"))
TERMS.register("kl_divergence")(TermKind("scored_lists", LISTS, "kl_divergence"))
TERMS.register("list_net")(TermKind("scored_lists", LISTS, "list_net"))
TERMS.register("list_mle")(TermKind("scored_lists", LISTS, "list_mle"))
TERMS.register("lambda_rank")(TermKind("scored_lists", RANKS, "lambda_rank"))
TERMS.register("adr_mse")(TermKind("scored_lists", RANKS, "adr_mse"))
TERMS.register("masked_lm")(TermKind("masked_lm", "distilkit.losses.logits", "soft_loss"))
