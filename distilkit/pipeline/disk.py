"""What runs will take on disk: told before they start, and refused where it is more than is free.

An estimate by sizes that are known before anything is computed: texts, models, queries and depths.
"""

from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.pipeline.evaluation import Ranking
from distilkit.pipeline.examples import TriplesFile
from distilkit.pipeline.first_stage import Bm25Candidates
from distilkit.pipeline.graph import Artifact, Node, walk
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.teacher_internals import TeacherInternals
from distilkit.pipeline.teacher_scores import ModelScores, ScoreFile
from distilkit.pipeline.tokens import DocumentWindows, TextSequences, TokenStores
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.run_folders.disk import free, taken
from distilkit.tables import size

SMALL = 1 << 14
"""Bytes of what is small: manifests, costs, configurations."""
TOKENIZER = 1 << 20
"""Bytes of a tokenizer's files, which are copied with every model."""
LINE = 64
"""Bytes of a line of a TREC run."""
CHECKPOINTS = 9
"""What training keeps beside a stage's weights, in times of these: two checkpoints with optimiser and best weights."""


@dataclass
class DiskNeed:
    """The bytes that runs still need: artifacts, each once; their folders; and the checkpoints of those at work."""

    at_once: int = 1
    artifacts: float = 0.0
    folders: float = 0.0
    checkpoints: float = 0.0
    _seen: set[str] = field(default_factory=set)

    @property
    def total(self) -> float:
        """The bytes at the greatest."""
        return self.artifacts + self.folders + self.checkpoints * self.at_once

    def add(self, pipeline: Pipeline) -> None:
        """Count a run in."""
        for node in walk(pipeline.targets(), pipeline.workspace.is_done):
            if isinstance(node, Artifact) and node.key not in self._seen:
                self._seen.add(node.key)
                self.artifacts += _bytes(node)
                if isinstance(node, TrainedStage):
                    self.checkpoints = max(self.checkpoints, CHECKPOINTS * _weights(node))
        systems = 1 if pipeline.twin_of is not None else 3
        ranked = sum(len(one.queries.qrels) * one.settings.rerank_depth for one in pipeline.sets)
        self.folders += systems * ranked * LINE + TOKENIZER + 10 * SMALL

    def require_free(self, runs_dir: Path) -> str:
        """Return in words what is needed and free; raises UserError where the one is more than the other."""
        there = free(runs_dir)
        said = f"about {size(self.total)} of disk in {runs_dir}, where {size(there)} are free"
        if self.total > there:
            raise UserError(
                f"this needs {said}; remove what no run needs with `distilkit clean`, or name another --runs-dir"
            )
        return f"needs {said}"


@singledispatch
def _bytes(node: Node[Any]) -> float:
    return SMALL


@_bytes.register
def _of_tokens(node: TokenStores) -> float:
    tables = (node.collection.queries, node.collection.passages)
    texts = sum(map(len, tables))
    # A token has four letters and two bytes, and no text more of them than are kept; ends and lengths are eight each.
    tokens = min(_texts(node.collection.folder) / 4, texts * node.length)
    return SMALL + 2 * tokens + 16 * texts


@_bytes.register
def _of_windows(node: DocumentWindows) -> float:
    return SMALL + _texts(node.collection.folder) * max(1.0, node.settings.length / node.settings.stride)


@_bytes.register
def _of_text(node: TextSequences) -> float:
    most = node.settings.max_sequences
    if most is not None:
        return SMALL + 2.0 * most * node.settings.max_length
    return SMALL + _texts(node.collection.folder)


@_bytes.register
def _of_candidates(node: Bm25Candidates) -> float:
    return SMALL + 16.0 * len(node.query_ids) * min(node.depth, len(node.index.collection.passages))


@_bytes.register
def _of_scores(node: ModelScores) -> float:
    return SMALL + 12.0 * node.known_pairs


@_bytes.register
def _of_internals(node: TeacherInternals) -> float:
    return SMALL + float(node.most_bytes)


@_bytes.register
def _of_file(node: TriplesFile | ScoreFile) -> float:
    return SMALL + taken(node.path).size


@_bytes.register
def _of_ranking(node: Ranking) -> float:
    return SMALL + float(LINE * len(node.queries.qrels) * node.queries.candidates.depth)


@_bytes.register
def _of_stage(node: TrainedStage) -> float:
    return _weights(node) + TOKENIZER + SMALL


def _weights(stage: TrainedStage) -> float:
    """Return the bytes of a student's weights: of its encoder's layers and of its words."""
    layers, hidden, intermediate = stage.size
    words: int = read_json(stage.start.source.folder / "config.json").get("vocab_size", 1 << 15)
    return 4.0 * (layers * (4 * hidden**2 + 2 * hidden * intermediate) + (words + 512) * hidden)


def _texts(folder: Path) -> int:
    return sum(taken(path).size for path in folder.glob("*.arrow"))


def disk_need(*pipelines: Pipeline | None) -> DiskNeed:
    """Return what some pipelines still need, one at work at a time."""
    found = DiskNeed()
    for pipeline in pipelines:
        if pipeline is not None:
            found.add(pipeline)
    return found
