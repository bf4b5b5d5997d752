"""What can be wrong with a recipe and be seen before anything is trained: of the plan and of the run alike."""

from typing import Any

from distilkit.data.examples import draw_queries
from distilkit.errors import UserError
from distilkit.evaluation.measures import canonical
from distilkit.files import content_key
from distilkit.models import STUDENTS
from distilkit.runs.experiment import Experiment
from distilkit.runs.jobs import StageJob
from distilkit.runs.learners import NO_LM_HEAD, start_student
from distilkit.settings import TrainSettings


def check(experiment: Experiment) -> None:
    """Raise UserError for data, judgements, measures, weights and shapes that would end the run later."""
    _check_sets(experiment)
    _check_first_stages(experiment)
    if experiment.recipe.teacher.scores not in ("cached", "online"):
        raise UserError(f"[teacher] scores = {experiment.recipe.teacher.scores!r}: expected 'cached' or 'online'")
    teacher = experiment.teacher_jobs()
    student = [job for point in experiment.grid() for job in point.jobs]
    for section, jobs in (("[teacher.train]", teacher), ("[train]", student)):
        for job in jobs:
            _check_metric(section, job.stage.train)
            if job.stage.examples != "text":
                _check_negatives(section, job, experiment)
    _check_models(experiment, student, as_it_is=not teacher)


def _check_sets(experiment: Experiment) -> None:
    for one in experiment.sets:
        section = "[evaluate]" if one.name == "test" else f"[evaluate.sets.{one.name}]"
        splits = one.materials.collection.splits
        if one.split not in splits:
            raise UserError(f"{section} split = {one.split!r}: the collection has judgements for {', '.join(splits)}")
        one.materials.qrels(one.split, None)
    _ = experiment.materials.judgements


def _check_first_stages(experiment: Experiment) -> None:
    from distilkit.data.bm25 import require_stemmer

    for one in experiment.sets:
        require_stemmer(one.materials.settings.stemmer)


def _check_metric(section: str, train: TrainSettings) -> None:
    try:
        canonical(train.metric_for_best_model)
    except UserError as error:
        raise UserError(f"{section} metric_for_best_model: {error}") from None


def _check_negatives(section: str, job: StageJob, experiment: Experiment) -> None:
    qrels, _ = experiment.materials.judgements
    train, passages = job.stage.train, len(experiment.materials.collection.passages)
    for query in draw_queries(qrels, train.train_queries, job.stage.seed):
        relevant = sum(grade > 0 for grade in qrels[query].values())
        if relevant + train.negatives > passages:
            raise UserError(
                f"{section} negatives = {train.negatives}: the corpus has {passages} passages, {relevant} of them "
                f"relevant to query {query!r}; expected at most {passages - relevant}"
            )


def _check_models(experiment: Experiment, jobs: list[StageJob], as_it_is: bool) -> None:
    """Build every student once, and see whether it can learn from the teacher."""
    from distilkit.models.load import load_cat

    teacher = load_cat(experiment.base.folder, require_head=as_it_is)
    _check_positions(experiment, teacher, experiment.recipe.teacher.model)
    built: dict[str, Any] = {}
    for job in jobs:
        key = content_key(job.start.identity())
        if key not in built:
            built[key] = start_student(job.start)
            _check_pair(job, built[key], teacher)
            _check_positions(experiment, built[key], "the student")
        _check_pair(job, built[key], teacher)
        if job.stage.examples == "text":
            _check_text(experiment, job, built[key])


def _check_positions(experiment: Experiment, ranker: Any, name: str) -> None:
    most = _positions(ranker.config)
    keys = ("max_length",) if ranker.inputs == "pair" else ("query_length", "document_length")
    for one in experiment.sets:
        for key in keys:
            length = getattr(one.materials.settings, key)
            if most is not None and length > most:
                raise UserError(f"[data] {key} = {length}: {name} has positions for {most} tokens")


def _positions(config: Any) -> int | None:
    """Return how many tokens a model can read, None where nothing limits them."""
    most: int | None = getattr(config, "max_position_embeddings", None)
    # RoBERTa and its kin number positions from behind the padding's.
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
    return None if most is None else most - offset


def _check_pair(job: StageJob, student: Any, teacher: Any) -> None:
    if STUDENTS[job.architecture].inputs != "pair":
        if job.stage.uses_internals:
            raise UserError(
                f"the stage {job.stage.name} reads the student's insides, which only a bert_cat has in common with its "
                f"teacher; a {job.architecture} learns from scores, with margin_mse for instance"
            )
        return
    from distilkit.models.layer_map import layer_map
    from distilkit.models.projection import Projections

    if student.config.vocab_size != teacher.config.vocab_size:
        raise UserError(
            f"student and teacher must share one vocabulary: the student has {student.config.vocab_size} entries, "
            f"the teacher {teacher.config.vocab_size}"
        )
    if job.stage.uses_internals:
        layer_map(job.stage.layer_map, teacher.num_layers, student.num_layers)
        Projections(student.hidden_size, teacher.hidden_size, 1, job.stage.projection)
    if any(term.name == "attention" for term in job.stage.terms) and student.num_heads != teacher.num_heads:
        raise UserError(
            f"the attention loss needs as many heads in the student as in the teacher, not {student.num_heads} and "
            f"{teacher.num_heads}; take another student, or set [strategy] weights.attention to 0"
        )


def _check_text(experiment: Experiment, job: StageJob, student: Any) -> None:
    from distilkit.models.masked_lm import has_lm_head

    general = experiment.recipe.general
    most = _positions(student.config)
    if most is not None and general.max_length > most:
        raise UserError(f"[general] max_length = {general.max_length}: the student has positions for {most} tokens")
    if not job.stage.reads("masked_lm"):
        return
    if general.masking == "none":
        raise UserError(
            '[general] masking = "none": the loss masked_lm is read at masked words; expected "bert", or "one" '
            "(or [strategy] weights.masked_lm = 0)"
        )
    if not has_lm_head(experiment.base.folder):
        raise UserError(NO_LM_HEAD)
