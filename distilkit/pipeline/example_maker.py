"""The examples of a stage of a task as nodes: where they are drawn from, and the scores that a teacher gives ahead."""

from dataclasses import dataclass

from distilkit.data.examples import NegativeFilters, draw_ids, draw_queries
from distilkit.data.unlabelled import Draw
from distilkit.errors import UserError
from distilkit.files import expanded
from distilkit.pipeline.data import Data
from distilkit.pipeline.evaluation import Scorer
from distilkit.pipeline.examples import DrawnLists, TaskExamples, TriplesFile, WindowPairs
from distilkit.pipeline.first_stage import FirstStage
from distilkit.pipeline.mined import CandidatePairs, mined_from
from distilkit.pipeline.models import Teacher
from distilkit.pipeline.teacher_lists import TeacherLists
from distilkit.pipeline.teacher_scores import FileScores, ModelScores, RankerScores, ScoredExamples
from distilkit.pipeline.tokens import Tokenizer
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies import Stage


def first_stage_of(
    train: TrainSettings, section: str, data: Data, scorer: Scorer, split: str, query_ids: list[str], depth: int
) -> FirstStage:
    """Return the candidates of some queries of a split: those that `negatives_from` names, else the collection's."""
    if train.negatives_from is None:
        return data.candidates(split, query_ids, depth)
    return mined_from(train.negatives_from, section, data, query_ids, depth, scorer)


@dataclass(frozen=True)
class ExampleMaker:
    """Makes the examples of the stages of one ranker, which may have a teacher.

    `query_seed` draws the training queries, the stage's own seed where it is None; `more_queries` stand behind those.
    """

    recipe: Recipe
    data: Data
    scorer: Scorer
    teacher: Teacher | None
    section: str
    tokenizer: Tokenizer
    query_seed: int | None = None
    more_queries: frozenset[str] = frozenset()

    def examples(self, stage: Stage, scoring: Teacher | None) -> TaskExamples | ScoredExamples:
        """Return what a stage is trained on, with the scores of a teacher that gives them ahead."""
        if stage.train.labels == "none":
            return self._unlabelled(stage, scoring)
        train, passages = stage.train, self.recipe.data.passages
        source: DrawnLists | TriplesFile = (
            self._drawn(stage) if train.triples is None else TriplesFile(expanded(train.triples), self.data)
        )
        windows, keep, selector = self.data.windows(self.tokenizer), 1, None
        if passages is not None and self.teacher is not None:
            if self.teacher.file is not None:
                raise UserError(
                    "[teacher] scores: a file has scores of documents, none of the passages of [data.passages]"
                )
            keep = passages.keep
            unselected = TaskExamples("pairs", self.data, source, windows, keep, None, train.negatives)
            selector = self._of_ranker(self.teacher, WindowPairs(unselected))
        examples = TaskExamples(stage.examples, self.data, source, windows, keep, selector, train.negatives)
        return examples if scoring is None else _scored(stage, examples, self._scores(scoring, examples))

    def _unlabelled(self, stage: Stage, scoring: Teacher | None) -> TaskExamples | ScoredExamples:
        """Return lists of candidates in the order of the teacher's scores, which are computed once for all of them."""
        train = stage.train
        if self.recipe.data.passages is not None:
            raise UserError('[train] labels = "none" draws whole documents; expected no [data.passages]')
        assert self.teacher is not None  # a stage without labels has losses of a teacher alone
        ids = draw_ids(sorted(self.data.judgements[0]), train.train_queries, stage.seed)
        where = "train", ids, train.negative_depth
        candidates = first_stage_of(train, self.section, self.data, self.scorer, *where)
        pairs = CandidatePairs(self.data, candidates)
        scores = self._scores(self.teacher, pairs)
        between = train.negative_range_min, train.negative_range_max
        draw = Draw(train.teacher_positives, train.negatives, stage.seed, *between)
        source = TeacherLists(self.data, candidates, pairs, scores, draw, self.section)
        examples = TaskExamples(stage.examples, self.data, source, None, 1, None, train.negatives)
        if scoring is None:
            return examples
        # A ranker's scores are those of all candidates; a file is asked for the examples in their form.
        return _scored(stage, examples, scores if isinstance(scores, RankerScores) else self._scores(scoring, examples))

    def _drawn(self, stage: Stage) -> DrawnLists:
        """Return lists of drawn training queries, with the negatives that [train] asks for."""
        train, (judged, _) = stage.train, self.data.judgements
        seed = stage.seed if self.query_seed is None else self.query_seed
        query_ids = draw_queries(judged, train.train_queries, seed)
        # Behind the others, whose negatives stay the same so.
        query_ids += sorted(self.more_queries.difference(query_ids))
        where = "train", query_ids, train.negative_depth
        candidates = first_stage_of(train, self.section, self.data, self.scorer, *where)
        margins = train.negative_absolute_margin, train.negative_relative_margin
        filters = NegativeFilters(
            train.negative_range_min, *margins, train.negative_max_score, train.negative_range_max
        )
        scores = None
        if filters.by_score:
            if self.teacher is None or self.teacher.file is not None or self.recipe.data.passages is not None:
                raise UserError(
                    f"{self.section} filters negatives by the teacher's score; expected a teacher that ranks whole "
                    "documents: not its own fine-tuning, a file of scores, or [data.passages]"
                )
            scores = self._of_ranker(self.teacher, CandidatePairs(self.data, candidates))
        return DrawnLists(self.data, candidates, train.negatives, stage.seed, self.section, filters, scores)

    def _scores(self, teacher: Teacher, pairs: TaskExamples | CandidatePairs) -> RankerScores | FileScores:
        """Return the teacher's scores of some pairs: a ranker's, or those of a file."""
        if teacher.file is not None:
            return FileScores(teacher.file, teacher.combine, pairs)
        return self._of_ranker(teacher, pairs)

    def _of_ranker(self, teacher: Teacher, pairs: TaskExamples | WindowPairs | CandidatePairs) -> RankerScores:
        scores = (ModelScores(one, pairs, one.tokens_of(self.data), self.scorer) for one in teacher.members)
        return RankerScores(tuple(scores), teacher.combine)


def _scored(stage: Stage, examples: TaskExamples, scores: RankerScores | FileScores) -> ScoredExamples:
    """Return examples with scores, and the losses that want more of these than margins or an order."""
    taught = [term for term in stage.terms if term.uses_teacher]
    needs_scores = tuple(term.name for term in taught if not term.margins_suffice)
    needs_more = tuple(term.name for term in taught if not term.order_suffices)
    return ScoredExamples(examples, scores, needs_scores, needs_more)
