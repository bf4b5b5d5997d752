"""How much work a run is, in multiply-accumulates, so that one bar can say how long the whole of it takes."""

from distilkit.evaluation.macs import encoder_macs
from distilkit.runs.experiment import Experiment, encoder_size
from distilkit.runs.folder import RunFolder
from distilkit.runs.jobs import StageJob


def remaining_work(experiment: Experiment, folder: RunFolder, twin: bool = False) -> float:
    """Return the multiply-accumulates of what is not there yet: training, validation and evaluation.

    A trained forward pass counts three times, for its gradients; what is no forward pass counts for nothing. A twin's
    teacher and references are there by the time it starts.
    """
    length = experiment.recipe.data.max_length
    student = float(encoder_macs(*experiment.student_size(), length))
    teacher = float(encoder_macs(*encoder_size(experiment.base.folder), length))
    own = [] if twin else experiment.teacher_jobs()
    work = sum(_training(experiment, job, teacher, teacher) for job in own)
    points = experiment.grid()
    if experiment.retrains:
        points.append(experiment.point(points[0].values))
    jobs = {experiment.stages.artifact(job).key: job for point in points for job in point.jobs}
    work += sum(_training(experiment, job, student, teacher) for job in jobs.values())
    planned = experiment.planned_teacher()
    for one in experiment.sets:
        qrels = one.materials.qrels(one.split, one.evaluator.settings.queries)
        pairs = len(qrels) * one.evaluator.depth
        if not (folder.eval / one.name / "cost.json").exists():
            work += pairs * student
        identity = one.materials.candidate_identity(one.split, sorted(qrels), one.evaluator.depth)
        artifact = experiment.references_of(one).artifact(planned, one.materials, identity)
        if not twin and not experiment.artifacts.has(artifact):
            work += pairs * teacher
    return work


def _training(experiment: Experiment, job: StageJob, trained: float, teacher: float) -> float:
    if experiment.artifacts.has(experiment.stages.artifact(job)):
        return 0.0
    _, steps = experiment.stages.size(job)
    _, validation = experiment.materials.judgements
    train = job.stage.train
    validations = len(range(0, steps, train.eval_steps)) if train.eval_steps else 1
    if not job.stage.trains_scores:
        validations = 0
    scored = validations * len(validation) * experiment.evaluator.depth
    pairs = steps * experiment.stages.pairs_per_step(job.stage)
    return (
        pairs * (3 * trained + (teacher if job.stage.uses_teacher and not job.scored_ahead else 0.0)) + scored * trained
    )
