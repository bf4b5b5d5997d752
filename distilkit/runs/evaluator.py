"""Re-ranking a query set and measuring the result, as one [evaluate] table says."""

from collections.abc import Iterable, Sequence
from typing import Any

from distilkit.data.collection import Run
from distilkit.evaluation.macs import ranker_macs
from distilkit.evaluation.measures import Evaluation, canonical_all, evaluate
from distilkit.runs.materials import QuerySet
from distilkit.runs.reporter import Reporter
from distilkit.settings import EvaluateSettings


class Evaluator:
    """Scores candidates with a ranker in this machine's precision."""

    def __init__(self, settings: EvaluateSettings, processes: Any, reporter: Reporter) -> None:
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
        from distilkit.evaluation.rerank import score_pairs

        pairs = queries.candidates.pairs()
        with self.reporter.phase(label, len(pairs[0]), work=ranker_macs(ranker, tokens.max_length)) as phase:
            scores = score_pairs(
                ranker,
                tokens,
                *pairs,
                batch_size=self.settings.per_device_eval_batch_size,
                precision=self.precision,
                processes=self.processes,
                progress=phase.reach,
            )
        return queries.candidates.run(queries.collection, scores)

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
