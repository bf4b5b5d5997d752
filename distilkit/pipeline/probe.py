"""Times a few optimiser steps and scored batches of every shape that a run has, before it begins, for its forecast."""

import copy
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.data.internals import BlankInternals
from distilkit.pipeline.evaluation import Ranking
from distilkit.pipeline.graph import Artifact, Node, every
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.topics import plain_examples
from distilkit.pipeline.trained_stage import StartingStudent, TrainedStage
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.training.step_loader import TrainingSet

SHORT = 10.0
"""What takes fewer seconds by its multiply-accumulates is not worth the seconds of being timed."""
STEPS, BATCHES = 2, 2
"""How many are timed, after one that is not."""
SAMPLE = 10_000
"""The mean length of more examples than these is that of the first."""


def is_work(node: Node[Any], workspace: Workspace) -> bool:
    """Return whether a node, or what it is made of, takes forward passes."""
    return any(one.work(workspace) > 0 for one in every([node]))


def prepare_data(nodes: Sequence[Node[Any]], workspace: Workspace) -> None:
    """Build every artifact among some nodes that takes no forward pass: tokens, candidates, windows."""
    workspace.prepare(*(node for node in nodes if isinstance(node, Artifact) and not is_work(node, workspace)))


def probe(nodes: Sequence[Node[Any]], workspace: Workspace) -> None:
    """Measure the rates of the shapes that are not known on this machine yet, and keep them.

    Several processes are not timed, and what is short is not: they forecast by multiply-accumulates, and by what they
    see.
    """
    rates = workspace.rates
    if workspace.processes.count > 1 or sum(node.work(workspace) for node in nodes) < SHORT:
        return
    for node in nodes:
        if not isinstance(node, (TrainedStage, Ranking)) or rates.knows(node.shape):
            continue
        workspace.progress.raise_if_stopped()
        if isinstance(node, TrainedStage):
            rates.learn(node.shape, step_seconds(node, workspace), node.step_macs)
            if not node.stage.trains_scores:
                continue
            node = node.validation_ranking
        if not rates.knows(node.shape):
            rates.learn(node.shape, pair_seconds(node, workspace), node.pair_macs)
    rates.write()


def step_seconds(stage: TrainedStage, workspace: Workspace) -> float:
    """Return the seconds of an optimiser step of a stage, from a student and a teacher before any training.

    0 where the examples depend on a teacher that is still to be trained.
    """
    from distilkit.pipeline.build_objective import build_objective
    from distilkit.training.trainer import Trainer

    examples = _examples(stage, workspace)
    if examples is None or not len(examples):
        return 0.0
    reader: Node[Any] = stage.reader
    tokens = workspace.value(reader)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            stage=stage.stage,
            objective=build_objective(stage, workspace, stage.precision == "bf16", untrained=True),
            examples=examples,
            tokens=tokens,
            precision=stage.precision,
            processes=workspace.processes,
            reporter=Reporter(quiet=True),
            checkpoints=Path(folder) / "none",
            validate=lambda ranker: {},
            metric=stage.metric,
            label=stage.stage.name,
            teacher_tokens=workspace.value(stage.teacher_reader) if stage.teacher_reader else None,
            internals=_blank(stage, tokens),
            prefetch=False,
        )
        take_step = trainer.prepared()
        first = min(STEPS, trainer.total - 1)
        counts = [trainer.loader(step).counts.tokens for step in range(first + 1)]
        seconds = [_seconds(take_step, workspace.processes.device.type == "cpu") for _ in counts]
    own = slice(1, None) if first else slice(None)
    mean = float(tokens.lengths(examples.queries[:SAMPLE].ravel(), examples.passages[:SAMPLE].ravel()).mean())
    return sum(seconds[own]) / max(1, sum(counts[own])) * mean * stage.pairs_per_step


def _blank(stage: TrainedStage, tokens: Any) -> BlankInternals | None:
    """Return zeros in the place of what a teacher will have computed before."""
    kept = stage.internals
    return None if kept is None else BlankInternals(kept.layout, tokens.lengths, kept.dtype)


def pair_seconds(ranking: Ranking, workspace: Workspace) -> float:
    """Return the seconds of scoring a pair, from a ranker before any training."""
    import torch

    from distilkit.data.tokens import PairTokens
    from distilkit.evaluation.rerank import computing, forward_passes, launch_batch, on_host

    model, device = ranking.model, workspace.processes.device
    if isinstance(model, TrainedStage):
        ranker = copy.deepcopy(workspace.value(StartingStudent(model.start, model.tokenizer)))
    else:
        ranker = model.load(workspace)
    ranker = ranker.to(device).eval()
    tokens: Any = workspace.value(ranking.reader)
    of, passages = workspace.value(ranking.queries.candidates).pairs()
    if isinstance(tokens, PairTokens) and tokens.documents is not None:
        passages, owners = tokens.documents.windows.of(passages)
        of = of[owners]
    if not len(of):
        return 0.0
    lengths = tokens.lengths(of, passages)
    batches = forward_passes(lengths, ranking.scorer.batch_size, device)
    chosen = [batches[len(batches) // 2], *(batches[place] for place in _spread(len(batches), BATCHES))]

    def score(batch: Integers) -> None:
        on_host(launch_batch(ranker, tokens, of[batch], passages[batch], device))

    with torch.no_grad(), computing(ranking.scorer.precision, device):
        seconds = [_seconds(partial(score, batch), device.type == "cpu") for batch in chosen]
    counted = sum(int(lengths[batch].sum()) for batch in chosen[1:])
    # Documents that are cut are scored window by window.
    windows = len(of) / max(1, ranking.pairs)
    return sum(seconds[1:]) / max(1, counted) * float(lengths.mean()) * windows


def _examples(stage: TrainedStage, workspace: Workspace) -> "TrainingSet | None":
    plain = plain_examples(stage.examples)
    if is_work(plain, workspace):
        return None
    found: TrainingSet = workspace.value(plain)
    scored = plain is not stage.examples
    return replace(found, targets=np.zeros(found.passages.shape, np.float32)) if scored else found


def _spread(count: int, wanted: int) -> list[int]:
    """Return places that lie evenly in so many."""
    return [math.floor((2 * place + 1) * count / (2 * wanted)) for place in range(min(count, wanted))]


def _seconds(work: Callable[[], object], on_cpu: bool) -> float:
    """Return how long some work takes; on a CPU by the time of its threads, whatever else the machine does.

    How much slower a busy machine is shows as the run goes on, and is the same for all shapes.
    """
    import torch

    clock, shared = (time.process_time, torch.get_num_threads()) if on_cpu else (time.monotonic, 1)
    started = clock()
    work()
    return (clock() - started) / shared
