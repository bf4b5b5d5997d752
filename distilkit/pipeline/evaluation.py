"""Re-ranked query sets and what they cost: computed once for every run that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.collection import Run
from distilkit.data.passages import aggregate
from distilkit.data.teacher_scores import combine
from distilkit.errors import lowering
from distilkit.evaluation.measures import Evaluation, canonical_all, evaluate
from distilkit.evaluation.trec import read_run, write_run
from distilkit.files import content_key, read_json, write_json
from distilkit.models import STUDENTS
from distilkit.pipeline.data import Data, QuerySet
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.models import ModelNode, Teacher, blaming
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.workspace import Workspace
from distilkit.run_folders.folder import machine
from distilkit.settings import EvaluateSettings
from distilkit.training.precision import Precision

if TYPE_CHECKING:
    from distilkit.data.side_tokens import SideTokens
    from distilkit.data.tokens import PairTokens
    from distilkit.models.ranker import Ranker

Scores = npt.NDArray[np.float64]

# What re-ranks nothing costs nothing that this toolkit measures.
_NOTHING = dict.fromkeys(("labelled_queries", "training_macs", "training_seconds"), 0)
FIRST_STAGE_COST: dict[str, Any] = {
    "parameters": 0,
    "macs_per_pair": 0,
    "budget": {**_NOTHING, **{f"total_{name}": 0 for name in _NOTHING}},
}


@dataclass(frozen=True)
class Scorer:
    """How pairs are scored: in which precision, and how many in a forward pass (which changes no score)."""

    precision: Precision
    batch_size: int

    @classmethod
    def of(cls, settings: EvaluateSettings, workspace: Workspace) -> "Scorer":
        """Return what an [evaluate] table says, on this machine."""
        return cls(workspace.precision(settings.bf16), settings.per_device_eval_batch_size)

    def score(
        self,
        ranker: "Ranker",
        tokens: "PairTokens | SideTokens",
        queries: Integers,
        passages: Integers,
        label: str,
        work: float,
        workspace: Workspace,
    ) -> Scores:
        """Return a ranker's raw logit of every pair, in the order given; all processes take part.

        `work` are the seconds of a pair by the forecast of the whole run.
        """
        from distilkit.evaluation.rerank import score_pairs

        # The longest come first, and take longer than the others.
        lengths = np.sort(tokens.lengths(queries, passages))[::-1].cumsum() if len(passages) else np.ones(1)
        key = f"[evaluate] per_device_eval_batch_size, or --batch-size ({self.batch_size} pairs a forward pass now)"
        with lowering(key), workspace.progress.phase(label, len(passages), work=work) as phase:
            return score_pairs(
                ranker,
                tokens,
                queries,
                passages,
                batch_size=self.batch_size,
                precision=self.precision,
                processes=workspace.processes,
                progress=lambda done, total: phase.reach(done, total, float(lengths[done - 1] / lengths[-1])),
            )

    def rerank(
        self,
        ranker: "Ranker",
        tokens: "PairTokens | SideTokens",
        queries: QuerySet,
        label: str,
        work: float,
        workspace: Workspace,
    ) -> Run:
        """Return the candidates of a query set with a ranker's raw logits, a document's made of its windows'."""
        from distilkit.data.tokens import PairTokens

        candidates = workspace.value(queries.candidates)
        of, passages = candidates.pairs()
        documents = tokens.documents if isinstance(tokens, PairTokens) else None
        if documents is None:
            scores = self.score(ranker, tokens, of, passages, label, work, workspace)
        else:
            windows, owners = documents.windows.of(passages)
            per_window = work * len(passages) / max(1, len(windows))
            found = self.score(ranker, tokens, of[owners], windows, label, per_window, workspace)
            scores = aggregate(found, owners, len(passages), documents.aggregation)
        return candidates.run(queries.collection, scores)


def scoring_shape(model: ModelNode, reader: Reader, scorer: Scorer) -> str:
    """Return what the seconds of scoring a pair depend on."""
    architecture = getattr(model, "architecture", "bert_cat")
    what = {"score": architecture, "size": model.size, "form": vars(reader.form), "lengths": reader.lengths}
    return content_key({**what, "tokens": reader.stores.collection.fingerprint, "how": vars(scorer)})[:16]


