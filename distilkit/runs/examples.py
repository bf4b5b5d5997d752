"""What a stage is trained on: pairs, triples and lists of a collection's training queries, or triples of a file."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.examples import Lists, draw_lists, draw_queries
from distilkit.data.passages import best_windows
from distilkit.data.side_tokens import PairFormat
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.models import student_options
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import StageJob
from distilkit.runs.materials import Materials
from distilkit.runs.targets import Targets
from distilkit.strategies import Stage

if TYPE_CHECKING:
    from distilkit.data.triples import Triples
    from distilkit.training.step_loader import TrainingSet


class TaskExamples:
    """Pairs and lists: every relevant passage of the drawn queries with negatives from the first stage."""

    def __init__(self, materials: Materials, artifacts: Artifacts, evaluator: Evaluator) -> None:
        self.materials, self.artifacts = materials, artifacts
        self.targets = Targets(materials, artifacts, evaluator)
        self._counts: dict[str, int] = {}

    def identity(self, job: StageJob) -> dict[str, Any]:
        """Return what the examples depend on, apart from the stage's own keys."""
        stage, settings = job.stage, self.materials.settings
        identity: dict[str, Any] = {
            "tokens": self.materials.token_identity(job.tokenizer, job.architecture, job.options)
        }
        if stage.train.triples is not None:
            identity["triples"] = self._triples_artifact(stage.train.triples).manifest
        else:
            depth = stage.train.negative_depth
            identity["candidates"] = self.materials.candidate_identity("train", self._queries(stage), depth)
        if self._of_a_file(job) or self.materials.has_empty_texts:
            identity["on_missing"] = settings.on_missing
        if settings.passages is None:
            return identity
        selector = job.selector.identity if job.selector else None
        return {**identity, "passages": {"keep": settings.passages.keep if selector else 1, "selector": selector}}

    def count(self, job: StageJob) -> int:
        """Return how many examples a stage has."""
        stage = job.stage
        if self._of_a_file(job):
            return self._scored_count(job)
        if self.materials.settings.passages is not None and stage.examples == "pairs":
            return self._window_count(job)
        negatives = stage.train.negatives if stage.train.triples is None else 1
        ways = {"pairs": 1 + negatives, "triples": negatives, "lists": 1}
        if self.materials.has_empty_texts:
            return len(self._lists(stage)) * ways[stage.examples]
        if stage.train.triples is not None:
            return len(self._triples(stage.train.triples)) * ways[stage.examples]
        qrels, _ = self.materials.judgements
        lists = sum(sum(grade > 0 for grade in qrels[query].values()) for query in self._queries(stage))
        return lists * ways[stage.examples]

    def _scored_count(self, job: StageJob) -> int:
        """Return how many examples a file has scores for, which are looked up once however often a plan asks."""
        assert job.teacher is not None
        stage = job.stage
        drawn = {"examples": stage.examples, "seed": stage.seed, "negatives": stage.train.negatives}
        key = content_key({**self.identity(job), **drawn, "teacher": job.teacher.identity})
        if key not in self._counts:
            self._counts[key] = len(self._taught(job)[0])
        return self._counts[key]

    def tokens(self, job: StageJob) -> Any:
        """Return what turns examples into batches, in the form that the student reads."""
        return self.materials.tokens_for(job.tokenizer, job.architecture, job.options)

    def teacher_tokens(self, job: StageJob) -> Any:
        """Return the same for a teacher that is asked in every step; None where it reads what the student reads."""
        if job.teacher is None or job.scored_ahead or job.teacher.file is not None:
            return None
        theirs = job.teacher.model.tokenizer
        form = student_options(job.architecture, job.options).text_format
        alike = self.materials.token_identity(theirs) == self.materials.token_identity(job.tokenizer)
        return None if alike and isinstance(form, PairFormat) else self.materials.tokens(theirs)

    def training_set(self, job: StageJob) -> "TrainingSet":
        """Return a stage's examples, with the teacher's scores where these can be computed ahead; say what is left out.

        Raises UserError for examples that a file of scores lacks, unless `[data] on_missing` leaves them out.
        """
        examples, left_out = self._taught(job)
        if job.stage.train.triples is None:
            qrels, _ = self.materials.judgements
            if lacking := sum(all(grade <= 0 for grade in passages.values()) for passages in qrels.values()):
                left_out.append(f"{lacking} of {len(qrels)} training queries have no relevant passage: left out")
        for said in left_out:
            self.artifacts.reporter.say(said)
        return examples

    def _taught(self, job: StageJob) -> tuple["TrainingSet", list[str]]:
        """Return a stage's examples with what is known of the teacher's scores, and what is to be said of others."""
        examples = self._examples(job)
        if not job.scored_ahead or job.teacher is None:
            return examples, []
        targets = self.targets.of(job.teacher, examples.queries, examples.passages)
        return self._scored(replace(examples, targets=targets), job)

    def _scored(self, examples: "TrainingSet", job: StageJob) -> tuple["TrainingSet", list[str]]:
        """Return the examples that have scores, all but for a file's, and what is to be said of those that have not."""
        assert examples.targets is not None
        assert job.teacher is not None
        missing: npt.NDArray[np.bool_] = np.isnan(examples.targets)
        kept: npt.NDArray[np.bool_] = np.logical_not(missing.any(axis=1))
        if kept.all() or job.teacher.file is None:
            return examples, []
        lost, path = int((~kept).sum()), job.teacher.file.path
        row, way = np.argwhere(missing)[0]
        collection = self.materials.collection
        query = collection.queries.id(int(examples.queries[row, way]))
        passage = collection.passages.id(int(examples.passages[row, way]))
        said = f"{lost} of {len(kept)} examples have no score in {path}, the first is query {query} with {passage}"
        if self.materials.settings.on_missing == "error":
            raise UserError(f'{said}; score them, or leave them out with [data] on_missing = "skip"')
        if not kept.any():
            raise UserError(f"{said}; expected scores of what is trained on, such as [train] triples of the same file")
        parts = {name: part[kept] for name, part in vars(examples).items()}
        return replace(examples, **parts), [f"{said}; they are left out"]

    def _of_a_file(self, job: StageJob) -> bool:
        return job.teacher is not None and job.teacher.file is not None

    def _examples(self, job: StageJob) -> "TrainingSet":
        from distilkit.training.step_loader import TrainingSet

        kind, windows = job.stage.examples, self.materials.windows(job.tokenizer)
        wanted, pairs = self.materials.settings.passages, kind == "pairs"
        if windows is None or wanted is None:
            if job.stage.train.triples is None or self.materials.has_empty_texts:
                return TrainingSet.of_lists(self._lists(job.stage), kind)
            triples = self._triples(job.stage.train.triples)
            shape = (-1, 1) if pairs else (-1, 2)
            # Views, which take no memory where they keep their shape.
            passages = cast(Integers, triples.passages.reshape(shape))
            return TrainingSet(cast(Integers, triples.queries.reshape(shape)), passages, triples.labels.reshape(shape))
        lists = self._lists(job.stage)
        documents = TrainingSet.of_lists(lists, "pairs")
        queries, labels = documents.queries.ravel(), documents.labels.ravel()
        rows, owners = windows.of(documents.passages.ravel())
        keep = wanted.keep if pairs else 1
        if job.selector is None:
            kept = np.unique(owners, return_index=True)[1]  # the first of each
        else:
            kept = best_windows(self.targets.of(job.selector, queries[owners], rows), owners, keep)
        if pairs:
            queries, labels = queries[owners[kept]], labels[owners[kept]]
            return TrainingSet(queries[:, None], rows[kept][:, None], labels[:, None])
        return TrainingSet.of_lists(Lists(lists.queries, rows[kept].reshape(lists.passages.shape)), kind)

    def _lists(self, stage: Stage) -> Lists:
        """Return a stage's lists, less those with an empty text."""
        lists, empty = self._all_lists(stage), self.materials.empty_texts
        kept = ~(np.isin(lists.queries, empty["query"]) | np.isin(lists.passages, empty["passage"]).any(axis=1))
        return lists if kept.all() else Lists(lists.queries[kept], lists.passages[kept])

    def _all_lists(self, stage: Stage) -> Lists:
        train = stage.train
        if train.triples is not None:
            rows = self._triples(train.triples).rows.astype(np.int64)
            return Lists(rows[:, 0], rows[:, 1:])
        qrels, _ = self.materials.judgements
        query_ids = self._queries(stage)
        candidates, _ = self.materials.candidates("train", query_ids, train.negative_depth)
        return draw_lists(self.materials.collection, qrels, query_ids, candidates, train.negatives, stage.seed)

    def _triples_artifact(self, path: str) -> Artifact:
        from distilkit.data.triples import triples_identity

        settings = self.materials.settings
        manifest = {
            "triples": triples_identity(Path(path).expanduser()),
            "collection": self.materials.collection.fingerprint,
            "on_missing": settings.on_missing,
        }
        return Artifact("triples", manifest)

    def _triples(self, path: str) -> "Triples":
        from distilkit.data.triples import Triples, write_triples

        file, artifact = Path(path).expanduser(), self._triples_artifact(path)

        def build(folder: Path) -> dict[str, Any]:
            self.artifacts.reporter.say(f"triples: reading {file}")
            on_missing = self.materials.settings.on_missing
            counts = write_triples(folder, file, self.materials.collection, on_missing=on_missing)
            if counts["unknown"]:
                self.artifacts.reporter.say(f"{counts['unknown']} of {counts['rows']} triples are unknown and left out")
            return {"counts": counts}

        return Triples.open(self.artifacts.get(artifact, build))

    def _window_count(self, job: StageJob) -> int:
        """Return how many windows are kept of the drawn documents, which only the draw tells."""
        wanted, windows = self.materials.settings.passages, self.materials.windows(job.tokenizer)
        assert wanted is not None
        assert windows is not None
        _, owners = windows.of(self._lists(job.stage).passages.ravel())
        return int(np.minimum(np.bincount(owners), wanted.keep if job.selector else 1).sum())

    def _queries(self, stage: Stage) -> list[str]:
        qrels, _ = self.materials.judgements
        return draw_queries(qrels, stage.train.train_queries, stage.seed)
