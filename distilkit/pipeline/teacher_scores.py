"""The scores that a stage learns from: a ranker's, an ensemble's or a file's; found once for all runs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers, packed, unpacked
from distilkit.data.teacher_scores import combine, read_provenance, require_match
from distilkit.data.teacher_scores.blocks import PROBABILITIES, looks_like_probabilities
from distilkit.data.teacher_scores.formats import FORMATS, ORDERED, RANKED, sniff
from distilkit.errors import UserError
from distilkit.files import content_key, sha256_once
from distilkit.pipeline.data import Data
from distilkit.pipeline.evaluation import Scorer, scoring_shape
from distilkit.pipeline.examples import Countable, DrawnLists, TaskExamples, WindowPairs
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.mined import CandidatePairs
from distilkit.pipeline.models import ModelNode, blaming
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.workspace import Workspace
from distilkit.strategies import TERMS

if TYPE_CHECKING:
    import pyarrow as pa

    from distilkit.data.teacher_scores import TeacherScores
    from distilkit.data.texts import Texts
    from distilkit.training.step_loader import TrainingSet

Floats = npt.NDArray[np.float32]

SCORE_THEM = 'score them, or leave them out with [data] on_missing = "skip"'


@dataclass(frozen=True)
class PairScores:
    """The scores of distinct pairs: pairs [n], query row · 2^32 + passage row, in ascending order, and scores [n]."""

    pairs: Integers
    scores: Floats

    def of(self, queries: Integers, passages: Integers) -> Floats:
        """Return the score of each pair, which must be among them, in the shape of `queries`."""
        return self.scores[np.searchsorted(self.pairs, packed(queries, passages))]


@dataclass(frozen=True, eq=False)
class ModelScores(Artifact[PairScores]):
    """One ranker's raw score of every pair of some examples."""

    model: ModelNode
    pairs: TaskExamples | WindowPairs | CandidatePairs
    reader: Reader
    scorer: Scorer

    kind: ClassVar[str] = "scores"
    together: ClassVar[bool] = True

    def identity(self) -> dict[str, Any]:
        """Return the ranker, the pairs (in whatever form they are trained on), the tokens and the precision."""
        parts = {"model": self.model.key, "pairs": self.pairs.pairs_identity(), "tokens": self.reader.key}
        return {**parts, "precision": self.scorer.precision}

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of scoring the pairs, as far as their number is known."""
        return self.known_pairs * self._pair_seconds(workspace)

    @property
    def known_pairs(self) -> int:
        """How many pairs there are, 0 where only reading would tell."""
        if isinstance(self.pairs, CandidatePairs):
            return len(self.pairs.candidates.query_ids) * (1 + self.pairs.candidates.depth)
        examples = self.pairs.examples if isinstance(self.pairs, WindowPairs) else self.pairs
        source = examples.source
        return source.count * (1 + source.negatives) if isinstance(source, DrawnLists) else 0

    def _pair_seconds(self, workspace: Workspace) -> float:
        shape = scoring_shape(self.model, self.reader, self.scorer)
        return workspace.rates.seconds(shape, self.model.macs(self.reader))

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Score every distinct pair once, on all processes."""
        examples = workspace.value(self.pairs)
        pairs = np.unique(packed(examples.queries.ravel(), examples.passages.ravel()))
        ranker, tokens = self.model.load(workspace).to(workspace.processes.device), workspace.value(self.reader)
        rows = unpacked(pairs)
        work = self._pair_seconds(workspace)
        with blaming(self.model):
            found = self.scorer.score(ranker, tokens, *rows, "teacher scores", work, workspace)
        if workspace.processes.is_main:
            np.save(folder / "pairs.npy", pairs)
            np.save(folder / "scores.npy", found.astype(np.float32))

    def open(self, folder: Path, workspace: Workspace) -> PairScores:
        """Map the arrays."""
        return PairScores(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pairs", "scores")))


@dataclass(frozen=True, eq=False)
class RankerScores(Node[tuple[PairScores, ...]]):
    """The scores of a teacher that ranks: of one ranker, or of several that are combined."""

    members: tuple[ModelScores, ...]
    combine: str

    kind: ClassVar[str] = "ranker_scores"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The scores of each."""
        return self.members

    def identity(self) -> dict[str, Any]:
        """Return the scores of each, and how several are combined."""
        how = self.combine if len(self.members) > 1 else None
        return {"members": [member.key for member in self.members], "combine": how}

    def value(self, workspace: Workspace) -> tuple[PairScores, ...]:
        """Return the scores of each ranker."""
        return tuple(workspace.value(member) for member in self.members)

    def of(self, workspace: Workspace, queries: Integers, passages: Integers) -> Floats:
        """Return the teacher's score of some of the pairs, in the shape of `queries`."""
        scores = [one.of(queries, passages) for one in workspace.value(self)]
        if len(scores) == 1:
            return scores[0]
        return combine(np.stack([one.ravel() for one in scores], axis=1), self.combine).reshape(queries.shape)

    def targets(self, examples: "TrainingSet", workspace: Workspace) -> Floats:
        """Return the score of every pair of the examples."""
        return self.of(workspace, examples.queries, examples.passages)


@dataclass(frozen=True, eq=False)
class ScoreFile(Artifact["TeacherScores"]):
    """A file of teacher scores, read into a table that finds them by ids.

    `made_by` says which models and length the recipe asks for, where it names any; the file's provenance must agree.
    """

    path: Path
    sha256: str
    data: Data
    where: str
    made_by: dict[str, Any] | None = None
    targets: str = "scores"

    kind: ClassVar[str] = "score_file"

    @cached_property
    def format(self) -> str:
        """The file's format; raises UserError where it has none, or has no ranks that were asked for."""
        found = sniff(self.path)
        if self.targets == "scores" or found in ORDERED:
            return found
        if found not in RANKED:
            shape = FORMATS[found].shape
            raise UserError(f'[teacher] targets = "ranks": {self.path} is {shape}; expected a TREC run or permutations')
        return RANKED[found]

    @property
    def is_order(self) -> bool:
        """Whether it says in which order documents come, and no more."""
        return self.format in ORDERED

    def identity(self) -> dict[str, Any]:
        """Return the file's content, the collection, and what becomes of unknown texts."""
        collection, on_missing = self.data.collection.fingerprint, self.data.settings.on_missing
        identity = {"file": self.sha256, "collection": collection, "on_missing": on_missing}
        return {**identity, "targets": self.targets} if self.targets != "scores" else identity

    @property
    def reads(self) -> dict[str, str]:
        """The file."""
        return {f"the scores {self.path}": self.sha256}

    @cached_property
    def notes(self) -> list[str]:
        """What is to be said of its scores, as far as its beginning shows it."""
        block = None if self.format in ORDERED else next(FORMATS[self.format].read(self.path), None)
        odd = block is not None and any(looks_like_probabilities(values) for values in block.scores.values())
        return [f"{self.where}: {PROBABILITIES}"] if odd else []

    def check(self, workspace: Workspace) -> None:
        """Refuse a file of no known format, and one that other rankers made than the recipe asks for."""
        _ = self.format
        provenance = read_provenance(self.path)
        if self.made_by is not None and provenance is not None and "teachers" in provenance:
            require_match(provenance, self.made_by, self.where)

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Read the file; raises UserError for what is wrong in it."""
        from distilkit.data.teacher_scores import TeacherScores

        workspace.progress.say(f"teacher scores: reading {self.path}")
        collection, on_missing = self.data.collection, self.data.settings.on_missing
        found = TeacherScores.open(
            self.path, format=self.format, collection=collection, on_unknown=on_missing, folder=folder / "content"
        )
        if found.provenance and "texts" in found.provenance:
            texts = found.text_fingerprint(collection)
            if texts != found.provenance["texts"]:
                raise UserError(
                    f"{self.path}: its provenance is of other ids, or of other texts than this collection has"
                )
        return {"counts": found.counts}

    def open(self, folder: Path, workspace: Workspace) -> "TeacherScores":
        """Map the table."""
        from distilkit.data.teacher_scores import TeacherScores

        return TeacherScores(folder / "content")


@dataclass(frozen=True, eq=False)
class FileScores(Artifact[Floats]):
    """What a file says of every example of a stage, or of all candidates; NaN where it has no score."""

    file: ScoreFile
    combine: str
    examples: TaskExamples | CandidatePairs

    kind: ClassVar[str] = "file_scores"

    def identity(self) -> dict[str, Any]:
        """Return the file, how an ensemble's scores are combined, and the examples."""
        return {"file": self.file.key, "combine": self.combine, "examples": self.examples.key}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Look every example up."""
        scores, examples = workspace.value(self.file), workspace.value(self.examples)
        collection = self.file.data.collection
        if scores.margins_only and isinstance(self.examples, CandidatePairs):
            raise UserError(f"{self.file.where}: holds margins of pairs; expected scores of passages, as for lists")
        ids = [_ids(collection.passages, examples.passages[:, way]) for way in range(examples.passages.shape[1])]
        query_ids = _ids(collection.queries, examples.queries[:, 0])
        if scores.margins_only and len(ids) == 2:
            found = list(scores.lookup_pairs(query_ids, *ids))
        else:
            found = [scores.lookup(query_ids, one) for one in ids]
        over = None if self.combine == "mean" or scores.margins_only else scores.statistics()
        np.save(folder / "scores.npy", np.stack([combine(one, self.combine, over) for one in found], axis=1))

    def open(self, folder: Path, workspace: Workspace) -> Floats:
        """Map the scores."""
        scores: Floats = np.load(folder / "scores.npy", mmap_mode="r")
        return scores

    def targets(self, examples: "TrainingSet", workspace: Workspace) -> Floats:
        """Return the score of every pair of the examples."""
        return workspace.value(self)

    def required(self, workspace: Workspace) -> Floats:
        """Return the score of every example; raises UserError where any lacks, unless those are to be left out."""
        found = workspace.value(self)
        if np.isnan(found).any() and self.file.data.settings.on_missing == "error":
            raise UserError(f"{self.lacking(workspace.value(self.examples), found)}; {SCORE_THEM}")
        return found

    def lacking(self, examples: "TrainingSet", found: Floats) -> str:
        """Return how many examples have no score, and which is the first of them."""
        missing = np.isnan(found)
        row, way = np.argwhere(missing)[0]
        collection = self.file.data.collection
        query = collection.queries.id(int(examples.queries[row, way]))
        passage = collection.passages.id(int(examples.passages[row, way]))
        lost = int(missing.any(axis=1).sum())
        what = f"{lost} of {len(found)} examples have no score in {self.file.path}"
        return f"{what}, the first is query {query} with {passage}"


@dataclass(frozen=True, eq=False)
class ScoredExamples(Countable["TrainingSet"]):
    """A stage's examples with the teacher's scores, less those that a file has no score for.

    `needs_scores` are the names of the stage's losses to which margins without scores do not suffice, `needs_more` of
    those to which the order of the scores does not.
    """

    examples: TaskExamples
    scores: RankerScores | FileScores
    needs_scores: tuple[str, ...]
    needs_more: tuple[str, ...] = ()

    kind: ClassVar[str] = "scored_examples"

    def check(self, workspace: Workspace) -> None:
        """Refuse a file of ranks for losses that read more than the order of scores."""
        if isinstance(self.scores, FileScores) and self.scores.file.is_order and self.needs_more:
            known = " or ".join(name for name in TERMS if TERMS[name].order_suffices)
            raise UserError(
                f"{self.scores.file.where}: holds ranks, and {self.needs_more[0]} reads scores; expected {known}"
            )

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The examples, their scores, and a file's table."""
        return (self.examples, self.scores, *self._table)

    @property
    def _table(self) -> tuple[Node[Any], ...]:
        return (self.scores.file,) if isinstance(self.scores, FileScores) else ()

    def identity(self) -> dict[str, Any]:
        """Return the examples and their scores, and what becomes of those that a file lacks."""
        identity = {"examples": self.examples.key, "scores": self.scores.key}
        if isinstance(self.scores, FileScores):
            identity["on_missing"] = self.examples.data.settings.on_missing
        return identity

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """A file's scores, some of which may be missing; of a ranker none are."""
        return (self.scores, *self._table) if isinstance(self.scores, FileScores) else self.examples.to_count

    def count(self, workspace: Workspace) -> int | None:
        """Return how many examples are trained on."""
        if not self._is_known(workspace):
            return None
        if isinstance(self.scores, FileScores):
            return len(self._kept(workspace)[0])
        return self.examples.count(workspace)

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the examples with their scores; raises UserError for those that a file must have and has not."""
        return self._kept(workspace)[0]

    def left_out(self, workspace: Workspace) -> list[str]:
        """Return what is to be said of examples and queries that are left out."""
        lacking = self._kept(workspace)[1] if isinstance(self.scores, FileScores) else []
        return [*lacking, *self.examples.left_out(workspace)]

    def _kept(self, workspace: Workspace) -> tuple["TrainingSet", list[str]]:
        from dataclasses import replace

        plain = workspace.value(self.examples)
        examples = replace(plain, targets=self.scores.targets(plain, workspace))
        if not isinstance(self.scores, FileScores):
            return examples, []
        self._refuse_margins(workspace)
        assert examples.targets is not None
        missing: npt.NDArray[np.bool_] = np.isnan(examples.targets)
        kept: npt.NDArray[np.bool_] = np.logical_not(missing.any(axis=1))
        if kept.all():
            return examples, []
        said = self.scores.lacking(examples, examples.targets)
        if self.examples.data.settings.on_missing == "error":
            raise UserError(f"{said}; {SCORE_THEM}")
        if not kept.any():
            raise UserError(f"{said}; expected scores of what is trained on, such as [train] triples of the same file")
        parts = {name: part[kept] for name, part in vars(examples).items() if part is not None}
        return replace(examples, **parts), [f"{said}; they are left out"]

    def _refuse_margins(self, workspace: Workspace) -> None:
        assert isinstance(self.scores, FileScores)
        file = self.scores.file
        if workspace.value(file).margins_only and self.needs_scores:
            known = " or ".join(name for name in TERMS if TERMS[name].margins_suffice)
            raise UserError(
                f"{file.where}: holds margins alone, and {self.needs_scores[0]} reads scores; expected {known}"
            )


def hash_of_scores(path: Path) -> str:
    """Return the sha256 of a file of scores, or of all Parquet files in a folder."""
    if path.is_file():
        return sha256_once(path)
    return content_key([sha256_once(file) for file in sorted(path.rglob("*.parquet"))])


def _ids(table: "Texts", rows: Integers) -> "pa.DictionaryArray":
    """Return the ids of some rows of a table, each different one read once."""
    import pyarrow as pa

    distinct, places = np.unique(rows, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(places), pa.array(table.ids(distinct.tolist()), pa.string()))
