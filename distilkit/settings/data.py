"""The table [data]: the collection, its first stage, and how texts become tokens."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilkit.settings.fields import Count, Fraction, Section, Seed, Toggle


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
