"""Sequences of plain text, which general distillation trains on."""

from pathlib import Path
from typing import Any

from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.jobs import StageJob
from distilkit.runs.materials import Materials
from distilkit.settings import GeneralSettings


class TextExamples:
    """Sequences of plain text, for general distillation."""

    def __init__(self, settings: GeneralSettings, materials: Materials, artifacts: Artifacts) -> None:
        self.settings, self.materials, self.artifacts = settings, materials, artifacts
        self._artifacts: dict[Path, Artifact] = {}

    def _artifact(self, tokenizer: Path) -> Artifact:
        if tokenizer not in self._artifacts:  # asked for by every stage of a plan
            self._artifacts[tokenizer] = Artifact("text", self._manifest(tokenizer))
        return self._artifacts[tokenizer]

    def _manifest(self, tokenizer: Path) -> dict[str, Any]:
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
        return {
            "text": text,
            "tokenizer": tokenizer_identity(load_tokenizer(tokenizer)),
            "max_length": settings.max_length,
            "max_sequences": settings.max_sequences,
        }

    @property
    def _own(self) -> bool:
        return self.settings.text == "collection"

    def _folder(self, model: Path) -> Path:
        from distilkit.data.plain_text import read_texts, write_sequences
        from distilkit.models.load import load_tokenizer

        settings = self.settings

        def build(folder: Path) -> None:
            passages = self.materials.collection.passages if self._own else None
            documents = read_texts(settings.text, collection=passages, column=settings.column, split=settings.split)
            tokenizer = load_tokenizer(model)
            with self.artifacts.reporter.phase("tokenise text", settings.max_sequences or 0) as phase:
                write_sequences(folder, documents, tokenizer, settings.max_length, phase.reach, settings.max_sequences)

        return self.artifacts.get(self._artifact(model), build)

    def identity(self, job: StageJob) -> dict[str, Any]:
        """Return what the examples depend on."""
        return {"text": self._artifact(job.tokenizer).manifest, "masking": self.settings.masking}

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
        tokenizer = load_tokenizer(job.tokenizer)
        return TextTokens.open(
            self._folder(job.tokenizer), tokenizer, settings.max_length, settings.masking, job.stage.seed
        )

    def training_set(self, job: StageJob) -> Any:
        """Return the sequences by their number."""
        from distilkit.training.step_loader import TrainingSet

        return TrainingSet.of_texts(self.count(job))
