"""The tables of what is measured and compared: [evaluate], [matrix] and [report]."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from distilkit.settings.fields import Count, Counts, Names, Section, Seeds, Strings, Toggle, set_name


class EvaluationSetSettings(Section):
    """`[evaluate.sets.NAME]`: a further query set in the same table."""

    data: dict[str, Any] = {}
    """Keys of [data] that differ for this query set."""
    split: str = "test"
    """The split whose queries are measured."""
    measures: Names | None = None
    """The measures of this query set; those of [evaluate] where absent."""
    rerank_depth: Count | None = None
    """How many candidates of each query are re-ranked; as many as in [evaluate] where absent."""


class MatrixSettings(Section):
    """`[matrix]`: a suite, every strategy with every student, teacher and seed."""

    strategies: Names
    """Strategies, such as tinybert(hard_label=true)."""
    students: Names
    """ARCHITECTURE, ARCHITECTURE:SHAPE or ARCHITECTURE:SHAPE:START, such as bert_cat:L3_H384:first_layers."""
    teachers: Names = ("teacher",)
    """Names of [teachers.NAME]; teacher is [teacher] itself, and none trains on labels alone."""
    seeds: Seeds | None = None
    """Seeds of the students' own stages; where absent three: the recipe's seed and the two that follow it."""
    only: dict[str, Names] = {}
    """Strategies that only some students can learn by, with the architectures that can, as minilm = ["bert_cat"]."""
    shared: dict[str, Any] = {}
    """Keys of [strategy] that all strategies which have them share."""
    jobs: Count = 1
    """How many runs are trained at the same time."""


class ReportSettings(Section):
    """`[report]`: the comparison that a run or suite ends in."""

    baselines: Strings = ()
    """What systems are compared with: teacher, bm25, or a strategy of the same student; the teacher where empty."""
    correction: Literal["none", "bonferroni", "holm", "bh"] = "holm"
    """The correction of p-values for the number of comparisons in the whole report."""
    one_table: bool = False
    """Whether a suite has one table of all students, instead of a table for each."""
    depths: Counts = ()
    """Re-ranking depths; where there are any, the report has a table of the measures at each."""
    note: str = ""
    """A text that is printed below the tables, such as a caveat."""


class EvaluateSettings(Section):
    """`[evaluate]`: what is measured on the test queries."""

    measures: Names = ("RR@10", "nDCG@10")
    """Measures, named as in ir-measures."""
    rerank_depth: Count = 100
    """Candidates of each query that are re-ranked."""
    split: str = "test"
    """The split of the set `test`."""
    queries: Count | None = None
    """Use at most this many queries, a fixed random subset."""
    per_device_eval_batch_size: Count = 64
    """How many pairs a forward pass reads; fewer where pairs are long on a CPU, more where they are short on a GPU."""
    bf16: Toggle = "auto"
    """bfloat16 scoring; "auto" takes it where the device is fast at it."""
    sets: dict[Annotated[str, AfterValidator(set_name)], EvaluationSetSettings] = {}
    """Further query sets that are measured, by name."""
