"""Every stage's first step, tried on a tiny batch: what would end a run ends it before anything is trained."""

import copy
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from distilkit.errors import RunFailed, Stopped, UserError, is_out_of_memory, out_of_memory
from distilkit.files import content_key
from distilkit.pipeline.graph import Artifact
from distilkit.pipeline.tokens import Reader, kept_rows
from distilkit.pipeline.trained_stage import StartingStudent, TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.run_folders.artifacts import LOCK, TRIAL
from distilkit.run_folders.lock import Lock
from distilkit.run_folders.uses import turn

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker
    from distilkit.training.step_loader import Tokens, TrainingSet

# Examples of the batch, and how much of a text is read: enough for several tokens, and for padding.
EXAMPLES, CHARACTERS = 2, 160
# How far a ranker's scores may lie from those that it had before it was saved, of the largest.
CLOSE = 1e-4


def try_first_steps(stages: Iterable[TrainedStage], workspace: Workspace) -> None:
    """Take the first step of every stage that is not trained yet, and save and load what it would leave.

    Models, tokenizers, losses and texts are the run's own; stages that differ in sizes and rates alone are tried once.
    Raises UserError for a stage that cannot be trained, or whose student could not be saved, and RunFailed where that
    is the machine's fault: a full disk, or too little memory.
    """
    teachers: dict[str, Ranker] = {}
    for stage in stages:
        if workspace.has(stage) or (isinstance(stage.tokenizer, Artifact) and not workspace.has(stage.tokenizer)):
            continue
        stage = replace(stage, internals=None)  # whose artifact is not there yet: the teacher takes part in the trial
        key = _key(stage)
        if key in workspace.tried:
            continue
        try:
            _try(stage, workspace, teachers)
        except (UserError, RunFailed, Stopped):
            raise
        except Exception as error:  # whatever a model, a loss or a plug-in raises
            if is_out_of_memory(error):
                raise RunFailed(out_of_memory(error)) from error
            reason = (str(error).strip().splitlines() or [""])[0]
            if _system_refuses(error):
                raise RunFailed(
                    f"the first step of the stage {stage.stage.name} cannot be tried: {reason}; nothing that was "
                    "finished is lost: continue with --resume auto"
                ) from error
            raise UserError(
                f"the first step of the stage {stage.stage.name} fails: {type(error).__name__}: {reason}"
            ) from error
        workspace.tried.add(key)


def _system_refuses(error: Exception) -> bool:
    """Tell whether the system refused to read or write a file; an OSError of transformers' own has no number."""
    return (isinstance(error, OSError) and error.errno is not None) or (
        isinstance(error, SafetensorError) and "I/O error" in str(error)
    )


def _key(stage: TrainedStage) -> str:
    """Return what tells one trial from another."""
    own = {name: value for name, value in asdict(stage.stage).items() if name not in ("train", "seed", "name")}
    terms = [{"name": term.name, **asdict(term)} for term in stage.stage.terms]
    teacher = stage.teacher.identity if stage.asks_teacher and stage.teacher else stage.scored_ahead
    start = {"student": _start(stage).key, "reader": stage.reader.key, "architecture": stage.architecture}
    return content_key({**own, "terms": terms, "teacher": teacher, "ways": stage.stage.ways, **start})


def _start(stage: TrainedStage) -> StartingStudent:
    return StartingStudent(stage.start, stage.tokenizer)


def _try(node: TrainedStage, workspace: Workspace, teachers: "dict[str, Ranker]") -> None:
    import torch

    from distilkit.pipeline.build_objective import objective_of
    from distilkit.training.step_loader import StepLoader

    student = workspace.value(_start(node)).train()
    teacher = None
    if node.asks_teacher and node.teacher is not None:
        scores, model = node.stage.trains_scores, node.teacher.model
        rows = kept_rows(node.tokenizer, workspace) if node.teacher_reader is None else None
        # One that is loaded serves all stages that read the same tokens.
        name = f"{model.key} {scores} {None if rows is None else node.tokenizer.key}"
        teacher = teachers.get(name)
        if teacher is None:
            teacher = model.untrained(workspace, needs_head=scores)
            if rows is not None:
                teacher = copy.deepcopy(teacher)
                teacher.keep_rows(rows)
            teachers[name] = teacher
        teacher.requires_grad_(False).train(node.stage.teacher_mode == "train")
    small = {"per_device_train_batch_size": EXAMPLES, "gradient_accumulation_steps": 1}
    stage = replace(node.stage, train=node.stage.train.model_copy(update=small))
    tokens = _tokens(node, node.reader, workspace)
    theirs = _tokens(node, node.teacher_reader, workspace) if node.teacher_reader else None
    examples = _examples(node, stage.ways)
    with torch.random.fork_rng(devices=[]):
        objective = objective_of(replace(node, stage=stage), student, teacher, workspace)
        batch = StepLoader(stage, examples, tokens, theirs)(0)
        for micro_batch in batch.micro_batches:
            losses = objective(micro_batch, stage.ways, batch.counts)
            if not losses["loss"].isfinite():
                raise UserError(f"the loss of the stage {stage.name} is not finite on the first batch")
            losses["loss"].backward()
        objective.zero_grad()
        if teacher is not None:
            teacher.eval()
        if f"saved {_start(node).key}" not in workspace.tried and isinstance(node.reader, Reader):
            path, root = workspace.value(node.tokenizer), workspace.root
            # In the main process alone, as at the stage's end: transformers writes a configuration nowhere else.
            workspace.processes.on_main(lambda: _save(node, student, tokens, path, root))
            workspace.tried.add(f"saved {_start(node).key}")


