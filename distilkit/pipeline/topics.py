"""Clusters of training queries, and the examples that are drawn by them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from distilkit.data.topics import QueryTopics, TopicGroups, default_clusters, k_means
from distilkit.errors import UserError
from distilkit.pipeline.examples import Countable, TaskExamples, TriplesFile
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.models import ModelNode
from distilkit.pipeline.teacher_scores import ScoredExamples
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.training.step_loader import TrainingSet

# Queries that are encoded in one forward pass.
ENCODED = 64


@dataclass(frozen=True, eq=False)
class QueryClusters(Artifact[QueryTopics]):
    """The queries of some examples, clustered by k-means over a bi-encoder's vectors; one for 200 where None."""

    model: ModelNode
    reader: Reader
    examples: TaskExamples
    clusters: int | None
    seed: int

    kind: ClassVar[str] = "clusters"

    def identity(self) -> dict[str, Any]:
        """Return the encoder, its tokens, the examples, how many clusters there are, and the seed of their draw."""
        parts = {"model": self.model.key, "tokens": self.reader.key, "examples": self.examples.key}
        return {**parts, "clusters": self.clusters, "seed": self.seed}

    def check(self, workspace: Workspace) -> None:
        """Refuse more clusters than queries, where these are known before anything is built."""
        source = self.examples.source
        if not isinstance(source, TriplesFile):
            self._require_enough(len(set(source.candidates.query_ids)))

    def _require_enough(self, queries: int) -> None:
        if self.clusters is not None and self.clusters > queries:
            raise UserError(
                f"[strategy] clusters = {self.clusters}: there are {queries} training queries to cluster; expected at "
                "most as many"
            )

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of encoding the queries."""
        source = self.examples.source
        count = 0 if isinstance(source, TriplesFile) else len(source.candidates.query_ids)
        return count * self._query_seconds(workspace)

    def _query_seconds(self, workspace: Workspace) -> float:
        return workspace.rates.seconds(self.kind, self.model.macs(self.reader) / 2)

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Encode the queries and cluster them; raises UserError for more clusters than queries."""
        import torch

        from distilkit.models.encoded import encode_rows

        rows = np.unique(workspace.value(self.examples).queries)
        self._require_enough(len(rows))
        device = workspace.processes.device
        tokens: Any = workspace.value(self.reader)
        ranker: Any = self.model.load(workspace).to(device)
        work = self._query_seconds(workspace)
        with torch.no_grad(), workspace.progress.phase("encode queries", len(rows), work=work) as phase:
            how: dict[str, Any] = {"batch_size": ENCODED, "device": device, "progress": phase.reach}
            vectors = encode_rows(ranker.encode_query, tokens.queries, rows, **how).states.float().cpu().numpy()
        clusters = default_clusters(len(rows)) if self.clusters is None else self.clusters
        labels, centres = k_means(vectors, clusters, self.seed)
        for name, found in (("queries", rows), ("labels", labels), ("centres", centres)):
            np.save(folder / f"{name}.npy", found)
        sizes = np.bincount(labels)
        return {"clusters": clusters, "smallest": int(sizes.min()), "largest": int(sizes.max())}

    def open(self, folder: Path, workspace: Workspace) -> QueryTopics:
        """Map the arrays."""
        return QueryTopics(
            *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("queries", "labels", "centres"))
        )


@dataclass(frozen=True, eq=False)
class TopicExamples(Countable["TrainingSet"]):
    """Scored triples that are drawn by clusters of their queries and bins of the teacher's margins.

    Without `clusters` all queries are one.
    """

    examples: ScoredExamples
    clusters: QueryClusters | None
    bins: int

    kind: ClassVar[str] = "topic_examples"

    def identity(self) -> dict[str, Any]:
        """Return the triples, the clusters and the number of bins."""
        clusters = self.clusters.key if self.clusters else None
        return {"examples": self.examples.key, "clusters": clusters, "bins": self.bins}

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """What the triples are counted by."""
        return self.examples.to_count

    def count(self, workspace: Workspace) -> int | None:
        """Return how many triples there are, of which an epoch draws as many."""
        return self.examples.count(workspace)

    def left_out(self, workspace: Workspace) -> list[str]:
        """Return what is to be said of triples and queries that are left out."""
        return self.examples.left_out(workspace)

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the triples with their groups."""
        found = workspace.value(self.examples)
        assert found.targets is not None
        queries, margins = found.queries[:, 0], found.targets[:, 0] - found.targets[:, 1]
        topics = QueryTopics.one(queries) if self.clusters is None else workspace.value(self.clusters)
        return replace(found, groups=TopicGroups.of(queries, margins, self.bins, topics))


def plain_examples(examples: Countable[Any]) -> Countable[Any]:
    """Return some examples without the scores and groups that were made for them."""
    examples = examples.examples if isinstance(examples, TopicExamples) else examples
    return examples.examples if isinstance(examples, ScoredExamples) else examples
