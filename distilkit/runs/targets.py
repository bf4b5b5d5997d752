"""The scores that a stage learns from: a ranker's, an ensemble's or a file's; found once for all runs."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from distilkit.errors import UserError
from distilkit.files import content_key, sha256_once
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.evaluator import Evaluator
from distilkit.runs.jobs import Model, ScoreFile, Teacher
from distilkit.runs.materials import Materials

if TYPE_CHECKING:
    from distilkit.data.teacher_scores.store import TeacherScores

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Targets:
    """Teachers' scores of the pairs of one collection."""

    def __init__(self, materials: Materials, artifacts: Artifacts, evaluator: Evaluator) -> None:
        self.materials, self.artifacts, self.evaluator = materials, artifacts, evaluator

    def of(self, teacher: Teacher, queries: Integers, passages: Integers) -> Floats:
        """Return the score of every pair, in the shape of `queries`; NaN where a file has none.

        Raises UserError for a file that cannot be read or holds no scores.
        """
        if teacher.file is not None:
            return self._of_file(teacher.file, teacher.combine, queries, passages)
        scores = [self._of_model(model, queries.ravel(), passages.ravel()) for model in teacher.members]
        if len(scores) == 1:
            return scores[0].reshape(queries.shape)
        from distilkit.data.teacher_scores.combine import combine

        return combine(np.stack(scores, axis=1), teacher.combine).reshape(queries.shape)

    def _of_model(self, model: Model, queries: Integers, passages: Integers) -> Floats:
        pairs, places = _distinct(queries, passages)
        manifest = {
            "model": model.identity,
            "collection": self.materials.collection.fingerprint,
            "pairs": hashlib.sha256(np.ascontiguousarray(pairs).tobytes()).hexdigest(),
            "tokens": self.materials.token_identity(model.tokenizer),
            "precision": self.evaluator.precision,
        }

        def build(folder: Path) -> None:
            from distilkit.models.cat import load_cat

            ranker = load_cat(model.folder, require_head=True).to(self.evaluator.processes.device)
            tokens = self.materials.tokens(model.tokenizer)
            found = self.evaluator.score(ranker, tokens, pairs[:, 0], pairs[:, 1], "teacher scores")
            if self.evaluator.processes.is_main:
                np.save(folder / "pairs.npy", pairs)
                np.save(folder / "scores.npy", found.astype(np.float32))

        path = self.artifacts.get(Artifact("scores", manifest), build, alone=False)
        scores: Floats = np.load(path / "scores.npy")[places]
        return scores

    def _of_file(self, file: ScoreFile, combined: str, queries: Integers, passages: Integers) -> Floats:
        manifest = {
            "file": file.sha256,
            "combine": combined,
            "collection": self.materials.collection.fingerprint,
            "queries": hashlib.sha256(np.ascontiguousarray(queries).tobytes()).hexdigest(),
            "passages": hashlib.sha256(np.ascontiguousarray(passages).tobytes()).hexdigest(),
            "on_missing": self.materials.settings.on_missing,
        }

        table = self.read(file)

        def build(folder: Path) -> None:
            np.save(folder / "scores.npy", self._looked_up(table, combined, queries, passages))

        path = self.artifacts.get(Artifact("scores", manifest), build)
        scores: Floats = np.load(path / "scores.npy")
        return scores

    def read(self, file: ScoreFile) -> "TeacherScores":
        """Return a file's scores, found by ids; raises UserError for what is wrong in it."""
        from distilkit.data.teacher_scores import TeacherScores

        collection, on_missing = self.materials.collection, self.materials.settings.on_missing
        manifest = {"file": file.sha256, "collection": collection.fingerprint, "on_missing": on_missing}

        def build(folder: Path) -> dict[str, Any]:
            self.artifacts.reporter.say(f"teacher scores: reading {file.path}")
            found = TeacherScores.open(
                file.path, collection=collection, on_unknown=on_missing, folder=folder / "content"
            )
            if found.provenance and "texts" in found.provenance:
                texts = found.text_fingerprint(collection)
                if texts != found.provenance["texts"]:
                    raise UserError(
                        f"{file.path}: its provenance is of other ids, or of other texts than this collection has"
                    )
            return {"counts": found.counts}

        return TeacherScores(self.artifacts.get(Artifact("score_file", manifest), build) / "content")

    def _looked_up(self, scores: "TeacherScores", combined: str, queries: Integers, passages: Integers) -> Floats:
        from distilkit.data.teacher_scores.combine import combine

        found: list[Any]
        ids = [_ids(self.materials.collection.passages, passages[:, way]) for way in range(passages.shape[1])]
        query_ids = _ids(self.materials.collection.queries, queries[:, 0])
        if scores.margins_only and len(ids) == 2:
            found = list(scores.lookup_pairs(query_ids, *ids))
        else:
            found = [scores.lookup(query_ids, one) for one in ids]
        over = None if combined == "mean" or scores.margins_only else scores.statistics()
        return np.stack([combine(one, combined, over) for one in found], axis=1)


def hash_of_scores(path: Path) -> str:
    """Return the sha256 of a file of scores, or of all Parquet files in a folder."""
    if path.is_file():
        return sha256_once(path)
    return content_key([sha256_once(file) for file in sorted(path.rglob("*.parquet"))])


def _distinct(queries: Integers, passages: Integers) -> tuple[Integers, Integers]:
    """Return the pairs that differ, `[n, 2]`, and the place of each given pair among them."""
    # Rows of files are 32 bits wide.
    keys, places = np.unique((queries.astype(np.int64) << 32) | passages.astype(np.int64), return_inverse=True)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1), places


def _ids(table: Any, rows: Integers) -> Any:
    """Return the ids of some rows of a table, each different one read once."""
    import pyarrow as pa

    distinct, places = np.unique(rows, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(places), pa.array(table.ids(distinct.tolist()), pa.string()))
