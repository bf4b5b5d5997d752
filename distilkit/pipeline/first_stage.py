"""The first stage: the candidates of a set of queries, given or by BM25."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from distilkit.data.analysis import Analyser
from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.data.bm25 import Bm25


class FirstStage(Node[Candidates]):
    """The candidates of some queries, whatever they come from.

    `own` holds the passage that each query is itself, -1 for none, or nothing where none is one.
    """

    query_ids: tuple[str, ...]
    depth: int
    own: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GivenCandidates(FirstStage):
    """The first stage that a collection brought for some queries of a split."""

    collection: Collection
    split: str
    query_ids: tuple[str, ...]
    depth: int
    own: tuple[int, ...] = ()

    kind: ClassVar[str] = "given_candidates"

    def identity(self) -> dict[str, Any]:
        """Return the collection, the split, the queries and the depth."""
        return {**_of_queries(self.collection, self.query_ids, self.depth, self.own), "given": self.split}

    def check(self, workspace: Workspace) -> None:
        """Refuse candidates that more than half of the queries have none of."""
        given = self.collection.candidates(self.split) or {}
        lost = [query for query in self.query_ids if not given.get(query)]
        if 2 * len(lost) > len(self.query_ids):
            raise UserError(
                f"the candidates of {self.collection.name} hold nothing for {len(lost)} of {len(self.query_ids)} "
                f"queries of {self.split}, such as {lost[0]!r}; expected a first stage of these queries"
            )

    def value(self, workspace: Workspace) -> Candidates:
        """Return the first `depth` candidates of each query."""
        self.check(workspace)
        given = self.collection.candidates(self.split)
        assert given is not None
        own = np.array(self.own, np.int64) if self.own else None
        return Candidates.of_run(self.collection, given, self.query_ids, self.depth, own)


@dataclass(frozen=True, eq=False)
class Bm25Index(Node["Bm25"]):
    """BM25's index of a collection's passages, held in memory by the process that searches it."""

    collection: Collection
    k1: float
    b: float
    analyser: Analyser

    kind: ClassVar[str] = "bm25_index"

    def identity(self) -> dict[str, Any]:
        """Return the collection, the parameters and the version of our analysis."""
        from distilkit.data.bm25 import VERSION

        bm25 = {"k1": self.k1, "b": self.b, **self.analyser.identity(), "version": VERSION}
        return {"collection": self.collection.fingerprint, "bm25": bm25}

    def value(self, workspace: Workspace) -> "Bm25":
        """Index the passages."""
        from distilkit.data.bm25 import Bm25

        workspace.progress.say(f"BM25: indexing {len(self.collection.passages)} passages ({self.analyser})")
        return Bm25(self.collection.passages, k1=self.k1, b=self.b, analyser=self.analyser)


@dataclass(frozen=True, eq=False)
class Bm25Candidates(FirstStage, Artifact[Candidates]):
    """The first passages of some queries by BM25, without those that the queries are themselves."""

    index: Bm25Index
    query_ids: tuple[str, ...]
    depth: int
    own: tuple[int, ...] = ()

    kind: ClassVar[str] = "candidates"

    def identity(self) -> dict[str, Any]:
        """Return the index's identity, the queries and the depth."""
        return {**self.index.identity(), **_of_queries(self.index.collection, self.query_ids, self.depth, self.own)}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Search all queries."""
        collection, bm25 = self.index.collection, workspace.value(self.index)
        rows = [collection.queries.index(query) for query in self.query_ids]
        with workspace.progress.phase("BM25", len(rows)) as phase:
            texts, depth = collection.queries.texts(rows), self.depth + bool(self.own)
            passages, scores = bm25.retrieve(texts, depth, progress=phase.reach)
        candidates = Candidates(np.array(rows, np.int64), passages, scores.astype(np.float64))
        if self.own:
            candidates = candidates.without(np.array(self.own, np.int64))
        lost = int((candidates.passages[:, :1] < 0).sum())
        if 2 * lost > len(rows):
            raise UserError(
                f"BM25 finds nothing for {lost} of {len(rows)} queries of {collection.name}, whose texts it reads by "
                f"{self.index.analyser}; expected passages that share words with the queries: set [data] language, or "
                "bring candidates of another first stage"
            )
        candidates.write(folder)

    def open(self, folder: Path, workspace: Workspace) -> Candidates:
        """Map the arrays."""
        return Candidates.open(folder)


def _of_queries(collection: Collection, query_ids: tuple[str, ...], depth: int, own: tuple[int, ...]) -> dict[str, Any]:
    left_out = {"own": content_key(list(own))} if own else {}
    return {"collection": collection.fingerprint, "queries": content_key(list(query_ids)), "depth": depth, **left_out}
