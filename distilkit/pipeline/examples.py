"""What a stage is trained on: pairs, triples and lists of training queries, triples of a file, or sequences of text."""

from abc import abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.data.examples import Lists, NegativeFilters, draw_lists
from distilkit.data.passages import best_windows
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.pipeline.data import Data
from distilkit.pipeline.first_stage import FirstStage
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.teacher_lists import TeacherLists
from distilkit.pipeline.tokens import DocumentWindows, TextReader
from distilkit.pipeline.workspace import Workspace
from distilkit.strategies.terms import Examples as Kind

if TYPE_CHECKING:
    from distilkit.data.triples import Triples
    from distilkit.pipeline.teacher_scores import RankerScores
    from distilkit.training.step_loader import TrainingSet

T = TypeVar("T")


class Countable(Node[T]):
    """Examples whose number can be told, as soon as what it depends on was read."""

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """The artifacts that must be there before the examples can be counted; none of them needs a model."""
        return ()

    @abstractmethod
    def count(self, workspace: Workspace) -> int | None:
        """Return how many examples there are, None as long as that is not known."""

    @abstractmethod
    def left_out(self, workspace: Workspace) -> list[str]:
        """Return what is to be said of examples and queries that are left out of training."""

    def _is_known(self, workspace: Workspace) -> bool:
        return all(workspace.has(node) for node in self.to_count if isinstance(node, Artifact))


