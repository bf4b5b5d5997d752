"""What a stage is trained on: pairs and lists of a collection's training queries, or sequences of plain text."""

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from distilkit.data.examples import Lists, draw_lists, draw_queries
from distilkit.data.passages import best_windows
from distilkit.models import STUDENTS
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model, StageJob
from distilkit.runs.materials import Materials
from distilkit.settings import GeneralSettings
from distilkit.strategies import Stage


class TaskExamples:
    """Pairs and lists: every relevant passage of the drawn queries with negatives from the first stage."""

    def __init__(self, materials: Materials, artifacts: Artifacts, tokenizer: Path, evaluator: Evaluator) -> None:
        self.materials, self.artifacts, self.tokenizer, self.evaluator = materials, artifacts, tokenizer, evaluator

    def identity(self, job: StageJob) -> dict[str, Any]:
        """Return what the examples depend on, apart from the stage's own keys."""
        stage, wanted = job.stage, self.materials.settings.passages
        identity = {
            "candidates": self.materials.candidate_identity("train", self._queries(stage), stage.train.negative_depth),
            "tokens": self.materials.token_identity(self.tokenizer, job.architecture, job.options),
        }
        if wanted is None:
            return identity
        selector = job.selector.identity if job.selector else None
        return {**identity, "passages": {"keep": wanted.keep if selector else 1, "selector": selector}}

    def count(self, job: StageJob) -> int:
        """Return how many examples a stage has."""
        stage = job.stage
        if self.materials.settings.passages is not None and stage.examples == "pairs":
            return self._window_count(job)
        qrels, _ = self.materials.judgements
        lists = sum(sum(grade > 0 for grade in qrels[query].values()) for query in self._queries(stage))
        negatives = stage.train.negatives
        return lists * {"pairs": 1 + negatives, "triples": negatives, "lists": 1}[stage.examples]

    def tokens(self, job: StageJob) -> Any:
        """Return what turns examples into batches, in the form that the student reads."""
        return self.materials.tokens_for(self.tokenizer, job.architecture, job.options)

    def teacher_tokens(self, job: StageJob) -> Any:
        """Return the same for the teacher, None where it reads what the student reads."""
        return None if STUDENTS[job.architecture].inputs == "pair" else self.materials.tokens(self.tokenizer)

    def training_set(self, job: StageJob) -> Any:
        """Return a stage's examples, with the teacher's scores where these can be computed ahead."""
        examples = self._examples(job)
        if not job.scored_ahead or job.teacher is None:
            return examples
        targets = self._scores(job.teacher, examples.queries.ravel(), examples.passages.ravel())
        return replace(examples, targets=targets.reshape(examples.queries.shape))

    def _examples(self, job: StageJob) -> Any:
        from distilkit.training.trainer import TrainingSet

        lists, kind = self._lists(job.stage), job.stage.examples
        pairs = kind == "pairs"
        windows, wanted = self.materials.windows(self.tokenizer), self.materials.settings.passages
        if windows is None or wanted is None:
            return TrainingSet.of_lists(lists, kind)
        documents = TrainingSet.of_lists(lists, "pairs")
        queries, labels = documents.queries.ravel(), documents.labels.ravel()
        rows, owners = windows.of(documents.passages.ravel())
        keep = wanted.keep if pairs else 1
        if job.selector is None:
            kept = np.unique(owners, return_index=True)[1]  # the first of each
        else:
            kept = best_windows(self._scores(job.selector, queries[owners], rows), owners, keep)
        if pairs:
            queries, labels = queries[owners[kept]], labels[owners[kept]]
            return TrainingSet(queries[:, None], rows[kept][:, None], labels[:, None])
        return TrainingSet.of_lists(Lists(lists.queries, rows[kept].reshape(lists.passages.shape)), kind)

    def _lists(self, stage: Stage) -> Lists:
        train = stage.train
        qrels, _ = self.materials.judgements
        query_ids = self._queries(stage)
        candidates, _ = self.materials.candidates("train", query_ids, train.negative_depth)
        return draw_lists(self.materials.collection, qrels, query_ids, candidates, train.negatives, stage.seed)

    def _window_count(self, job: StageJob) -> int:
        """Return how many windows are kept of the drawn documents, which only the draw tells."""
        wanted, windows = self.materials.settings.passages, self.materials.windows(self.tokenizer)
        assert wanted is not None
        assert windows is not None
        _, owners = windows.of(self._lists(job.stage).passages.ravel())
        return int(np.minimum(np.bincount(owners), wanted.keep if job.selector else 1).sum())

    def _queries(self, stage: Stage) -> list[str]:
        qrels, _ = self.materials.judgements
        return draw_queries(qrels, stage.train.train_queries, stage.seed)

    def _scores(self, teacher: Model, queries: Any, passages: Any) -> Any:
        """Return the teacher's score of every pair as float32, computed once for every run that trains on them."""
        pairs, places = np.unique(np.stack([queries, passages], axis=1), axis=0, return_inverse=True)
        manifest = {
            "model": teacher.identity,
            "collection": self.materials.collection.fingerprint,
            "pairs": hashlib.sha256(np.ascontiguousarray(pairs).tobytes()).hexdigest(),
            "tokens": self.materials.token_identity(self.tokenizer),
            "precision": self.evaluator.precision,
        }

        def build(folder: Path) -> None:
            from distilkit.models.load import load_cat

            ranker = load_cat(teacher.folder, require_head=True).to(self.evaluator.processes.device)
            tokens = self.materials.tokens(self.tokenizer)
            found = self.evaluator.score(ranker, tokens, pairs[:, 0], pairs[:, 1], "teacher scores")
            if self.evaluator.processes.is_main:
                np.save(folder / "pairs.npy", pairs)
                np.save(folder / "scores.npy", found.astype(np.float32))

        path = self.artifacts.get(Artifact("scores", manifest), build, alone=False)
        return np.load(path / "scores.npy")[places.ravel()]


