"""The systems that a student is held against, evaluated once and shared: the first stage and the teacher."""

from pathlib import Path
from typing import Any

from distilkit.data.collection import Run
from distilkit.evaluation.trec import read_run, write_run
from distilkit.files import read_json, write_json
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model
from distilkit.runs.materials import Materials, QuerySet

# What re-ranks nothing costs nothing that this toolkit measures.
FIRST_STAGE_COST: dict[str, Any] = {"parameters": 0, "macs_per_pair": 0}


class References:
    """Evaluates reference systems on query sets."""

    def __init__(self, artifacts: Artifacts, evaluator: Evaluator, tokenizer: Path) -> None:
        self.artifacts, self.evaluator, self.tokenizer = artifacts, evaluator, tokenizer

    def first_stage(self, queries: QuerySet) -> tuple[Run, dict[str, Any]]:
        """Return the candidates as a run, and its cost."""
        return queries.candidates.run(queries.collection), FIRST_STAGE_COST

    def artifact(self, model: Model, materials: Materials, queries_identity: dict[str, Any]) -> Artifact:
        """Return the artifact of a model's re-ranked query set."""
        manifest = {
            "model": model.identity,
            "candidates": queries_identity,
            "tokens": materials.token_identity(self.tokenizer),
            "precision": self.evaluator.precision,
        }
        return Artifact("reference", manifest)

    def model(self, name: str, model: Model, materials: Materials, queries: QuerySet) -> tuple[Run, dict[str, Any]]:
        """Return a model's run on a query set, and its cost, computed once for all runs."""
        artifact = self.artifact(model, materials, queries.identity)

        def build(folder: Path) -> None:
            from distilkit.models.load import load_cat

            ranker = load_cat(model.folder, require_head=True).to(self.evaluator.processes.device)
            tokens = materials.tokens(self.tokenizer)
            run = self.evaluator.rerank(ranker, tokens, queries, "re-rank test queries")
            if self.evaluator.processes.is_main:
                write_run(folder / "run.trec", run, name)
                write_json(folder / "cost.json", self.evaluator.cost(ranker, tokens, queries))

        path = self.artifacts.get(artifact, build, alone=False)
        return read_run(path / "run.trec"), read_json(path / "cost.json")