@dataclass(frozen=True, eq=False)
class TriplesFile(Artifact["Triples"]):
    """The training triples of a file, as rows of a collection's tables."""

    path: Path
    data: Data

    kind: ClassVar[str] = "triples"

    def identity(self) -> dict[str, Any]:
        """Return the file's content, the collection, and what becomes of unknown ids."""
        collection, on_missing = self.data.collection.fingerprint, self.data.settings.on_missing
        parts = {"triples": self._content, "collection": collection, "on_missing": on_missing}
        return {**parts, "held_out": self.data.held_out.key()}

    @cached_property
    def _content(self) -> dict[str, Any]:
        from distilkit.data.triples import triples_identity

        return triples_identity(self.path)

    @property
    def reads(self) -> dict[str, str]:
        """The file."""
        return {f"the triples {self.path}": content_key(self._content)}

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Read the file; raises UserError naming the line of what is wrong."""
        from distilkit.data.triples import write_triples

        workspace.progress.say(f"triples: reading {self.path}")
        collection, settings = self.data.collection, self.data.settings
        held = self.data.held_out
        return {"counts": write_triples(folder, self.path, collection, on_missing=settings.on_missing, held=held)}

    def open(self, folder: Path, workspace: Workspace) -> "Triples":
        """Map the rows."""
        from distilkit.data.triples import Triples

        return Triples.open(folder)


@dataclass(frozen=True, eq=False)
class DrawnLists(Node[Lists]):
    """Every relevant passage of the drawn training queries, each with negatives out of the first stage."""

    data: Data
    candidates: FirstStage
    negatives: int
    seed: int
    section: str = "[train]"
    filters: NegativeFilters = NegativeFilters()  # noqa: RUF009
    scores: "RankerScores | None" = None

    kind: ClassVar[str] = "drawn_lists"

    def identity(self) -> dict[str, Any]:
        """Return the candidates, the number of negatives, the seed of the draw, and what filters them."""
        parts: dict[str, Any] = {"candidates": self.candidates.key, "negatives": self.negatives, "seed": self.seed}
        if self.filters != NegativeFilters():
            parts["filters"] = {**asdict(self.filters), "scores": self.scores.key if self.scores else None}
        return parts

    def check(self, workspace: Workspace) -> None:
        """Refuse more negatives than the collection has passages for."""
        (train, _), passages = self.data.judgements, len(self.data.collection.passages)
        passages -= bool(self.candidates.own)  # a query that is a document is not a negative of itself
        for query in self.candidates.query_ids:
            relevant = sum(grade > 0 for grade in train[query].values())
            if relevant + self.negatives > passages:
                raise UserError(
                    f"{self.section} negatives = {self.negatives}: the corpus has {passages} passages, {relevant} of "
                    f"them relevant to query {query!r}; expected at most {passages - relevant}"
                )

    @property
    def count(self) -> int:
        """How many lists there are: one for each relevant passage of the drawn queries."""
        train, _ = self.data.judgements
        return sum(sum(grade > 0 for grade in train[query].values()) for query in self.candidates.query_ids)

    def value(self, workspace: Workspace) -> Lists:
        """Draw the negatives."""
        (train, _), ids = self.data.judgements, list(self.candidates.query_ids)
        candidates = workspace.value(self.candidates)
        scores = None if self.scores is None else partial(self.scores.of, workspace)
        draw = self.negatives, self.seed, self.candidates.own, self.filters, scores
        return draw_lists(self.data.collection, train, ids, candidates, *draw)


@dataclass(frozen=True, eq=False)
class TaskExamples(Countable["TrainingSet"]):
    """Pairs, triples or lists of a task, without a teacher's scores; lists of a file's triples have `negatives` each.

    With `windows` documents are trained on by their passages: the `keep` best by the `selector`, the first without one.
    """

    form: Kind
    data: Data
    source: DrawnLists | TeacherLists | TriplesFile
    windows: DocumentWindows | None
    keep: int
    selector: "RankerScores | None"
    negatives: int

    kind: ClassVar[str] = "examples"

    def pairs_identity(self) -> dict[str, Any]:
        """Return what the pairs of query and passage depend on, in whatever form they are trained on."""
        identity: dict[str, Any] = {"source": self.source.key}
        if self._groups:
            identity["negatives"] = self.negatives
        if self.data.has_empty_texts:
            identity["on_missing"] = self.data.settings.on_missing
        if self.windows is not None:
            selector = self.selector.key if self.selector else None
            identity["windows"] = {"cut": self.windows.key, "keep": self.keep, "selector": selector}
        return identity

    def identity(self) -> dict[str, Any]:
        """Return what the pairs depend on, and their form."""
        return {**self.pairs_identity(), "form": self.form}

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """The triples of a file; the windows and the draw of documents."""
        if isinstance(self.source, TeacherLists):
            return self.source.to_count
        if isinstance(self.source, TriplesFile):
            return (self.source,) if self.windows is None else (self.source, self.windows)
        return () if self.windows is None and not self.data.has_empty_texts else (self.source.candidates, *self._cut)

    @property
    def _cut(self) -> tuple[Node[Any], ...]:
        return () if self.windows is None else (self.windows,)

    def count(self, workspace: Workspace) -> int | None:
        """Return how many examples there are."""
        if not self._is_known(workspace):
            return None
        if self.windows is not None and self.form == "pairs":
            # Documents may have fewer windows than are kept of each.
            _, owners = workspace.value(self.windows).of(self._lists(workspace).passages.ravel())
            return int(np.minimum(np.bincount(owners), self.keep).sum())
        source = self.source
        if isinstance(source, TeacherLists):
            lists = source.count(workspace)
        elif self.data.has_empty_texts or self._groups:
            lists = len(self._lists(workspace))
        else:
            lists = source.count if isinstance(source, DrawnLists) else len(workspace.value(source))
        negatives = 1 if isinstance(source, TriplesFile) else source.negatives
        return lists * {"pairs": 1 + negatives, "triples": negatives, "lists": 1}[self.form]

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the examples as arrays."""
        from distilkit.training.step_loader import TrainingSet

        if self.windows is not None:
            return self._of_windows(workspace)
        if isinstance(self.source, TriplesFile) and not self.data.has_empty_texts and not self._groups:
            triples, shape = workspace.value(self.source), (-1, 1) if self.form == "pairs" else (-1, 2)
            # Views, which take no memory where they keep their shape.
            queries, passages = (cast(Integers, side.reshape(shape)) for side in (triples.queries, triples.passages))
            return TrainingSet(queries, passages, triples.labels.reshape(shape))
        return TrainingSet.of_lists(self._lists(workspace), self.form)

    def _of_windows(self, workspace: Workspace) -> "TrainingSet":
        from distilkit.training.step_loader import TrainingSet

        lists, pairs = self._lists(workspace), self.form == "pairs"
        documents = TrainingSet.of_lists(lists, "pairs")
        queries, labels = documents.queries.ravel(), documents.labels.ravel()
        assert self.windows is not None
        rows, owners = workspace.value(self.windows).of(documents.passages.ravel())
        if self.selector is None:
            kept = np.unique(owners, return_index=True)[1]  # the first of each
        else:
            scores = self.selector.of(workspace, queries[owners], rows)
            kept = best_windows(scores, owners, self.keep if pairs else 1)
        if pairs:
            queries, labels = queries[owners[kept]], labels[owners[kept]]
            return TrainingSet(queries[:, None], rows[kept][:, None], labels[:, None])
        return TrainingSet.of_lists(Lists(lists.queries, rows[kept].reshape(lists.passages.shape)), self.form)

    def _lists(self, workspace: Workspace) -> Lists:
        """Return the lists, less those with an empty text."""
        source = self.source
        lists = self._of_triples(workspace)[0] if isinstance(source, TriplesFile) else workspace.value(source)
        empty = self.data.empty_texts
        kept = ~(np.isin(lists.queries, empty["query"]) | np.isin(lists.passages, empty["passage"]).any(axis=1))
        return lists if kept.all() else Lists(lists.queries[kept], lists.passages[kept])

    @property
    def _groups(self) -> bool:
        """Whether the triples of a file are put together to lists."""
        return self.form == "lists" and isinstance(self.source, TriplesFile)

    def _of_triples(self, workspace: Workspace) -> tuple[Lists, int]:
        """Return a file's triples as lists, and how many positives have too few negatives for one."""
        from distilkit.data.triples import lists_of

        assert isinstance(self.source, TriplesFile)
        rows = workspace.value(self.source).rows
        if not self._groups:
            wide = rows.astype(np.int64)
            return Lists(wide[:, 0], wide[:, 1:]), 0
        queries, passages, short = lists_of(rows, self.negatives)
        return Lists(queries, passages), short

    def left_out(self, workspace: Workspace) -> list[str]:
        """Return what is to be said of training queries that are left out."""
        if isinstance(self.source, TriplesFile):
            from distilkit.data.triples import left_out

            lists, short = self._of_triples(workspace) if self._groups else (None, 0)
            said = f"{short} positives have fewer than {self.negatives} negatives to make a list of: left out"
            return [*left_out(workspace.value(self.source).counts), *([said] if lists is not None and short else [])]
        if isinstance(self.source, TeacherLists):
            return self.source.said(workspace)
        train, _ = self.data.judgements
        lacking = sum(all(grade <= 0 for grade in passages.values()) for passages in train.values())
        found = [f"{lacking} of {len(train)} training queries have no relevant passage: left out"] if lacking else []
        filtered = self.source.filters != NegativeFilters() and workspace.knows(self.source)
        return [*found, *(workspace.value(self.source).said if filtered else ())]


