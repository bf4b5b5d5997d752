"""The fast step computes what the original one does: losses and gradients; and what bfloat16 changes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Goal, Options, Row, Spread
from benchmarks.original import Original
from benchmarks.texts import Pairs, drawn_pairs
from benchmarks.workload import ONE_STEP, last_stage, objective, pair_set, session
from distilkit.data.batches import length_buckets
from distilkit.models.batch import batch_of
from distilkit.strategies import Stage
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import Objective
from distilkit.training.precision import Precision
from distilkit.training.step_loader import LengthBucket, TrainingSet

BATCH, STEPS = 16, 24
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
Values = dict[str, Tensor]


def run(options: Options) -> Iterator[Row]:
    """fp32 losses and gradients against the original way's; bf16 losses over 24 steps against fp32's."""
    size, steps = (8, 3) if options.quick else (BATCH, STEPS)
    with drawn_pairs(options, steps * size, quick=steps * size) as pairs:
        stage, examples = last_stage(ONE_STEP, size, learning_rate=2e-4), pair_set(pairs)
        ours = objective(options, stage, "minilm")
        old = Original(ours, examples, pairs.tokens, size)
        rows = np.arange(size)
        batch, labels = old.batch(rows)
        expected = values_of(ours, lambda: old.losses(batch, labels))
        found = values_of(ours, lambda: fast_losses(ours, examples, pairs.tokens, rows))
        note = "the same batch, padded to 256 and cut into micro-batches of like length"
        for what, one, other in zip(("losses", "gradients"), found, expected, strict=True):
            gaps = [relative(one[name], other[name]) for name in other]
            goal = Goal(at_most=1e-5)
            yield Row(f"fp32 {what}, largest relative difference from A", Spread.of([max(gaps)]), "", goal, note)
        gaps = precision_gaps(options, stage, pairs, steps)
        yield Row(
            f"bf16 losses over {steps} AdamW steps", Spread.of(gaps), "", Goal(at_most=1e-2), "the largest counts"
        )


def values_of(objective: Objective, losses: Callable[[], Values]) -> tuple[Values, Values]:
    """Return losses by name and the gradient of each parameter."""
    objective.zero_grad()
    found = losses()
    found["loss"].backward()
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in found.items()}, gradients


def fast_losses(objective: Objective, examples: TrainingSet, tokens: Any, rows: np.ndarray) -> Values:
    """Return the losses of the same examples as the trainer cuts them."""
    queries, passages = examples.queries[rows].ravel(), examples.passages[rows].ravel()
    lengths = tokens.lengths(queries, passages)
    batches = [
        LengthBucket(
            batch_of(tokens.batch(queries[group], passages[group])),
            torch.from_numpy(examples.labels[rows].ravel()[group]),
            torch.from_numpy(group),
        )
        for group in length_buckets(lengths)
    ]
    counts = Counts(len(rows), len(rows), int(lengths.sum()), int((lengths**2).sum()))
    return dict(objective(batches, 1, counts))


def precision_gaps(options: Options, stage: Stage, pairs: Pairs, steps: int) -> list[float]:
    """Train a student on the same batches in both precisions; return each step's largest loss difference."""
    takes = [session(options, stage, pairs, "minilm", precision=precision).take_step for precision in PRECISIONS]
    gaps = []
    for _ in range(steps):
        exact, half = (take() for take in takes)
        gaps.append(max(abs(half[name] / exact[name] - 1) for name in exact if name != "learning_rate"))
    return gaps


def relative(one: Tensor, other: Tensor) -> float:
    """Return the distance of two tensors over the norm of the second, in float64."""
    norm = other.double().norm()
    return float((one.double() - other.double()).norm() / norm) if norm else float(one.double().norm())
