"""What can be wrong with a recipe and be seen before anything is trained: of the plan and of the run alike."""

from typing import Any

from distilkit.data.examples import draw_queries
from distilkit.errors import UserError
from distilkit.evaluation.measures import canonical
from distilkit.runs.experiment import Experiment
from distilkit.runs.stages import StageJob, Start
from distilkit.settings import TrainSettings


def check(experiment: Experiment) -> None:
    """Raise UserError for data, judgements, measures, weights and shapes that would end the run later."""
    _check_sets(experiment)
    _check_first_stages(experiment)
    teacher = experiment.teacher_jobs()
    student = [job for point in experiment.grid() for job in point.jobs]
    for section, jobs in (("[teacher.train]", teacher), ("[train]", student)):
        for job in jobs:
            _check_metric(section, job.stage.train)
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
    built: dict[Start, Any] = {}
    for job in jobs:
        if job.start not in built:
            built[job.start] = _student(job.start)
            _check_positions(experiment, built[job.start], "the student")
        _check_pair(job, built[job.start], teacher)


def _student(start: Start) -> Any:
    from distilkit.models.initialise import student_from

    settings = start.settings
    assert settings is not None  # only a teacher is trained as it is
    return student_from(
        start.source.folder,
        shape=settings.shape,
        start=settings.start,
        num_labels=settings.num_labels,
        dropout=start.dropout,
    )


def _check_positions(experiment: Experiment, ranker: Any, name: str) -> None:
    config, most = ranker.config, getattr(ranker.config, "max_position_embeddings", None)
    # RoBERTa and its kin number positions from behind the padding's.
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
    for one in experiment.sets:
        length = one.materials.settings.max_length
        if most is not None and length > most - offset:
            raise UserError(f"[data] max_length = {length}: {name} has positions for {most - offset} tokens")


def _check_pair(job: StageJob, student: Any, teacher: Any) -> None:
    from distilkit.models.layer_map import uniform_layer_map
    from distilkit.models.projection import Projections

    if student.config.vocab_size != teacher.config.vocab_size:
        raise UserError(
            f"student and teacher must share one vocabulary: the student has {student.config.vocab_size} entries, "
            f"the teacher {teacher.config.vocab_size}"
        )
    if job.stage.uses_internals:
        uniform_layer_map(teacher.num_layers, student.num_layers)
        Projections(student.hidden_size, teacher.hidden_size, 1, job.stage.projection)
    if any(term.name == "attention" for term in job.stage.terms) and student.num_heads != teacher.num_heads:
        raise UserError(
            f"the attention loss needs as many heads in the student as in the teacher, not {student.num_heads} and "
            f"{teacher.num_heads}; take another student, or set [strategy] weights.attention to 0"
        )