@dataclass(frozen=True)
class EvaluationSet:
    """One query set that systems are measured on."""

    name: str
    data: Data
    settings: EvaluateSettings
    split: str

    @property
    def section(self) -> str:
        """The recipe's table of it."""
        return "[evaluate]" if self.name == "test" else f"[evaluate.sets.{self.name}]"

    @property
    def measures(self) -> list[str]:
        """The measures by their canonical names."""
        return list(canonical_all(self.settings.measures))

    @cached_property
    def queries(self) -> QuerySet:
        """The judged queries with their candidates; raises UserError for a split that there is not."""
        qrels = self.data.qrels(self.split, self.settings.queries, self.section)
        return self.data.query_set(self.split, qrels, self.settings.rerank_depth)

    def measure(self, run: Run, measures: Sequence[str] | None = None) -> Evaluation:
        """Return a run's measures under the evaluation policy."""
        return evaluate(run, self.queries.qrels, measures or self.measures, own=self.own)

    @cached_property
    def own(self) -> int:
        """How many of the queries are documents themselves, which are left out of their results."""
        return sum(row >= 0 for row in self.queries.candidates.own)


@dataclass(frozen=True, eq=False)
class Ranking(Artifact[Run]):
    """The candidates of a query set, re-ranked by one ranker."""

    model: ModelNode
    queries: QuerySet
    reader: Reader
    scorer: Scorer
    label: str = "re-rank test queries"

    kind: ClassVar[str] = "ranking"
    together: ClassVar[bool] = True

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The ranker, the candidates and the tokens."""
        return (self.model, self.queries.candidates, self.reader)

    def identity(self) -> dict[str, Any]:
        """Return the ranker, the candidates, the tokens, the precision, and how windows make a document's score."""
        parts = {"model": self.model.key, "candidates": self.queries.candidates.key, "tokens": self.reader.key}
        return {**parts, "precision": self.scorer.precision, "aggregation": self.reader.aggregation}

    @property
    def shape(self) -> str:
        """What the seconds of scoring a pair depend on."""
        return scoring_shape(self.model, self.reader, self.scorer)

    @property
    def pair_macs(self) -> float:
        """The multiply-accumulates of a pair."""
        return self.model.macs(self.reader)

    @property
    def pairs(self) -> int:
        """How many pairs are scored, if no query has fewer candidates than the depth."""
        return len(self.queries.qrels) * self.queries.candidates.depth

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of scoring every candidate."""
        return self.pairs * self.pair_seconds(workspace)

    def pair_seconds(self, workspace: Workspace) -> float:
        """Return the seconds of a pair among all of them.

        Of texts that are encoded apart a passage is encoded once, however many queries it is a candidate of.
        """
        name = getattr(self.model, "architecture", "bert_cat")
        apart = STUDENTS[name].ranker().apart if name in STUDENTS else 0.0
        once = min(1.0, len(self.queries.collection.passages) / max(1, self.pairs))
        return workspace.rates.seconds(self.shape, self.pair_macs) * (1 - apart + apart * once)

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Score the candidates on all processes."""
        ranker = self.model.load(workspace).to(workspace.processes.device)
        tokens, work = workspace.value(self.reader), self.pair_seconds(workspace)
        with blaming(self.model):
            run = self.scorer.rerank(ranker, tokens, self.queries, self.label, work, workspace)
        if workspace.processes.is_main:
            write_run(folder / "run.trec", run, self.model.kind)

    def open(self, folder: Path, workspace: Workspace) -> Run:
        """Read the run."""
        return read_run(folder / "run.trec")


