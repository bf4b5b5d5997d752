"""A stage: which weights start, which losses are added up, on which examples, with which optimiser. Plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from distilkit.settings import TrainSettings

TEACHER_TERMS = frozenset({"attention", "hidden", "embedding", "soft"})
# Keys of [train] that no result depends on.
UNSEEN = ("logging_steps", "save_steps")
INTERNAL_TERMS = frozenset({"attention", "hidden", "embedding"})


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
    """

    name: str
    terms: tuple[Term, ...]
    examples: Literal["pairs", "lists"]
    train: TrainSettings
    seed: int
    variant: Literal["paper", "released_code"] = "paper"
    projection: Literal["shared", "per_state", "identity"] = "shared"
    head: Literal["plain", "relu"] = "plain"

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss reads the teacher."""
        return any(term.name in TEACHER_TERMS for term in self.terms)

    @property
    def uses_internals(self) -> bool:
        """Whether any loss reads attention scores or hidden states."""
        return any(term.name in INTERNAL_TERMS for term in self.terms)

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
        fields = asdict(self)
        del fields["train"]
        return {**fields, "terms": [asdict(term) for term in self.terms], "train": train, "precision": precision}
