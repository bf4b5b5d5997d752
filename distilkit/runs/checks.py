"""What can be wrong with a recipe and be seen before anything is trained: of the plan and of the run alike."""

from typing import Any

from distilkit.data.examples import draw_queries
from distilkit.data.teacher_scores.provenance import require_match
from distilkit.errors import UserError
from distilkit.evaluation.measures import canonical
from distilkit.files import content_key
from distilkit.models import STUDENTS
from distilkit.runs.experiment import Experiment
from distilkit.runs.jobs import StageJob
from distilkit.runs.learners import NO_LM_HEAD, start_student
from distilkit.runs.materials import Materials
from distilkit.runs.reporter import Reporter
from distilkit.settings import TrainSettings
from distilkit.strategies import TERMS


def check(experiment: Experiment) -> None:
    """Raise UserError for data, judgements, measures, weights and shapes that would end the run later."""
    _check_sets(experiment)
    _check_first_stages(experiment)
    teacher = experiment.teacher_jobs()
    student = [job for point in experiment.grid() for job in point.jobs]
    for section, jobs in (("[teacher.train]", teacher), ("[train]", student)):
        for job in jobs:
            _check_metric(section, job.stage.train)
            if job.stage.examples != "text" and job.stage.train.triples is None:
                _check_negatives(section, job, experiment)
            _check_teaching(job)
    _check_scores(experiment)
    _check_models(experiment, student)
    for job in student:
        experiment.stages.size(job)  # reads the files that a recipe names


def _check_sets(experiment: Experiment) -> None:
    for one in experiment.sets:
        section = "[evaluate]" if one.name == "test" else f"[evaluate.sets.{one.name}]"
        splits = one.materials.collection.splits
        if one.split not in splits:
            raise UserError(f"{section} split = {one.split!r}: the collection has judgements for {', '.join(splits)}")
        one.materials.qrels(one.split, None)
    for materials in dict.fromkeys(one.materials for one in experiment.sets):  # as a rule they are all the same
        _check_texts(materials, experiment.reporter)
    _ = experiment.materials.judgements


def _check_texts(materials: Materials, reporter: Reporter) -> None:
    """Refuse queries and passages without a text, or count them where they are left out of training."""
    for (kind, rows), table in zip(
        materials.empty_texts.items(), (materials.collection.queries, materials.collection.passages), strict=True
    ):
        if not len(rows):
            continue
        said = (
            f"{len(rows)} of {len(table)} texts are empty, the first is that of the {kind} {table.id(int(rows[0]))!r}"
        )
        if materials.settings.on_missing == "error":
            raise UserError(f'{said}; expected a text for each, or [data] on_missing = "skip"')
        reporter.say(f"{said}; they are not trained on")


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


def _check_teaching(job: StageJob) -> None:
    """Refuse a stage that wants more of its teacher than there is."""
    teacher = job.teacher
    if teacher is None or not job.stage.uses_teacher:
        return
    what = "a file of scores" if teacher.file else "an ensemble"
    if teacher.file is None and len(teacher.members) == 1:
        return
    if not job.stage.uses_scores_alone:
        raise UserError(f"the stage {job.stage.name} reads more than scores of its teacher; {what} has nothing else")
    if job.scores == "online":
        raise UserError(f'[teacher] scores = "online": {what} teaches from scores computed before; expected "cached"')
    if teacher.file is not None and job.selector is not None:
        raise UserError("[teacher] scores: a file has scores of documents, none of the passages of [data.passages]")


def _check_scores(experiment: Experiment) -> None:
    """Refuse a file that was made by other rankers, or for other loss terms, than the recipe asks for."""
    file, settings = experiment.score_file, experiment.recipe.teacher
    if file is None:
        return
    where = f"[teacher] scores = {settings.scores!r}"
    if settings.fine_tune is not None:
        raise UserError(
            f"{where}: what a file says of a teacher is fine-tuned no more; expected no [teacher] fine_tune"
        )
    scores = experiment.stages.targets.read(file)
    for job in (job for point in experiment.grid() for job in point.jobs):
        other = [term.name for term in job.stage.terms if term.uses_teacher and not term.margins_suffice]
        if scores.margins_only and other:
            known = " or ".join(name for name in TERMS if TERMS[name].margins_suffice)
            raise UserError(f"{where}: holds margins alone, and {other[0]} reads scores; expected {known}")
    if experiment.has_ranker and scores.provenance is not None and "teachers" in scores.provenance:
        models, length = experiment.bases, experiment.recipe.data.max_length
        asked = [{"weights": model.identity, "max_length": length} for model in models]
        require_match(scores.provenance, {"teachers": asked}, where)


