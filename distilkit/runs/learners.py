"""A stage's student, teacher, projections and heads, built from what came before."""

from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.jobs import StageJob, Start, chosen_options
from distilkit.settings import DataSettings

PROJECTIONS = "projections.safetensors"


def build_objective(job: StageJob, artifacts: Artifacts, device: Any, half: bool) -> Any:
    """Return the stage's objective; what is drawn at random follows the stage's seed. Raises UserError."""
    import torch

    from distilkit.training.objective import Objective

    stage = job.stage
    torch.manual_seed(stage.seed)
    student = _student(job, artifacts)
    if job.teacher is None or not stage.uses_teacher or job.scored_ahead:
        return Objective(stage, student, None, None, None)
    teacher = _teacher(job, half).to(device)
    if not stage.uses_internals:
        return Objective(stage, student, teacher, None, None, _lm_heads(job, student, device))
    from distilkit.models.layer_map import layer_map

    layers = layer_map(stage.layer_map, teacher.num_layers, student.num_layers)
    projections = _projections(job, student, teacher, artifacts)
    return Objective(stage, student, teacher, projections, layers, _lm_heads(job, student, device))


def start_student(start: Start, tokenizer: Path) -> Any:
    """Return a student before its first stage, for a tokenizer's folder. Raises UserError for one that does not fit."""
    from distilkit.models import student_options
    from distilkit.models.cat import load_cat
    from distilkit.models.initialise import student_from
    from distilkit.models.load import load_tokenizer

    settings = start.settings
    if settings is None:
        return load_cat(start.source.folder, num_labels=1, dropout=start.dropout).train()
    return student_from(
        start.source.folder,
        architecture=settings.architecture,
        options=student_options(settings.architecture, chosen_options(settings)),
        tokenizer=load_tokenizer(tokenizer),
        shape=settings.shape,
        start=settings.start,
        num_labels=settings.num_labels,
        dropout=start.dropout,
    )


def save_result(objective: Any, folder: Path, tokenizer: Any, data: DataSettings, name: str) -> None:
    """Write what a stage leaves behind: the student, and the projections that the next stage goes on with."""
    from safetensors.torch import save_file

    from distilkit.models.save import save_ranker

    save_ranker(
        objective.student,
        tokenizer,
        folder / "model",
        max_length=data.max_length,
        query_length=data.query_length,
        document_length=data.document_length,
        name=name,
    )
    if objective.projections is not None and (parameters := dict(objective.projections.named_parameters())):
        save_file({name: value.detach().cpu() for name, value in parameters.items()}, folder / PROJECTIONS)


def _student(job: StageJob, artifacts: Artifacts) -> Any:
    from distilkit.models.load import load_ranker

    if job.before is None:
        return start_student(job.start, job.tokenizer)
    return load_ranker(artifacts.path(job.before) / "model", dropout=job.start.dropout).train()


def _teacher(job: StageJob, half: bool) -> Any:
    import torch

    from distilkit.models.cat import load_cat

    assert job.teacher is not None
    dtype = torch.bfloat16 if half else torch.float32
    # A language model has no head that scores, and none is read of it.
    teacher = load_cat(job.teacher.model.folder, dtype=dtype, require_head=job.stage.trains_scores)
    teacher.requires_grad_(False)
    return teacher.train() if job.stage.teacher_mode == "train" else teacher


def _projections(job: StageJob, student: Any, teacher: Any, artifacts: Artifacts) -> Any:
    """Return the projections of the stage before, those of the checkpoint the student starts from, or new ones."""
    from distilkit.models.projection import Projections

    stage = job.stage
    sizes = student.hidden_size, teacher.hidden_size
    initial = "identity" if sizes[0] == sizes[1] and stage.variant == "paper" else "random"
    projections = Projections(*sizes, student.num_layers + 1, stage.projection, initial)  # type: ignore[arg-type]
    folder = artifacts.path(job.before) if job.before is not None else None
    if folder is not None and (folder / PROJECTIONS).exists():
        _load(projections, [folder / PROJECTIONS])
    elif folder is None and job.start.start_identity is not None and job.start.settings is not None:
        from distilkit.models.references import local_folder

        _load(projections, sorted(local_folder(job.start.settings.start).glob("*.safetensors")))
    return projections


def _load(projections: Any, files: list[Path]) -> None:
    """Put in place the maps of the same name and size that the files hold: fit_dense, or fit_denses.i."""
    import torch
    from safetensors import safe_open

    own = dict(projections.named_parameters())
    for file in files:
        with safe_open(file, framework="pt") as weights, torch.no_grad():
            for name in own.keys() & set(weights.keys()):
                if (value := weights.get_tensor(name)).shape == own[name].shape:
                    own[name].copy_(value)


def _lm_heads(job: StageJob, student: Any, device: Any) -> Any:
    if not job.stage.reads("masked_lm"):
        return None
    from distilkit.models.masked_lm import load_lm_head, new_lm_head
    from distilkit.training.objective import LmHeads

    assert job.teacher is not None
    head = load_lm_head(job.teacher.model.folder)
    if head is None:
        raise UserError(NO_LM_HEAD)
    return LmHeads(new_lm_head(student.config), head.requires_grad_(False).eval().to(device))


NO_LM_HEAD = (
    "the teacher's checkpoint has no head that predicts masked words; take a masked language model, or set [strategy] "
    "weights.masked_lm to 0"
)
