"""The tables of stages of training: [train], and [general] for general distillation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilkit.settings.fields import Count, Counts, Fraction, NameOrNames, Positive, Section, Toggle


class TrainSettings(Section):
    """`[train]` and `[teacher.train]`: examples, budget and optimiser of one training."""

    labels: Literal["judgements", "none"] = "judgements"
    """judgements: train on relevance labels; none: on the teacher's scores of candidates, validated by agreement with
    it."""
    teacher_positives: Count = 1
    """Without labels: how many of a query's candidates, those that the teacher scores highest, are taken for positives;
    the negatives of each are drawn from those that it scores lower."""
    triples: str | None = None
    """A file of training triples (query, positive, negative; ids or texts); drawn from the judgements where absent."""
    train_queries: Count | None = None
    """Train on this many training queries, drawn by the stage's seed; all where absent."""
    teacher_queries: bool = False
    """Train on the queries that the teachers were fine-tuned on, too, beside those that are drawn."""
    negatives: Count = 3
    """How many negatives are drawn for each positive."""
    negatives_from: NameOrNames = None
    """What negatives are drawn from: the candidates of bm25, a TREC run of the training queries, or a model (a bert_dot
    or colbert searches, another re-ranks BM25's candidates); a list of them is fused by reciprocal rank; the
    collection's first stage where absent."""
    negative_depth: Count = 50
    """Draw negatives from this many of the highest ranked candidates, leaving out those that are judged relevant."""
    negative_range_min: Annotated[int, Field(ge=0)] = 0
    """Draw none from this many of the highest ranked candidates, which are often relevant and not judged; without
    labels, from this many of those that the teacher ranks directly below the first passage of a list."""
    negative_range_max: Count | None = None
    """Draw negatives from no more than this many of the highest ranked candidates; without labels, as the teacher ranks
    them. Where absent, from all of negative_depth."""
    negative_absolute_margin: float | None = None
    """Leave out candidates whose teacher score is less than this below the positive's."""
    negative_relative_margin: float | None = None
    """Leave out candidates whose teacher score is below the positive's by less than this share of the positive's."""
    negative_max_score: float | None = None
    """Leave out candidates whose teacher score is above this."""
    learning_rate: Positive = 5e-5
    """Peak learning rate."""
    learning_rates: dict[str, Positive] = {}
    """Peak learning rates of the parameters whose names contain these words, such as word_embeddings."""
    num_train_epochs: Positive = 1.0
    """Passes over the examples; each sees every example once."""
    max_steps: Count | None = None
    """Optimiser steps; overrides num_train_epochs."""
    per_device_train_batch_size: Count = 32
    """Examples in a batch of one device: pairs, triples or lists, as the strategy reads; a GPU cuts it by tokens."""
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
    """Write a checkpoint, which a run can be resumed from, every so many steps."""
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


class GeneralSettings(Section):
    """`[general]`: the plain text of general distillation."""

    text: str = "collection"
    """collection (its own passages), installed_docs (the documentation of all installed packages but those of the
    built-in collection), a file or folder of texts, or huggingface:NAME."""
    split: str = "train"
    """The split of a Hugging Face data set."""
    column: str = "text"
    """The column of tables, or the field of JSON lines, that holds the text."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Maximum tokens of a sequence, special tokens included."""
    max_sequences: Count | None = None
    """Use at most this many sequences; all where absent."""
    pairs: bool = False
    """Read pairs of texts, as BERT's pre-training does: the second continues the first in half of them, and is of
    another document in the others; the loss next_text tells them apart."""
    masking: Literal["none", "one", "bert"] = "none"
    """Tokens that are masked: none; one of each sequence, as in TinyBERT's released code; bert: 15 % of them."""
