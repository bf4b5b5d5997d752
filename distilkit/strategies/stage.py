"""A stage: which weights start, which losses are added up, on which examples, with which optimiser. Plain data."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from distilkit.plugins import code_of
from distilkit.settings import TrainSettings
from distilkit.strategies.terms import TERMS

# Keys of [train] that no result depends on.
UNSEEN = ("logging_steps", "save_steps", "torch_compile")

Examples = Literal["text", "pairs", "triples", "lists"]
Variant = Literal["paper", "released_code"]
Projection = Literal["shared", "per_state", "identity"]
Mode = Literal["eval", "train"]
# A rule, or for each of the student's layers the layer of the teacher, from 1, that it learns from.
LayerMapping = Literal["uniform", "last"] | tuple[Annotated[int, Field(ge=1)], ...]


@dataclass(frozen=True)
class Term:
    """One named loss of an objective, its weight and its options (temperature, reduction, variant)."""

    name: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One training of the student: objective (a weighted sum of named losses), examples and optimiser settings.

    `seed` draws the examples, their order, the head's first weights and dropout. A stage starts from the result of
    the stage before it, the first from the student's start; optimiser and schedule start anew.

    A stage on text learns from the teacher's checkpoint as it was before fine-tuning, every other from the ranker.
    """

    name: str
    terms: tuple[Term, ...]
    examples: Examples
    train: TrainSettings
    seed: int
    variant: Variant = "paper"
    projection: Projection = "shared"
    head: Literal["plain", "relu"] = "plain"
    layer_map: LayerMapping = "uniform"
    teacher_mode: Mode = "eval"

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss reads the teacher."""
        return any(TERMS[term.name].uses_teacher for term in self.terms)

    @property
    def uses_internals(self) -> bool:
        """Whether any loss reads attention scores or hidden states."""
        return self.reads("attention") or self.reads("states")

    @property
    def reads_tokens(self) -> bool:
        """Whether any loss compares student and teacher token by token."""
        return self.uses_internals or self.reads("masked_lm")

    @property
    def trains_scores(self) -> bool:
        """Whether any loss reads the student's scores; without one there is nothing to validate."""
        return any(TERMS[term.name].reads not in ("attention", "states", "masked_lm") for term in self.terms)

    @property
    def uses_scores_alone(self) -> bool:
        """Whether all that is read of the teacher is a score for each pair, which can be computed ahead."""
        own = [term for term in self.terms if TERMS[term.name].uses_teacher]
        plain = self.head == "plain" and self.teacher_mode == "eval"
        return bool(own) and plain and all(_reads_score(term) for term in own)

    def reads(self, kind: str) -> bool:
        """Tell whether any term reads this kind of thing, such as "attention"."""
        return any(TERMS[term.name].reads == kind for term in self.terms)

    def numbers(self, processes: int, precision: str) -> dict[str, Any]:
        """Return every field that changes the stage's result, for its artifact's key.

        Logging and the cutting of a batch into devices and accumulation steps are left out: they change none.
        """
        train = self.train.model_dump(mode="json")
        per_device = train.pop("per_device_train_batch_size")
        train["batch_size"] = per_device * train.pop("gradient_accumulation_steps") * processes
        for name in (*UNSEEN, "bf16", "fp16"):
            del train[name]
        if train["eval_steps"] is None:  # nothing is chosen by it then
            del train["metric_for_best_model"]
        # Of a file of triples the examples' identity knows the content.
        if train.pop("triples") is not None or self.examples == "text":
            for name in ("train_queries", "negatives", "negative_depth"):
                del train[name]
        fields = asdict(self)
        del fields["train"]
        fields["terms"] = [asdict(term) for term in self.terms]
        # Losses of other packages are known by their code, as nothing else tells when they change.
        code = {term.name: code for term in self.terms if (code := code_of(TERMS[term.name].module))}
        return {**fields, **({"code": code} if code else {}), "train": train, "precision": precision}


def _reads_score(term: Term) -> bool:
    """Tell whether a term's loss is the same whichever logits have a score for their difference."""
    reads = TERMS[term.name].reads
    return reads in ("scored_lists", "margins") or (reads == "logits" and term.options.get("kind") != "logit_mse")
