"""What `distilkit score` was asked for."""

from dataclasses import dataclass
from pathlib import Path

from distilkit.data.teacher_scores.combine import HOW
from distilkit.errors import UserError, nearest
from distilkit.scoring.corpus import Corpus
from distilkit.scoring.rankers import Named
from distilkit.scoring.wanted import Kind, holds_texts


@dataclass(frozen=True)
class Request:
    """The models, what they score, where its texts are, and how the scores are written.

    Attributes:
        corpus: where the texts of ids are; None for triples that hold their texts
        combine: how an ensemble's score is made of its teachers'
        resume: go on with what an earlier process left
        architecture: which ranker a model is that does not say so
        query_length, document_length, max_length: tokens of texts and pairs; by default each model's own
        bf16: compute in bfloat16: faster on some machines, and coarse: of a query's scores some come out equal
    """

    models: list[Named]
    path: Path
    kind: Kind
    corpus: Corpus | None
    output: Path
    combine: str = "mean"
    resume: bool = False
    architecture: str | None = None
    query_length: int | None = None
    document_length: int | None = None
    max_length: int | None = None
    batch_size: int = 64
    bf16: bool | str = False

    def check(self) -> None:
        """Raise UserError for what can be told to be wrong before anything is scored."""
        if not self.path.is_file():
            raise UserError(f"--{self.kind} {self.path}: there is no such file")
        if self.output.suffix not in (".tsv", ".parquet"):
            raise UserError(f"--output {self.output}: expected a name that ends in .tsv or .parquet")
        if self.output.suffix == ".tsv" and self.kind != "triples":
            raise UserError(f"--output {self.output}: the five columns of a TSV are triples; name a .parquet file")
        if self.combine not in HOW:
            raise UserError(f"--combine: there is no {self.combine!r}{nearest(self.combine, HOW)}")
        texts = self.kind == "triples" and holds_texts(self.path)
        if texts and self.output.suffix == ".parquet":
            raise UserError(f"{self.path}: holds texts without ids, which only a .tsv output can name")
        if texts and self.corpus is not None:
            raise UserError(f"{self.path}: holds texts, not ids; score it without --data, --collection and --queries")
        if not texts and self.corpus is None:
            raise UserError(f"{self.path}: holds ids; name their texts with --data, or with --collection and --queries")