@dataclass(frozen=True, eq=False)
class WindowPairs(Node["TrainingSet"]):
    """Every window of the documents that some examples draw, as pairs with their queries, for a selector to score."""

    examples: TaskExamples

    kind: ClassVar[str] = "window_pairs"

    def pairs_identity(self) -> dict[str, Any]:
        """Return the draw of documents and their windows."""
        return {**self.examples.pairs_identity(), "all_windows": True}

    identity = pairs_identity

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the pairs."""
        from distilkit.training.step_loader import TrainingSet

        documents = TrainingSet.of_lists(self.examples._lists(workspace), "pairs")
        assert self.examples.windows is not None
        rows, owners = workspace.value(self.examples.windows).of(documents.passages.ravel())
        queries, labels = documents.queries.ravel()[owners], documents.labels.ravel()[owners]
        return TrainingSet(queries[:, None], rows[:, None], labels[:, None])


@dataclass(frozen=True, eq=False)
class TextExamples(Countable["TrainingSet"]):
    """Sequences of plain text, for general distillation."""

    reader: TextReader

    kind: ClassVar[str] = "text_examples"

    def identity(self) -> dict[str, Any]:
        """Return the text and how it is masked; the order of examples follows the stage's seed."""
        return {"text": self.reader.sequences.key, "masking": self.reader.sequences.settings.masking}

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """The sequences, whose number depends on their tokens."""
        return (self.reader.sequences,)

    def count(self, workspace: Workspace) -> int | None:
        """Return how many sequences there are."""
        return len(workspace.value(self.reader)) if self._is_known(workspace) else None

    def value(self, workspace: Workspace) -> "TrainingSet":
        """Return the sequences by their number."""
        from distilkit.training.step_loader import TrainingSet

        return TrainingSet.of_texts(workspace.value(self.reader).continues)

    def left_out(self, workspace: Workspace) -> list[str]:
        """Return nothing: all text is read."""
        return []
