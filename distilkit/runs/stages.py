"""A trained stage as an artifact: what its key is made of, and how it is built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit.data.batches import total_steps
from distilkit.data.examples import draw_lists, draw_queries
from distilkit.evaluation.macs import ranker_macs
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.materials import Materials
from distilkit.settings import StudentSettings
from distilkit.strategies import Stage

Precision = str


@dataclass(frozen=True)
class Model:
    """Weights that a stage can start from or learn from: their folder, and their identity for artifact keys."""

    folder: Path
    identity: str


@dataclass(frozen=True)
class Start:
    """What the first stage trains: a student cut out of a source checkpoint, or (no settings) the checkpoint itself."""

    source: Model
    settings: StudentSettings | None
    dropout: float | None
    start_identity: str | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the starting weights depend on (their random part on the stage's seed too)."""
        settings = self.settings
        if settings is None:
            return {"source": self.source.identity}
        # A student that is a checkpoint of its own is told by that checkpoint's weights, not by its name.
        start = self.start_identity or settings.start
        return {
            "source": self.source.identity,
            "shape": settings.shape,
            "start": start,
            "num_labels": settings.num_labels,
        }


@dataclass(frozen=True)
class StageJob:
    """One stage to train: where from, on what, with whom."""

    kind: str
    stage: Stage
    start: Start
    before: Artifact | None
    teacher: Model | None
    architecture: str


