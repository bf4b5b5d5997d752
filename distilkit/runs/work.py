"""How much work a run is, in multiply-accumulates, so that one bar can say how long the whole of it takes."""

from distilkit.models.macs import encoder_macs
from distilkit.runs.experiment import Experiment
from distilkit.runs.folder import RunFolder
from distilkit.runs.jobs import StageJob
from distilkit.strategies.stage import trained_macs


def remaining_work(experiment: Experiment, folder: RunFolder, twin: bool = False) -> float:
    """Return the multiply-accumulates of what is not there yet: training, validation and evaluation.

    What is no forward pass counts for nothing. A twin's teacher and references are there by the time it starts.
    """
    length = experiment.recipe.data.max_length
    student = float(encoder_macs(*experiment.student_size(), length))
    teachers = experiment.teacher_macs()
    teacher = sum(teachers)
    work = 0.0
    for macs, chain in zip(teachers, experiment.teacher_chains, strict=True):
        work += sum(_training(experiment, job, macs, macs) for job in chain if not twin)
    points = experiment.grid()
    if experiment.retrains:
        points.append(experiment.point(points[0].values))
    jobs = {experiment.stages.artifact(job).key: job for point in points for job in point.jobs}
    work += sum(_training(experiment, job, student, teacher) for job in jobs.values())
    ranker = experiment.planned_ranker()
    for one in experiment.sets:
        qrels = one.materials.qrels(one.split, one.evaluator.settings.queries)
        pairs = len(qrels) * one.evaluator.depth
        if not (folder.eval / one.name / "cost.json").exists():
            work += pairs * student
        identity = one.materials.candidate_identity(one.split, sorted(qrels), one.evaluator.depth)
        for macs, model in zip(teachers, ranker.members if ranker and not twin else (), strict=False):
            artifact = experiment.references_of(one).artifact(model, one.materials, identity)
            if not experiment.artifacts.has(artifact):
                work += pairs * macs
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
    takes_part = job.stage.uses_teacher and not job.scored_ahead
    return pairs * trained_macs(trained, teacher if takes_part else 0.0) + scored * trained
