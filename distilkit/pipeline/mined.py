"""Where hard negatives come from: BM25, a run of the training queries, or a model; and the pairs that filters score."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from distilkit.data.candidates import Candidates, fused
from distilkit.data.collection import Collection, Run
from distilkit.errors import UserError
from distilkit.evaluation.trec import read_run
from distilkit.files import content_key, expanded, sha256_once
from distilkit.models.references import content_hash, local_folder
from distilkit.pipeline.data import Data
from distilkit.pipeline.evaluation import Scorer
from distilkit.pipeline.first_stage import Bm25Candidates, FirstStage
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.data.side_tokens import SideTokens
    from distilkit.models.ranker import Ranker
    from distilkit.training.step_loader import TrainingSet


@dataclass(frozen=True, eq=False)
class RunCandidates(FirstStage):
    """The candidates of some queries in a TREC run."""

    path: Path
    collection: Collection
    query_ids: tuple[str, ...]
    depth: int
    own: tuple[int, ...]

    kind: ClassVar[str] = "run_candidates"

    def identity(self) -> dict[str, Any]:
        """Return the file's content, the queries and the depth."""
        queries = content_key([list(self.query_ids), list(self.own)])
        parts = {"collection": self.collection.fingerprint, "queries": queries, "depth": self.depth}
        return {**parts, "run": sha256_once(self.path)}

    @property
    def reads(self) -> dict[str, str]:
        """The file."""
        return {f"the run {self.path}": sha256_once(self.path)}

    def check(self, workspace: Workspace) -> None:
        """Refuse a broken file, passages that there are not, and a run of other queries."""
        run = read_run(self.path)
        known = [query for query in self.query_ids if run.get(query)]
        if 2 * len(known) < len(self.query_ids):
            lost = next(query for query in self.query_ids if not run.get(query))
            problem = f"holds nothing for {len(self.query_ids) - len(known)} of {len(self.query_ids)} training queries"
            raise UserError(f"{self.path}: {problem}, such as {lost!r}; expected a run of these")
        passages = list(dict.fromkeys(passage for query in known for passage, _ in run[query]))
        if (lacking := np.flatnonzero(self.collection.passages.find(passages) < 0)).size:
            problem = f"the passage id {passages[lacking[0]]!r} is unknown"
            raise UserError(f"{self.path}: {problem}; expected one of the corpus")

    def value(self, workspace: Workspace) -> Candidates:
        """Return the first `depth` candidates of each query."""
        own = np.array(self.own, np.int64) if self.own else None
        return Candidates.of_run(self.collection, read_run(self.path), self.query_ids, self.depth, own)