def _tokens(node: TrainedStage, reader: Any, workspace: Workspace) -> "Tokens":
    """Return the first texts of the collection in the form of a reader."""
    import numpy as np

    from distilkit.data.plain_text import TextTokens
    from distilkit.data.tokens import TokenStore
    from distilkit.models.load import load_tokenizer

    tokenizer = load_tokenizer(workspace.value(reader.tokenizer))
    collection, prefixes = node.data.collection, reader.tokenizer.prefixes
    count = EXAMPLES * node.stage.ways
    queries, passages = (
        [f"{before}{table.text(row % len(table))[:CHARACTERS]}{after}" for row in range(count)]
        for table, (before, after) in zip((collection.queries, collection.passages), prefixes.sides, strict=True)
    )

    def store(texts: list[str]) -> TokenStore:
        return TokenStore.of(texts, tokenizer, max(reader.lengths))

    if isinstance(reader, Reader):
        found: Tokens = reader.form.tokens(tokenizer, store(queries), store(passages), reader.named_lengths)
        return found
    settings = reader.sequences.settings
    documents = np.arange(count) if settings.pairs else None
    how = tokenizer, settings.max_length, settings.masking, reader.seed
    return TextTokens.of(store(passages), *how, documents)


def _examples(node: TrainedStage, ways: int) -> "TrainingSet":
    """Return examples of the first texts, with scores of a teacher where these would be computed ahead."""
    import numpy as np

    from distilkit.training.step_loader import TrainingSet

    passages = np.arange(EXAMPLES * ways).reshape(EXAMPLES, ways)
    labels = np.zeros_like(passages)
    labels[:, 0] = [1, 0] if ways == 1 else 1
    targets = np.linspace(4, -4, passages.size, dtype=np.float32).reshape(passages.shape)
    queries = np.repeat(np.arange(EXAMPLES)[:, None], ways, axis=1)
    return TrainingSet(queries, passages, labels, targets if node.scored_ahead else None)


def _save(node: TrainedStage, student: "Ranker", tokens: Any, tokenizer_folder: Path, root: Path) -> None:
    """Save and load a student as the stage's end would; raises UserError where its scores are not the same then."""
    import numpy as np
    import torch

    from distilkit.models.batch import batch_of
    from distilkit.models.load import load_ranker, load_tokenizer
    from distilkit.pipeline.build_objective import save_student

    rows = np.arange(EXAMPLES)
    with torch.no_grad(), _folder_of_a_trial(root) as folder:
        path, tokenizer = folder / "model", load_tokenizer(tokenizer_folder)
        save_student(student, path, tokenizer, node.data.settings, node.stage.name, node.tokenizer.prefixes)
        batch = batch_of(tokens.batch(rows, rows))
        before = student.eval().score(batch)
        after = load_ranker(path, node.architecture).score(batch)
        student.train()
    gap = float((before - after).abs().max())
    if gap > CLOSE * max(1.0, float(before.abs().max())):
        raise UserError(
            f"this student scores differently after it was saved and loaded: the scores differ by {gap:.2g}"
        )


@contextmanager
def _folder_of_a_trial(root: Path) -> Iterator[Path]:
    """Yield a temporary folder among the artifacts, whose lock tells `distilkit clean` that it is used."""
    with turn(root):
        folder = Path(tempfile.mkdtemp(prefix=TRIAL, dir=root))
        lock = Lock(folder / LOCK)
        lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
