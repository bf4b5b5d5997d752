"""Re-ranking a query set and measuring the result, as one [evaluate] table says."""

from collections.abc import Iterable, Sequence
from typing import Any

from distilkit.data.collection import Run
from distilkit.data.passages import aggregate
from distilkit.data.tokens import PairTokens
from distilkit.evaluation.measures import Evaluation, canonical_all, evaluate
from distilkit.progress import ProcessGroup
from distilkit.runs.materials import QuerySet
from distilkit.runs.reporter import Reporter
from distilkit.settings import EvaluateSettings


class Evaluator:
    """Scores candidates with a ranker in this machine's precision."""

    def __init__(self, settings: EvaluateSettings, processes: ProcessGroup, reporter: Reporter) -> None:
        self.settings, self.processes, self.reporter = settings, processes, reporter
        self.measures = canonical_all(settings.measures)
        self.depth = settings.rerank_depth

    @property
    def precision(self) -> Any:
        """The precision that scores are computed in."""
        from distilkit.training.precision import choose_precision

        return choose_precision(self.settings.bf16, False, self.processes.device)

    def rerank(self, ranker: Any, tokens: Any, queries: QuerySet, label: str) -> Run:
        """Return the candidates of a query set with a ranker's raw logits."""
        of, passages = queries.candidates.pairs()
        documents = tokens.documents if isinstance(tokens, PairTokens) else None
        if documents is None:
            scores = self.score(ranker, tokens, of, passages, label)
        else:
            windows, owners = documents.windows.of(passages)
            found = self.score(ranker, tokens, of[owners], windows, label)
            scores = aggregate(found, owners, len(passages), documents.aggregation)
        return queries.candidates.run(queries.collection, scores)

    def score(self, ranker: Any, tokens: Any, queries: Any, passages: Any, label: str) -> Any:
        """Return a ranker's raw logit of every pair, in the order given."""
        from distilkit.evaluation.rerank import score_pairs

        with self.reporter.phase(label, len(passages), work=ranker.pair_macs(tokens)) as phase:
            return score_pairs(
                ranker,
                tokens,
                queries,
                passages,
                batch_size=self.settings.per_device_eval_batch_size,
                precision=self.precision,
                processes=self.processes,
                progress=phase.reach,
            )

    def cost(self, ranker: Any, tokens: Any, queries: QuerySet) -> dict[str, Any]:
        """Return what a ranker costs on this machine."""
        from distilkit.evaluation.cost import measure_cost

        batch_size = self.settings.per_device_eval_batch_size
        depth = queries.candidates.passages.shape[1]
        return measure_cost(ranker, tokens, queries.candidates, depth, batch_size, self.precision)

    def measure(self, run: Run, queries: QuerySet, measures: Sequence[str] | None = None) -> Evaluation:
        """Return a run's measures under the evaluation policy."""
        names: Iterable[str] = measures or self.measures
        return evaluate(run, queries.qrels, names)
