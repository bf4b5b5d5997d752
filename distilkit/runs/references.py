"""The systems that a student is held against, evaluated once and shared: the first stage and the teacher."""

from pathlib import Path
from typing import Any

import numpy as np

from distilkit.data.collection import Run
from distilkit.data.teacher_scores.combine import combine
from distilkit.evaluation.trec import read_run, write_run
from distilkit.files import read_json, write_json
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model, Teacher
from distilkit.runs.materials import Materials, QuerySet

# What re-ranks nothing costs nothing that this toolkit measures.
FIRST_STAGE_COST: dict[str, Any] = {"parameters": 0, "macs_per_pair": 0}


class References:
    """Evaluates reference systems on query sets."""

    def __init__(self, artifacts: Artifacts, evaluator: Evaluator) -> None:
        self.artifacts, self.evaluator = artifacts, evaluator

    def first_stage(self, queries: QuerySet) -> tuple[Run, dict[str, Any]]:
        """Return the candidates as a run, and its cost."""
        return queries.candidates.run(queries.collection), FIRST_STAGE_COST

    def artifact(self, model: Model, materials: Materials, queries_identity: dict[str, Any]) -> Artifact:
        """Return the artifact of a model's re-ranked query set."""
        manifest = {
            "model": model.identity,
            "candidates": queries_identity,
            "tokens": materials.token_identity(model.tokenizer),
            "precision": self.evaluator.precision,
        }
        return Artifact("reference", manifest)

    def ranker(
        self, name: str, teacher: Teacher, materials: Materials, queries: QuerySet
    ) -> tuple[Run, dict[str, Any]]:
        """Return the run of a ranker, or of several whose scores are combined, on a query set, and its cost."""
        found = [self._model(name, model, materials, queries) for model in teacher.members]
        if len(found) == 1:
            return found[0]
        return combined([run for run, _ in found], teacher.combine), total([cost for _, cost in found])

    def _model(self, name: str, model: Model, materials: Materials, queries: QuerySet) -> tuple[Run, dict[str, Any]]:
        """Return a model's run and cost, computed once for all runs."""
        artifact = self.artifact(model, materials, queries.identity)

        def build(folder: Path) -> None:
            from distilkit.models.cat import load_cat

            ranker = load_cat(model.folder, require_head=True).to(self.evaluator.processes.device)
            tokens = materials.tokens(model.tokenizer)
            run = self.evaluator.rerank(ranker, tokens, queries, "re-rank test queries")
            if self.evaluator.processes.is_main:
                write_run(folder / "run.trec", run, name)
                write_json(folder / "cost.json", self.evaluator.cost(ranker, tokens, queries))

        path = self.artifacts.get(artifact, build, alone=False)
        return read_run(path / "run.trec"), read_json(path / "cost.json")


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
    for name in ("parameters", "macs_per_pair"):
        found[name] = sum(cost[name] for cost in costs)
    found["ms_per_query"] = {name: sum(cost["ms_per_query"][name] for cost in costs) for name in found["ms_per_query"]}
    found["peak_memory_bytes"] = max(cost["peak_memory_bytes"] for cost in costs)
    return found