class Stages:
    """Trains stages on one collection, or finds them trained."""

    def __init__(
        self, materials: Materials, artifacts: Artifacts, tokenizer: Path, evaluator: Evaluator, processes: Any
    ) -> None:
        self.materials, self.artifacts, self.reporter = materials, artifacts, artifacts.reporter
        self.tokenizer, self.evaluator, self.processes = tokenizer, evaluator, processes

    def artifact(self, job: StageJob) -> Artifact:
        """Return the artifact of a stage: its kind, and everything that its numbers depend on."""
        stage, materials = job.stage, self.materials
        train_qrels, _ = materials.judgements
        query_ids = draw_queries(train_qrels, stage.train.train_queries, stage.seed)
        manifest: dict[str, Any] = {
            "architecture": job.architecture,
            "stage": stage.numbers(self.processes.count, self.precision(stage)),
            "start": job.start.identity() if job.before is None else {"stage": job.before.key},
            "dropout": job.start.dropout,
            "teacher": job.teacher.identity if job.teacher and stage.uses_teacher else None,
            "candidates": materials.candidate_identity("train", query_ids, stage.train.negative_depth),
            "tokens": materials.token_identity(self.tokenizer),
        }
        if stage.train.eval_steps is not None:
            manifest["validation"] = self._validation_identity()
        return Artifact(job.kind, manifest)

    def _validation_identity(self) -> dict[str, Any]:
        """Return what a model's validation depends on, apart from the model and the measures."""
        _, qrels = self.materials.judgements
        candidates = self.materials.candidate_identity("dev", sorted(qrels), self.evaluator.depth)
        return {**candidates, "precision": self.evaluator.precision}

    def precision(self, stage: Stage) -> Precision:
        """Return the precision that a stage trains in on this machine."""
        from distilkit.training.precision import choose_precision

        return choose_precision(stage.train.bf16, stage.train.fp16, self.processes.device)

    def metric(self, job: StageJob) -> str:
        """Return the measure that chooses between results of a stage."""
        from distilkit.evaluation.measures import canonical

        return canonical(job.stage.train.metric_for_best_model)

    def size(self, job: StageJob) -> tuple[int, int]:
        """Return how many examples a stage has and how many optimiser steps it takes."""
        train = job.stage.train
        qrels, _ = self.materials.judgements
        drawn = draw_queries(qrels, train.train_queries, job.stage.seed)
        lists = sum(sum(grade > 0 for grade in qrels[query].values()) for query in drawn)
        examples = lists * (1 + train.negatives) if job.stage.examples == "pairs" else lists
        batch = train.per_device_train_batch_size * train.gradient_accumulation_steps * self.processes.count
        return examples, total_steps(examples, batch, train)

    def pairs_per_step(self, stage: Stage) -> int:
        """Return how many pairs an optimiser step reads, over all processes."""
        train = stage.train
        batch = train.per_device_train_batch_size * train.gradient_accumulation_steps * self.processes.count
        pairs: int = batch * (1 if stage.examples == "pairs" else 1 + train.negatives)
        return pairs

    def get(self, job: StageJob, checkpoints: Path) -> Model:
        """Return a stage's result, trained now if it is not there."""
        artifact = self.artifact(job)
        own = checkpoints / f"{job.kind}-{artifact.key[:16]}"

        def build(folder: Path) -> dict[str, Any]:
            return self._train(job, folder, own)

        path = self.artifacts.get(artifact, build, alone=False)
        if self.processes.is_main and own.exists():
            import shutil

            shutil.rmtree(own)
        return Model(path / "model", artifact.key)

    def validation(self, job: StageJob) -> dict[str, float]:
        """Return what a trained stage reaches on this recipe's validation queries."""
        from distilkit.models.load import load_cat

        artifact, names = self.artifact(job), {*self.evaluator.measures, self.metric(job)}
        facts = self.artifacts.facts(artifact)
        if facts.get("validated_on") == self._validation_identity() and names <= facts["validation"].keys():
            return {name: value for name, value in facts["validation"].items() if name in names}
        # The run that trained it asked for something else.
        ranker = load_cat(self.artifacts.path(artifact) / "model", require_head=True)
        return self._validator(job.stage)(ranker.to(self.processes.device))

    def _train(self, job: StageJob, folder: Path, checkpoints: Path) -> dict[str, Any]:
        from safetensors.torch import save_file

        from distilkit.models.export import save_cat
        from distilkit.models.load import load_tokenizer
        from distilkit.training.trainer import Trainer

        stage = job.stage
        objective = self._objective(job)
        trainer = Trainer(
            stage=stage,
            objective=objective,
            examples=self._examples(stage),
            tokens=self.materials.tokens(self.tokenizer),
            precision=self.precision(stage),  # type: ignore[arg-type]
            processes=self.processes,
            reporter=self.reporter,
            checkpoints=checkpoints,
            validate=self._validator(stage),
            label=stage.name,
            work=self._work(stage, objective),
            metric=self.metric(job),
        )
        state = trainer.train()
        if self.processes.is_main:
            tokenizer = load_tokenizer(self.tokenizer)
            length = self.materials.settings.max_length
            save_cat(objective.student, tokenizer, folder / "model", max_length=length, name=stage.name)
            if objective.projections is not None and (parameters := dict(objective.projections.named_parameters())):
                save_file(
                    {name: value.detach().cpu() for name, value in parameters.items()},
                    folder / "projections.safetensors",
                )
        return {
            "seconds": round(state.seconds, 3),
            "steps": trainer.total,
            "examples": len(trainer.examples),
            "validation": state.validation,
            "validated_on": self._validation_identity(),
            "best_step": state.best_step or trainer.total,
        }

    def _work(self, stage: Stage, objective: Any) -> float:
        """Return the multiply-accumulates of an optimiser step; a trained forward pass counts three times."""
        length = self.materials.settings.max_length
        teacher = ranker_macs(objective.teacher, length) if objective.teacher is not None else 0
        return float(self.pairs_per_step(stage) * (3 * ranker_macs(objective.student, length) + teacher))

    def _objective(self, job: StageJob) -> Any:
        import torch

        from distilkit.models.initialise import student_from
        from distilkit.models.layer_map import uniform_layer_map
        from distilkit.models.load import load_cat
        from distilkit.models.projection import Projections
        from distilkit.training.objective import Objective

        stage, start = job.stage, job.start
        torch.manual_seed(stage.seed)
        if job.before is not None:
            student = load_cat(self.artifacts.path(job.before) / "model", dropout=start.dropout).train()
        elif start.settings is None:
            student = load_cat(start.source.folder, num_labels=1, dropout=start.dropout).train()
        else:
            settings = start.settings
            student = student_from(
                start.source.folder,
                shape=settings.shape,
                start=settings.start,
                num_labels=settings.num_labels,
                dropout=start.dropout,
            )
        if not stage.uses_teacher or job.teacher is None:
            return Objective(stage, student, None, None, None)
        half = self.precision(stage) == "bf16"
        teacher = load_cat(job.teacher.folder, dtype=torch.bfloat16 if half else torch.float32, require_head=True)
        teacher.requires_grad_(False)
        teacher.to(self.processes.device)
        if not stage.uses_internals:
            return Objective(stage, student, teacher, None, None)
        sizes = student.hidden_size, teacher.hidden_size
        initial = "identity" if sizes[0] == sizes[1] and stage.variant == "paper" else "random"
        projections = Projections(*sizes, student.num_layers + 1, stage.projection, initial)  # type: ignore[arg-type]
        return Objective(
            stage, student, teacher, projections, uniform_layer_map(teacher.num_layers, student.num_layers)
        )

    def _examples(self, stage: Stage) -> Any:
        from distilkit.training.trainer import TrainingSet

        train = stage.train
        qrels, _ = self.materials.judgements
        query_ids = draw_queries(qrels, train.train_queries, stage.seed)
        candidates, _ = self.materials.candidates("train", query_ids, train.negative_depth)
        lists = draw_lists(self.materials.collection, qrels, query_ids, candidates, train.negatives, stage.seed)
        return TrainingSet.of_lists(lists, pairs=stage.examples == "pairs")

    def _validator(self, stage: Stage) -> Callable[[Any], dict[str, float]]:
        _, qrels = self.materials.judgements
        queries = self.materials.query_set("dev", qrels, self.evaluator.depth)
        tokens = self.materials.tokens(self.tokenizer)
        measures = [*self.evaluator.measures, stage.train.metric_for_best_model]

        def validate(ranker: Any) -> dict[str, float]:
            run = self.evaluator.rerank(ranker, tokens, queries, "validate")
            return self.evaluator.measure(run, queries, measures).means

        return validate