@dataclass(frozen=True, eq=False)
class FusedCandidates(FirstStage):
    """The candidates of several first stages, by the sum of 1 / (60 + rank) over those that have them.

    Cormack, Clarke and Büttcher, Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods
    (SIGIR 2009). Each is read to the depth that the fused one has.
    """

    members: tuple[FirstStage, ...]

    kind: ClassVar[str] = "fused_candidates"

    @property
    def query_ids(self) -> tuple[str, ...]:  # type: ignore[override]
        """The queries, which all members have in common."""
        return self.members[0].query_ids

    @property
    def depth(self) -> int:  # type: ignore[override]
        """How many candidates are kept of a query."""
        return self.members[0].depth

    @property
    def own(self) -> tuple[int, ...]:  # type: ignore[override]
        """The passage that each query is itself, which no member has."""
        return self.members[0].own

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The first stages."""
        return self.members

    def identity(self) -> dict[str, Any]:
        """Return the first stages, in whatever order they are named."""
        return {"fused": sorted(member.key for member in self.members)}

    def value(self, workspace: Workspace) -> Candidates:
        """Return the first `depth` fused candidates of each query; equal sums by row of the collection."""
        return fused([workspace.value(member) for member in self.members], self.depth)


@dataclass(frozen=True, eq=False)
class ModelCandidates(FirstStage, Artifact[Candidates]):
    """The candidates of some queries by a model: of the whole collection where it searches, else BM25's, re-ranked."""

    reference: str
    folder: Path
    first: Bm25Candidates
    data: Data
    scorer: Scorer
    query_ids: tuple[str, ...]
    depth: int
    own: tuple[int, ...]

    kind: ClassVar[str] = "mined_candidates"
    together: ClassVar[bool] = True

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """BM25's candidates, which tell the queries too, and the tokens."""
        return (self.first, self._reader)

    @property
    def reads(self) -> dict[str, str]:
        """The model."""
        return {f"the model {self.reference}": content_hash(self.reference)}

    def identity(self) -> dict[str, Any]:
        """Return the model, BM25's candidates, the tokens and the precision."""
        parts = {"model": content_hash(self.reference), "first": self.first.key, "tokens": self._reader.key}
        return {**parts, "precision": self.scorer.precision}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Search or re-rank on all processes."""
        ranker = _ranker(self.folder).to(workspace.processes.device)
        tokens: Any = workspace.value(self._reader)
        how = self._searched if ranker.searches else self._reranked
        found = how(ranker, tokens, workspace)
        if workspace.processes.is_main:
            found.write(folder)

    def open(self, folder: Path, workspace: Workspace) -> Candidates:
        """Map the arrays."""
        return Candidates.open(folder)

    @cached_property
    def _reader(self) -> Reader:
        from distilkit.models.load import saved_prefixes

        ranker = _ranker(self.folder)
        tokenizer = self.data.tokenizer(self.folder, saved_prefixes(self.folder, ranker.architecture))
        return self.data.reader(tokenizer, ranker.architecture, asdict(ranker.options))

    def _reranked(self, ranker: "Ranker", tokens: Any, workspace: Workspace) -> Candidates:
        first, collection = workspace.value(self.first), self.data.collection
        scores = self.scorer.score(ranker, tokens, *first.pairs(), "mine negatives", 0.0, workspace)
        run: Run = first.run(collection, scores)
        return Candidates.of_run(collection, run, self.query_ids, self.depth)

    def _searched(self, ranker: Any, tokens: "SideTokens", workspace: Workspace) -> Candidates:
        import torch

        from distilkit.evaluation.index import DocumentIndex
        from distilkit.evaluation.rerank import computing
        from distilkit.evaluation.search import search, shared
        from distilkit.models.encoded import encode_rows

        collection, processes, size = self.data.collection, workspace.processes, self.scorer.batch_size
        rows, depth = np.ascontiguousarray(collection.passages.order[::-1]), self.depth + bool(self.own)
        queries = collection.queries.find(list(self.query_ids))
        with torch.no_grad(), computing(self.scorer.precision, processes.device):
            index = DocumentIndex(ranker, tokens.documents, rows, size, processes.device)
            encoded = encode_rows(
                ranker.encode_query, tokens.queries, queries, batch_size=size, device=processes.device
            )
            with workspace.progress.phase("mine negatives", len(rows)) as phase:
                mine = range(processes.rank, len(index), processes.count)
                blocks = index.blocks(mine, partial(phase.reach, total=len(rows)))
                top = shared(search(ranker, encoded, blocks, depth, processes.device), depth, processes)
        found = Candidates(queries, rows[top.places.numpy()], top.scores.double().numpy())
        return found.without(np.array(self.own, np.int64)) if self.own else found


def _ranker(folder: Path) -> "Ranker":
    from distilkit.models.load import architecture_of, load_ranker

    if architecture_of(folder) is None:
        raise UserError(f"{folder} is a bare encoder, which ranks nothing; expected a trained ranker")
    return load_ranker(folder)


def mined_from(
    where: str | tuple[str, ...], section: str, data: Data, query_ids: Sequence[str], depth: int, scorer: Scorer
) -> FirstStage:
    """Return the candidates that `negatives_from` names, several fused; raises UserError for neither run nor model."""
    if not isinstance(where, str):
        members = tuple(mined_from(one, section, data, query_ids, depth, scorer) for one in dict.fromkeys(where))
        return FusedCandidates(members) if len(members) > 1 else members[0]
    first = data.bm25(query_ids, depth)
    if where == "bm25":
        return first
    path = expanded(where)
    if path.is_file():
        return RunCandidates(path, data.collection, tuple(query_ids), depth, first.own)
    try:
        folder = local_folder(where)
    except UserError as error:
        raise UserError(
            f"{section} negatives_from = {where!r}: expected bm25, a TREC run or a model; {error}"
        ) from None
    if data.settings.passages is not None:
        raise UserError(f"{section} negatives_from = {where!r}: a model mines whole documents, not [data.passages]")
    return ModelCandidates(where, folder, first, data, scorer, first.query_ids, depth, first.own)


@dataclass(frozen=True, eq=False)
class CandidatePairs(Node["TrainingSet"]):
    """The candidates and the relevant passages of training queries, as pairs for a teacher to score."""

    data: Data
    candidates: FirstStage

    kind: ClassVar[str] = "candidate_pairs"

    def pairs_identity(self) -> dict[str, Any]:
        """Return the candidates."""
        return {"candidates": self.candidates.key, "every": True}

    identity = pairs_identity

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the pairs."""
        from distilkit.training.step_loader import TrainingSet

        (train, _), collection = self.data.judgements, self.data.collection
        candidates = workspace.value(self.candidates)
        queries, passages = candidates.pairs()
        judged = (train.get(query, {}) for query in self.candidates.query_ids)
        relevant = [
            (query, passage)
            for query, grades in zip(candidates.queries.tolist(), judged, strict=True)
            for passage in collection.passages.find([id for id, grade in grades.items() if grade > 0]).tolist()
        ]
        pairs = np.concatenate([np.stack([queries, passages], axis=1), np.array(relevant, np.int64).reshape(-1, 2)])
        labels = np.zeros((len(pairs), 1), np.int64)
        return TrainingSet(pairs[:, :1], pairs[:, 1:], labels)
