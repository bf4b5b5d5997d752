"""A stage: which losses are added up, on which examples, with which optimiser settings. Plain data."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from distilkit.plugins import code_of
from distilkit.settings import TrainSettings
from distilkit.strategies.list_terms import InBatchMarginTerm
from distilkit.strategies.terms import Examples, Internal, Term, Variant

# Keys of [train] that no result depends on.
WITHOUT_EFFECT = ("logging_steps", "save_steps", "torch_compile")

Projection = Literal["shared", "per_state", "identity"]
Mode = Literal["eval", "train"]
ScoreOffset = Literal["none", "teacher_mean"]
# A rule, or for each of the student's layers the layer of the teacher, from 1, that it learns from.
LayerMapping = Literal["uniform", "last"] | tuple[Annotated[int, Field(ge=1)], ...]


@dataclass(frozen=True)
class TopicSampling:
    """Batches of queries of one cluster, whose pairs are balanced over bins of the teacher's margins.

    Attributes:
        clusters: how many clusters of queries there are; one for every 200 queries where None
        bins: into how many bins the range of a query's margins is cut
        encoder: what encodes the queries that are clustered: `baseline`, or a reference to a bi-encoder
    """

    clusters: int | None = None
    bins: int = 1
    encoder: str = "baseline"


@dataclass(frozen=True)
class Stage:
    """One training of the student: a weighted sum of losses, examples and optimiser settings.

    `seed` draws the examples, their order, the head's first weights and dropout. A stage starts from the result of
    the stage before it, the first from the student's start; optimiser and schedule start anew. With `score_offset`
    the student's scores get a fixed offset before the first step, which gives them the mean of the teacher's.

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
    score_offset: ScoreOffset = "none"
    topics: TopicSampling | None = None

    @property
    def ways(self) -> int:
        """How many passages an example has: those of a list, two of a triple, one of a pair or text."""
        return {"lists": 1 + self.train.negatives, "triples": 2}.get(self.examples, 1)

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss reads the teacher."""
        return any(term.uses_teacher for term in self.terms)

    @property
    def uses_internals(self) -> bool:
        """Whether any loss reads attention scores or hidden states."""
        return self.reads("attention") or self.reads("states")

    @property
    def reads_batch(self) -> bool:
        """Whether any loss compares a query with passages of other examples of the batch."""
        return any(term.reads_batch for term in self.terms)

    @property
    def in_batch_teacher(self) -> str | None:
        """What names the ranker that scores all pairs of a batch for a loss; None where no loss has one."""
        return next((term.teacher for term in self.terms if isinstance(term, InBatchMarginTerm)), None)

    @property
    def reads_tokens(self) -> bool:
        """Whether any loss compares student and teacher token by token."""
        return any(term.internal is not None for term in self.terms)

    @property
    def trains_scores(self) -> bool:
        """Whether any loss trains the student's scores of passages; without one there is nothing to validate."""
        return self.examples != "text" and any(term.internal is None for term in self.terms)

    @property
    def uses_scores_alone(self) -> bool:
        """Whether all that is read of the teacher is a score for each pair, which can be computed ahead."""
        plain = self.head == "plain" and self.teacher_mode == "eval"
        return self.uses_teacher and plain and all(term.scores_suffice for term in self.terms if term.uses_teacher)

    @property
    def counts_padding(self) -> bool:
        """Whether padding takes part in a loss, so that every text has to be padded to the full length."""
        return any(term.counts_padding for term in self.terms)

    def reads(self, internal: Internal) -> bool:
        """Return whether any loss reads this of the inside of the models, such as "attention"."""
        return any(term.internal == internal for term in self.terms)

    def numbers(self, processes: int, precision: str) -> dict[str, Any]:
        """Return every field that changes the stage's result, for its artifact's key.

        Logging and the cutting of a batch into devices and accumulation steps are left out: they change none.
        """
        train = self.train.model_dump(mode="json")
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps", *WITHOUT_EFFECT, "bf16", "fp16"):
            del train[name]
        # The examples' identity knows where they come from, and the losses what they read.
        for name in ("labels", "teacher_positives", "teacher_queries", "negative_range_max"):
            del train[name]
        train["batch_size"] = self.train.batch_size(processes)
        if train["eval_steps"] is None:  # nothing is chosen by it then
            del train["metric_for_best_model"]
        # Of a file of triples the examples' identity knows the content.
        if train.pop("triples") is not None or self.examples == "text":
            for name in ("train_queries", "negatives", "negative_depth"):
                del train[name]
        # Losses of other packages are known by their code, as nothing else tells when they change.
        code = {term.name: code for term in self.terms if (code := code_of(type(term)))}
        own = {**asdict(self), "terms": [_numbers_of(term) for term in self.terms]}
        del own["topics"]  # the examples' identity knows them
        if self.score_offset == "none":
            del own["score_offset"]
        return {**own, **({"code": code} if code else {}), "train": train, "precision": precision}


def _numbers_of(term: Term) -> dict[str, Any]:
    """Return a term's name, weight and options, but those that name models, which are known by their content."""
    options = {key: value for key, value in asdict(term).items() if key not in term.references}
    return {"name": term.name, **options}


def trained_macs(student: float, teacher: float = 0.0) -> float:
    """Return the multiply-accumulates of training on a pair, from those of one forward pass of student and teacher.

    The student's counts three times, itself and twice that for its gradients; that of a frozen teacher once.
    """
    return 3 * student + teacher