def _check_models(experiment: Experiment, jobs: list[StageJob]) -> None:
    """Build every student once, and see whether it can learn from the teacher."""
    from distilkit.models.load import load_tokenizer, require_fit

    teachers = [_checked_teacher(experiment, place) for place in range(len(experiment.bases))]
    built: dict[str, Any] = {}
    for job in jobs:
        key = content_key(job.start.identity())
        first = key not in built
        if first:
            built[key] = start_student(job.start, job.tokenizer)
            require_fit(load_tokenizer(job.tokenizer), built[key].config, job.tokenizer)
        _check_pair(job, built[key], teachers[0], experiment)
        if first:
            _check_positions(experiment, built[key], "the student")
        if job.stage.examples == "text":
            _check_text(experiment, job, built[key])


def _checked_teacher(experiment: Experiment, place: int) -> Any:
    """Return a teacher's checkpoint, before any fine-tuning."""
    from distilkit.models.cat import load_cat
    from distilkit.models.load import load_tokenizer, require_fit

    settings = experiment.members[place]
    if not STUDENTS[settings.architecture].ranker().shows_internals:
        raise UserError(
            f"[teacher] architecture = {settings.architecture!r}: only a bert_cat teaches in a run; the scores "
            "of any other ranker can be written by `distilkit score` and named by [teacher] scores"
        )
    used = experiment.has_ranker and not experiment.teacher_chains[place]
    folder = experiment.bases[place].folder
    teacher = load_cat(folder, require_head=used)
    require_fit(load_tokenizer(folder), teacher.config, folder)
    if settings.shape is not None and not experiment.teacher_chains[place]:
        raise UserError(f"[teacher] shape = {settings.shape!r} cuts layers away; expected a fine_tune that mends it")
    if settings.shape is not None:
        start_student(experiment.teacher_chains[place][0].start, experiment.bases[place].tokenizer)
    _check_positions(experiment, teacher, settings.model)
    return teacher


def _check_positions(experiment: Experiment, ranker: Any, name: str) -> None:
    from distilkit.models.encoder import position_room

    most = position_room(ranker.config)
    for one in experiment.sets:
        for key in ranker.options.text_format.length_keys:
            length = getattr(one.materials.settings, key)
            if most is not None and length > most:
                raise UserError(f"[data] {key} = {length}: {name} has positions for {most} tokens")


def _check_pair(job: StageJob, student: Any, teacher: Any, experiment: Experiment) -> None:
    if job.teacher is None or not job.stage.reads_tokens:
        return
    if not student.shows_internals:
        raise UserError(
            f"the stage {job.stage.name} reads the student's insides, which only a bert_cat has in common with its "
            f"teacher; a {job.architecture} learns from scores, with margin_mse for instance"
        )
    from distilkit.models.layer_map import layer_map
    from distilkit.models.projection import Projections

    _check_vocabulary(job, student, teacher, experiment)
    if job.stage.uses_internals:
        layer_map(job.stage.layer_map, teacher.num_layers, student.num_layers)
        Projections(student.hidden_size, teacher.hidden_size, 1, job.stage.projection)
    if job.stage.reads("attention") and student.num_heads != teacher.num_heads:
        raise UserError(
            f"the attention loss needs as many heads in the student as in the teacher, not {student.num_heads} and "
            f"{teacher.num_heads}; take another student, or set [strategy] weights.attention to 0"
        )


def _check_vocabulary(job: StageJob, student: Any, teacher: Any, experiment: Experiment) -> None:
    """Refuse tokens that mean something else to the student than to its teacher, where both read the same ones."""
    sizes = student.config.vocab_size, teacher.config.vocab_size
    if sizes[0] != sizes[1]:
        raise UserError(
            f"student and teacher must share one vocabulary: the student has {sizes[0]} entries, the teacher {sizes[1]}"
        )
    identity = experiment.materials.token_identity
    if identity(job.tokenizer) != identity(experiment.base.tokenizer):
        raise UserError(
            f"the stage {job.stage.name} compares student and teacher token by token, and their tokenizers differ; "
            "expected one for both"
        )


def _check_text(experiment: Experiment, job: StageJob, student: Any) -> None:
    from distilkit.models.encoder import position_room
    from distilkit.models.masked_lm import has_lm_head

    general = experiment.recipe.general
    most = position_room(student.config)
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