@dataclass(frozen=True, eq=False)
class RankerCost(Artifact[dict[str, Any]]):
    """What a ranker costs on this machine: parameters, operations, memory and storage.

    Latencies are kept by no artifact: systems of one table are timed together (`pipeline.latency`).
    """

    ranking: Ranking

    kind: ClassVar[str] = "cost"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The ranker, the candidates and the tokens."""
        return self.ranking.inputs

    def identity(self) -> dict[str, Any]:
        """Return what is re-ranked, how many pairs a forward pass takes, and the machine: memory depends on them."""
        here = machine()
        return {
            "ranking": self.ranking.key,
            "batch_size": self.ranking.scorer.batch_size,
            "machine": [here["host"], here["cpu"], here["cores"]],
            "latency": None,
        }

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of single queries: those of the peak, and those that the system is timed on later."""
        from distilkit.evaluation.cost import PEAK_QUERIES

        return self.seconds(PEAK_QUERIES, workspace) + self.timing(workspace)

    def timing(self, workspace: Workspace) -> float:
        """Return the seconds of timing it."""
        from distilkit.evaluation.cost import QUERIES, WARM_UP

        return self.seconds(QUERIES + WARM_UP, workspace)

    def seconds(self, queries: int, workspace: Workspace) -> float:
        """Return the seconds of re-ranking so many queries."""
        candidates = self.ranking.queries.candidates
        pairs = min(queries, len(self.ranking.queries.qrels)) * candidates.depth
        return pairs * workspace.rates.seconds(self.ranking.shape, self.ranking.pair_macs)

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Re-rank single queries."""
        from distilkit.evaluation.cost import PEAK_QUERIES, measure_cost, threads

        ranking = self.ranking
        ranker = ranking.model.load(workspace).to(workspace.processes.device)
        candidates, scorer = workspace.value(ranking.queries.candidates), ranking.scorer
        with workspace.progress.phase("measure memory", 1, work=self.seconds(PEAK_QUERIES, workspace)) as phase:
            cost = measure_cost(
                ranker,
                workspace.value(ranking.reader),
                candidates,
                candidates.passages.shape[1],
                scorer.batch_size,
                scorer.precision,
            )
            phase.advance()
        write_json(folder / "cost.json", {**cost, "machine": {**machine(), "threads": threads()}})

    def open(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Read the figures."""
        cost: dict[str, Any] = read_json(folder / "cost.json")
        return cost


@dataclass(frozen=True)
class TeacherRanking:
    """How a teacher, or several whose scores are combined, ranks a query set."""

    rankings: tuple[Ranking, ...]
    combine: str

    @classmethod
    def of(cls, teacher: Teacher, data: Data, queries: QuerySet, scorer: Scorer) -> "TeacherRanking":
        """Return the rankings of a teacher's members, each from its own tokens."""
        rankings = (Ranking(one, queries, one.tokens_of(data), scorer) for one in teacher.members)
        return cls(tuple(rankings), teacher.combine)

    def run(self, workspace: Workspace) -> Run:
        """Return the teacher's run."""
        runs = [workspace.value(ranking) for ranking in self.rankings]
        return runs[0] if len(runs) == 1 else combined(runs, self.combine)

    @property
    def costs(self) -> list[RankerCost]:
        """What the members cost."""
        return [RankerCost(ranking) for ranking in self.rankings]

    def cost(self, workspace: Workspace) -> dict[str, Any]:
        """Return what the teacher costs."""
        costs = [workspace.value(cost) for cost in self.costs]
        return costs[0] if len(costs) == 1 else total(costs)


def combined(runs: list[Run], how: str) -> Run:
    """Return the run of an ensemble out of those of its members, which ranked the same candidates."""
    tables = [{query: dict(ranked) for query, ranked in run.items()} for run in runs]
    pairs = [(query, passage) for query, ranked in tables[0].items() for passage in ranked]
    scores = combine(np.array([[table[query][passage] for table in tables] for query, passage in pairs]), how)
    found: Run = {query: [] for query in runs[0]}
    for (query, passage), score in zip(pairs, scores.tolist(), strict=True):
        found[query].append((passage, score))
    return found


def total(costs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what several rankers cost together: what each costs is added up, except the memory that they share."""
    found = dict(costs[0])
    for name in ("parameters", "weight_bytes", "macs_per_pair"):
        if all(name in cost for cost in costs):  # an earlier version wrote no weight_bytes
            found[name] = sum(cost[name] for cost in costs)
    found["peak_memory_bytes"] = max(cost["peak_memory_bytes"] for cost in costs)
    return found