class TextExamples:
    """Sequences of plain text, for general distillation."""

    def __init__(self, settings: GeneralSettings, materials: Materials, artifacts: Artifacts, tokenizer: Path) -> None:
        self.settings, self.materials, self.artifacts, self.tokenizer = settings, materials, artifacts, tokenizer

    @cached_property
    def _artifact(self) -> Artifact:
        from distilkit.data.plain_text import text_identity
        from distilkit.data.tokens import tokenizer_identity
        from distilkit.models.load import load_tokenizer

        settings, collection = self.settings, self.materials.collection if self._own else None
        text = text_identity(
            settings.text,
            fingerprint=collection.fingerprint if collection else None,
            column=settings.column,
            split=settings.split,
        )
        manifest = {
            "text": text,
            "tokenizer": tokenizer_identity(load_tokenizer(self.tokenizer)),
            "max_length": settings.max_length,
            "max_sequences": settings.max_sequences,
        }
        return Artifact("text", manifest)

    @property
    def _own(self) -> bool:
        return self.settings.text == "collection"

    @cached_property
    def _folder(self) -> Path:
        from distilkit.data.plain_text import read_texts, write_sequences
        from distilkit.models.load import load_tokenizer

        settings = self.settings

        def build(folder: Path) -> None:
            passages = self.materials.collection.passages if self._own else None
            documents = read_texts(settings.text, collection=passages, column=settings.column, split=settings.split)
            tokenizer = load_tokenizer(self.tokenizer)
            with self.artifacts.reporter.phase("tokenise text", settings.max_sequences or 0) as phase:
                write_sequences(folder, documents, tokenizer, settings.max_length, phase.reach, settings.max_sequences)

        return self.artifacts.get(self._artifact, build)

    def identity(self, job: StageJob) -> dict[str, Any]:
        """Return what the examples depend on."""
        return {"text": self._artifact.manifest, "masking": self.settings.masking}

    def count(self, job: StageJob) -> int:
        """Return how many sequences there are; tokenises them, once, since their number depends on their tokens."""
        return len(self.tokens(job))

    def teacher_tokens(self, job: StageJob) -> Any:
        """Return None: a teacher reads the text that the student reads."""
        return None

    def tokens(self, job: StageJob) -> Any:
        """Return what turns sequences into batches, masked as the stage's seed says."""
        from distilkit.data.plain_text import TextTokens
        from distilkit.models.load import load_tokenizer

        settings = self.settings
        tokenizer = load_tokenizer(self.tokenizer)
        return TextTokens.open(self._folder, tokenizer, settings.max_length, settings.masking, job.stage.seed)

    def training_set(self, job: StageJob) -> Any:
        """Return the sequences by their number."""
        from distilkit.training.trainer import TrainingSet

        return TrainingSet.of_texts(self.count(job))
