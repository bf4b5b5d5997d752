"""What an unfinished scoring keeps, as nodes: the texts and pairs it reads, a teacher's tokens of them, its scores."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Progress
from distilkit.data.tokens import TokenStore, tokenizer_identity, write_token_store
from distilkit.evaluation.rerank import score_pairs
from distilkit.files import sha256_file
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.workspace import Workspace
from distilkit.scoring.rankers import OpenRanker
from distilkit.scoring.texts import TABLES, Material, PairsSource, prepare
from distilkit.training.precision import Precision

Floats = npt.NDArray[np.float32]

SCORES = "scores.npy"


@dataclass(frozen=True, eq=False)
class ScoredTexts(Artifact[Material]):
    """The pairs of a source and the texts that they need, out of a corpus of any size."""

    source: PairsSource

    kind: ClassVar[str] = "texts"

    def identity(self) -> dict[str, Any]:
        """Return the source's content, and the files that hold its texts."""
        corpus = self.source.corpus.sizes() if self.source.corpus else []
        return {"kind": self.source.kind, "sha256": sha256_file(self.source.path), "corpus": corpus}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Gather them; raises UserError, with file and line, for a broken file and for an id without a text."""
        if empty := prepare(folder, self.source):
            workspace.progress.say(f"{empty} passages are empty: scored as empty texts")

    def open(self, folder: Path, workspace: Workspace) -> Material:
        """Map them."""
        return Material.open(folder)


@dataclass(frozen=True, eq=False)
class SourceTokens(Artifact["tuple[TokenStore, TokenStore]"]):
    """The tokens of all queries and passages, by one teacher's tokenizer."""

    texts: ScoredTexts
    name: str
    opened: OpenRanker

    kind: ClassVar[str] = "tokens"

    def identity(self) -> dict[str, Any]:
        """Return the texts, the tokenizer, and how much of a text is kept."""
        tokenizer = tokenizer_identity(self.opened.tokenizer)
        length, prefixes = self.opened.stored_length, self.opened.prefixes.identity()
        return {"texts": self.texts.key, "tokenizer": tokenizer, "length": length, **prefixes}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Tokenise every text once."""
        material = workspace.value(self.texts)
        tokenizer, length = self.opened.tokenizer, self.opened.stored_length
        for table, around in zip(TABLES, self.opened.prefixes.sides, strict=True):
            (folder / table).mkdir()
            texts = getattr(material, table)
            with workspace.progress.phase(f"tokenise {table} for {self.name}", len(texts)) as phase:
                write_token_store(folder / table, texts, tokenizer, length, phase.reach, around)

    def open(self, folder: Path, workspace: Workspace) -> tuple[TokenStore, TokenStore]:
        """Map the stores of queries and passages."""
        queries, passages = (TokenStore.open(folder / table) for table in TABLES)
        return queries, passages


@dataclass(frozen=True, eq=False)
class Shard(Artifact[Floats]):
    """A teacher's raw scores of some of the pairs: as many as a kill may cost.

    Attributes:
        made_of: what the teacher's scores depend on, as its identity states it
        rows: the first of the pairs, and the one after the last
        progress: told how many pairs are scored; changes no result
    """

    tokens: SourceTokens
    made_of: dict[str, Any]
    rows: tuple[int, int]
    batch_size: int
    precision: Precision
    progress: Progress = field(default=lambda done, total: None)

    kind: ClassVar[str] = "scores"
    together: ClassVar[bool] = True

    @property
    def size(self) -> int:
        """How many pairs it holds."""
        return self.rows[1] - self.rows[0]

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The tokens, and the pairs."""
        return (self.tokens, self.tokens.texts)

    def identity(self) -> dict[str, Any]:
        """Return the teacher, its tokens, the pairs, and how they are computed."""
        computed = {"rows": self.rows, "batch_size": self.batch_size, "precision": self.precision}
        return {"teacher": self.made_of, "tokens": self.tokens.key, **computed}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Score the pairs; raises RunFailed where a score is not finite."""
        opened, rows = self.tokens.opened, slice(*self.rows)
        queries, passages = (np.asarray(column[rows]) for column in workspace.value(self.tokens.texts).pairs)
        scores = score_pairs(
            opened.ranker,
            opened.tokens(*workspace.value(self.tokens)),
            queries,
            passages,
            batch_size=self.batch_size,
            precision=self.precision,
            processes=workspace.processes,
            progress=self.progress,
        )
        workspace.processes.on_main(lambda: np.save(folder / SCORES, scores.astype(np.float32)))

    def open(self, folder: Path, workspace: Workspace) -> Floats:
        """Read the scores."""
        found: Floats = np.load(folder / SCORES)
        return found
