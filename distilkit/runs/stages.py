"""A trained stage as an artifact: what its key is made of, and how it is built."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distilkit.data.batches import total_steps
from distilkit.models import STUDENTS
from distilkit.progress import ProcessGroup
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.examples import TaskExamples
from distilkit.runs.jobs import Model, StageJob
from distilkit.runs.learners import build_objective, save_result
from distilkit.runs.materials import Materials
from distilkit.runs.plain_text import TextExamples
from distilkit.runs.targets import Targets
from distilkit.settings import GeneralSettings
from distilkit.strategies import Stage
from distilkit.strategies.stage import trained_macs

Precision = str


class Stages:
    """Trains stages on one collection, or finds them trained."""

    def __init__(
        self,
        materials: Materials,
        artifacts: Artifacts,
        evaluator: Evaluator,
        processes: ProcessGroup,
        general: GeneralSettings | None = None,
    ) -> None:
        self.materials, self.artifacts, self.reporter = materials, artifacts, artifacts.reporter
        self.evaluator, self.processes = evaluator, processes
        self._task = TaskExamples(materials, artifacts, evaluator)
        self._text = TextExamples(general or GeneralSettings(), materials, artifacts)

    @property
    def targets(self) -> Targets:
        """Where teachers' scores are."""
        return self._task.targets

    def artifact(self, job: StageJob) -> Artifact:
        """Return the artifact of a stage: its kind, and everything that its numbers depend on."""
        stage = job.stage
        manifest: dict[str, Any] = {
            "architecture": job.architecture,
            **({} if (code := STUDENTS[job.architecture].code) is None else {"code": code}),
            "stage": stage.numbers(self.processes.count, self.precision(stage)),
            "start": job.start.identity() if job.before is None else {"stage": job.before.key},
            "dropout": job.start.dropout,
            "teacher": job.teacher.identity if job.teacher and stage.uses_teacher else None,
            **self._examples(stage).identity(job),
        }
        if stage.uses_scores_alone:
            manifest["scores"] = job.scores
        if stage.trains_scores and (stage.train.eval_steps is not None or stage.train.eval_examples):
            manifest["validation"] = self._validation_identity()
        return Artifact(job.kind, manifest)

    def _examples(self, stage: Stage) -> TaskExamples | TextExamples:
        return self._text if stage.examples == "text" else self._task

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
        examples = self._examples(job.stage).count(job)
        return examples, total_steps(examples, train.batch_size(self.processes.count), train)

    def pairs_per_step(self, stage: Stage) -> int:
        """Return how many pairs (or sequences of text) an optimiser step reads, over all processes."""
        return stage.train.batch_size(self.processes.count) * stage.ways

    def get(self, job: StageJob, checkpoints: Path) -> Model:
        """Return a stage's result, trained now if it is not there."""
        artifact = self.artifact(job)
        own = checkpoints / f"{job.kind}-{artifact.key[:16]}"

        def build(folder: Path) -> dict[str, Any]:
            return self._train(job, folder, own)

        path = self.artifacts.get(artifact, build, alone=False)
        if self.processes.is_main:
            self.reporter.replay(path / "events.jsonl", artifact.key)
            shutil.rmtree(own, ignore_errors=True)
        return Model(path / "model", artifact.key, job.tokenizer)

    def planned(self, job: StageJob) -> Model:
        """Return a stage's result as artifact keys know it, trained or not."""
        artifact = self.artifact(job)
        return Model(self.artifacts.path(artifact) / "model", artifact.key, job.tokenizer)

    def validation(self, job: StageJob, metric: str | None = None) -> dict[str, float]:
        """Return what a trained stage reaches on this recipe's validation queries, by its own metric or another."""
        from distilkit.models.load import load_ranker

        metric = metric or self.metric(job)
        artifact, names = self.artifact(job), {*self.evaluator.measures, metric}
        facts = self.artifacts.facts(artifact)
        if facts.get("validated_on") == self._validation_identity() and names <= (facts["validation"] or {}).keys():
            return {name: value for name, value in facts["validation"].items() if name in names}
        # The run that trained it asked for something else.
        ranker = load_ranker(self.artifacts.path(artifact) / "model")
        return self._validator(job, metric)(ranker.to(self.processes.device))

    def _train(self, job: StageJob, folder: Path, checkpoints: Path) -> dict[str, Any]:
        from distilkit.models.load import load_tokenizer
        from distilkit.training.trainer import Trainer

        stage, examples = job.stage, self._examples(job.stage)
        objective = build_objective(job, self.artifacts, self.processes.device, self.precision(stage) == "bf16")
        tokens = examples.tokens(job)
        trainer = Trainer(
            stage=stage,
            objective=objective,
            examples=examples.training_set(job),
            tokens=tokens,
            precision=self.precision(stage),  # type: ignore[arg-type]
            processes=self.processes,
            reporter=self.reporter,
            checkpoints=checkpoints,
            validate=self._validator(job),
            label=stage.name,
            work=self._work(stage, objective, tokens),
            metric=self.metric(job),
            teacher_tokens=examples.teacher_tokens(job),
        )
        self.reporter.stage_key = key = self.artifact(job).key
        state = trainer.train()
        self.reporter.stage_key = ""
        if self.processes.is_main:
            self.reporter.keep_events(folder / "events.jsonl", key)
            save_result(objective, folder, load_tokenizer(job.tokenizer), self.materials.settings, stage.name)
        facts = {
            "seconds": round(state.seconds, 3),
            "steps": state.step,
            "examples": len(trainer.examples),
            "validation": state.validation,
            "best_step": state.best_step or state.step,
            "curve": state.curve,
        }
        return {**facts, "validated_on": self._validation_identity()} if stage.trains_scores else facts

    def _work(self, stage: Stage, objective: Any, tokens: Any) -> float:
        """Return the multiply-accumulates of an optimiser step."""
        length = self.materials.settings.max_length
        teacher = objective.teacher.macs(length) if objective.teacher is not None else 0
        return float(self.pairs_per_step(stage) * trained_macs(objective.student.pair_macs(tokens), teacher))

    def _validator(self, job: StageJob, metric: str | None = None) -> Callable[[Any], dict[str, float]]:
        measures = [*self.evaluator.measures, metric or job.stage.train.metric_for_best_model]

        def validate(ranker: Any) -> dict[str, float]:
            _, qrels = self.materials.judgements
            queries = self.materials.query_set("dev", qrels, self.evaluator.depth)
            tokens = self.materials.tokens_for(job.tokenizer, job.architecture, job.options)
            run = self.evaluator.rerank(ranker, tokens, queries, "validate")
            return self.evaluator.measure(run, queries, measures).means

        return validate
