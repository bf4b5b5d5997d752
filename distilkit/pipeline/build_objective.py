"""A stage's student, teacher, projections and heads, built from what came before."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit.data.prefixes import NONE, Prefixes
from distilkit.errors import UserError
from distilkit.models.weights import read_weights, weight_files
from distilkit.pipeline.models import Start
from distilkit.pipeline.tokens import Tokenizer, kept_rows
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import DataSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from distilkit.models.projection import Projections
    from distilkit.models.ranker import Ranker
    from distilkit.pipeline.trained_stage import TrainedStage
    from distilkit.training.objective import LmHeads, Objective

PROJECTIONS = "projections.safetensors"


def build_objective(node: "TrainedStage", workspace: Workspace, half: bool, untrained: bool = False) -> "Objective":
    """Return the objective of a stage: its student, and the teacher that takes part in every step.

    `half` gives the teacher bfloat16 weights. What is drawn at random follows the stage's seed. With `untrained` both
    are as before any training, to be timed. Raises UserError.
    """
    import torch

    torch.manual_seed(node.stage.seed)
    first = node.before is None or untrained
    student = start_student(node.start, node.tokenizer, workspace) if first else _student(node, workspace)
    teacher = None
    if node.asks_teacher:
        teacher = (_untrained_teacher if untrained else _teacher)(node, workspace, half)
        if node.teacher_reader is None and (rows := kept_rows(node.tokenizer, workspace)) is not None:
            teacher.keep_rows(rows)  # it reads the student's tokens
        teacher = teacher.to(workspace.processes.device)
    objective = objective_of(node, student, teacher, workspace)
    if node.in_batch is not None:
        texts = node.stage.ways * node.stage.train.per_device_train_batch_size
        objective.in_batch_teacher = node.in_batch.opened(workspace, texts, untrained)
    return objective


def objective_of(
    node: "TrainedStage", student: "Ranker", teacher: "Ranker | None", workspace: Workspace
) -> "Objective":
    """Return the objective of a stage for a student and the teacher that takes part in its steps."""
    from distilkit.training.objective import Objective

    stage = node.stage
    if node.internals is not None:
        return Objective(
            stage, student, None, _projections(node, student, node.internals.model.size[1], workspace), None
        )
    if teacher is None:
        return Objective(stage, student, None, None, None)
    heads = _lm_heads(node, student, workspace)
    if not stage.uses_internals:
        return Objective(stage, student, teacher, None, None, heads)
    from distilkit.models.layer_map import layer_map

    layers = layer_map(stage.layer_map, teacher.num_layers, student.num_layers)
    projections = _projections(node, student, teacher.hidden_size, workspace)
    return Objective(stage, student, teacher, projections, layers, heads)


def start_student(start: Start, tokenizer: Tokenizer, workspace: Workspace) -> "Ranker":
    """Return a student before its first stage. Raises UserError for a tokenizer that does not fit."""
    from distilkit.models import student_options
    from distilkit.models.cat import load_cat
    from distilkit.models.initialise import student_from
    from distilkit.models.load import load_tokenizer

    settings = start.settings
    if settings is None:
        return load_cat(start.source.folder, num_labels=1, dropout=start.dropout).train()
    student = student_from(
        start.source.folder,
        architecture=settings.architecture,
        options=student_options(settings.architecture, start.options),
        tokenizer=load_tokenizer(workspace.value(tokenizer.uncut)),
        shape=settings.shape,
        start=settings.start,
        embeddings=settings.embeddings,
        num_labels=settings.num_labels,
        dropout=start.dropout,
    )
    if (rows := kept_rows(tokenizer, workspace)) is not None:
        student.keep_rows(rows)
    return student


def save_result(
    objective: "Objective",
    folder: Path,
    tokenizer: "PreTrainedTokenizerFast",
    data: DataSettings,
    name: str,
    prefixes: Prefixes = NONE,
) -> None:
    """Write what a stage leaves behind: the student, and the projections that the next stage goes on with."""
    from safetensors.torch import save_file

    save_student(objective.student, folder / "model", tokenizer, data, name, prefixes)
    if objective.projections is not None and (parameters := dict(objective.projections.named_parameters())):
        save_file({name: value.detach().cpu() for name, value in parameters.items()}, folder / PROJECTIONS)


def save_student(
    student: "Ranker",
    folder: Path,
    tokenizer: "PreTrainedTokenizerFast",
    data: DataSettings,
    name: str,
    prefixes: Prefixes,
) -> None:
    """Write a student with the lengths that it was trained at, and what it reads before texts."""
    from distilkit.models.save import save_ranker

    student.prefixes = prefixes
    save_ranker(
        student,
        tokenizer,
        folder,
        max_length=data.max_length,
        query_length=data.query_length,
        document_length=data.document_length,
        name=name,
    )


def _student(node: "TrainedStage", workspace: Workspace) -> "Ranker":
    from distilkit.models.load import load_ranker

    assert node.before is not None
    return load_ranker(workspace.value(node.before), dropout=node.start.dropout).train()


def _teacher(node: "TrainedStage", workspace: Workspace, half: bool) -> "Ranker":
    import torch

    from distilkit.models.cat import load_cat

    assert node.teacher is not None
    dtype = torch.bfloat16 if half else torch.float32
    # A language model has no head that scores, and none is read of it.
    folder, scores = workspace.value(node.teacher.model), node.stage.trains_scores
    teacher = load_cat(folder, dtype=dtype, require_head=scores)
    teacher.requires_grad_(False)
    return teacher.train() if node.stage.teacher_mode == "train" else teacher


def _untrained_teacher(node: "TrainedStage", workspace: Workspace, half: bool) -> "Ranker":
    import torch

    assert node.teacher is not None
    teacher = copy.deepcopy(node.teacher.model.untrained(workspace, needs_head=node.stage.trains_scores))
    return teacher.to(torch.bfloat16 if half else torch.float32).requires_grad_(False).eval()


def _projections(node: "TrainedStage", student: "Ranker", width: int, workspace: Workspace) -> "Projections":
    """Return the projections of the stage before, those of the checkpoint the student starts from, or new ones.

    `width` is the size of the teacher's states.
    """
    from distilkit.models.projection import Projections

    stage = node.stage
    sizes = student.hidden_size, width
    initial = "identity" if sizes[0] == sizes[1] and stage.variant == "paper" else "random"
    projections = Projections(*sizes, student.num_layers + 1, stage.projection, initial)  # type: ignore[arg-type]
    if node.before is not None:
        if (kept := workspace.path(node.before) / PROJECTIONS).exists():
            _load(projections, [kept])
    elif node.start.own is not None:
        _load(projections, weight_files(node.start.own.folder))
    return projections


def _load(projections: "Projections", files: list[Path]) -> None:
    """Put in place the maps of the same name and size that the files hold: fit_dense, or fit_denses.i."""
    own = dict(projections.named_parameters())
    for file in files:
        for name, value in read_weights(file, own.keys()).items():
            if value.shape == own[name].shape:
                own[name].data.copy_(value)


def _lm_heads(node: "TrainedStage", student: "Ranker", workspace: Workspace) -> "LmHeads | None":
    if not node.stage.reads("masked_lm"):
        return None
    from distilkit.models.masked_lm import load_lm_head, new_lm_head
    from distilkit.training.objective import LmHeads

    assert node.teacher is not None
    head = load_lm_head(workspace.value(node.teacher.model))
    if head is None:
        raise UserError(NO_LM_HEAD)
    if (rows := kept_rows(node.tokenizer, workspace)) is not None:
        head.keep_rows(rows)
    frozen = head.requires_grad_(False).eval().to(workspace.processes.device)
    return LmHeads(new_lm_head(student.config), frozen)


NO_LM_HEAD = (
    "the teacher's checkpoint has no head that predicts masked words; take a masked language model, or set [strategy] "
    "weights.masked_lm to 0"
)
