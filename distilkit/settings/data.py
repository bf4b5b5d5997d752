"""The table [data]: the collection, its first stage, and how texts become tokens."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilkit.settings.fields import Count, Fraction, Section, Seed, Toggle


class ValidationSettings(Section):
    """`[data] validation`: which queries choose checkpoints and grid points."""

    from_: Literal["train", "dev"] | None = Field(None, alias="from")
    """The split that they are taken from: by default all of dev where there is one, else some of train."""
    queries: Count = 200
    """How many validation queries are drawn."""
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
    """Train on this many windows of a document, those that the teacher scores highest; the teacher itself is trained on
    the first."""

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
    """given: the source's own queries; sentences: titles and first sentences of passages as well, which stand in for
    real queries in training without labels."""
    sentences: Count = 1000
    """From how many passages a title or first sentence is taken as a query."""
    candidates: str | None = None
    """Read the first stage's results from `candidates/NAME.SPLIT.trec`; BM25 is computed where the key or the file is
    absent. `scoreddocs` reads those of ir_datasets."""
    k1: Annotated[float, Field(ge=0)] = 0.9
    """BM25's term-frequency saturation."""
    b: Fraction = 0.4
    """BM25's length normalisation."""
    language: str = "auto"
    """The language that BM25 reads the texts in, such as de or german; "auto" detects it from the passages."""
    stemmer: str | None = "auto"
    """The Snowball stemmer of BM25's terms; "auto" takes the one of the language, where there is one; "none" stems
    nothing."""
    segmenter: Literal["pairs", "icu"] = "pairs"
    """How BM25 cuts texts in scripts without blanks: into pairs of characters, or into words by ICU (the extra icu)."""
    validation: ValidationSettings = ValidationSettings()  # type: ignore[call-arg]
    """Which queries validate, and how many where the collection has no `dev` split."""
    validation_queries: Count | None = None
    """Use at most this many validation queries, a fixed random subset."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Maximum tokens of query and passage together, special tokens included; the longer of the two is cut first."""
    query_length: Annotated[int, Field(ge=3)] = 30
    """Maximum tokens of a query, special tokens included, for students that read query and passage apart."""
    document_length: Annotated[int, Field(ge=3)] = 200
    """Maximum tokens of a passage, special tokens included, for students that read query and passage apart."""
    passages: PassageSettings | None = None
    """Cut documents into windows and rank them by the windows' scores; where absent, each document is read as one
    text."""
    exclude_self: Toggle = "auto"
    """Leave a document that is the query itself out of the query's results, as BEIR does; true compares their ids,
    "auto" their texts as well."""
    on_missing: Literal["error", "skip"] = "error"
    """Triples with unknown ids, and examples that a file of scores lacks: stop with an error, or skip and count
    them."""
