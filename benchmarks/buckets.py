"""Batches of like length: the trainer's step over one on random batches padded to their longest, and the padding."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.harness import Goal, Options, Row, Spread, Variant, interleave, now
from benchmarks.texts import Pairs, make_pairs
from benchmarks.workload import ONE_STEP, Session, objective_of, pair_set, stage_of, student_model, teacher_model
from distilkit.data.batches import Schedule, length_buckets
from distilkit.models.batch import TokenBatch, batch_of
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import Objective
from distilkit.training.step_loader import LengthBucket, TrainingSet

BATCH, EXAMPLES = 32, 1600


def run(options: Options) -> Iterator[Row]:
    """Length buckets over random dynamic padding, and the share of padding in an epoch of pairs and of triples."""
    size, count = (8, 80) if options.quick else (BATCH, EXAMPLES)
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)
        stage, examples = stage_of(ONE_STEP, size), pair_set(pairs)
        objectives = [objective_of(stage, student_model(options), teacher_model("minilm", options)) for _ in range(2)]
        session = Session(stage, objectives[0], examples, pairs.tokens)
        dynamic = Dynamic(objectives[1], examples, pairs, size)
        variants = [
            Variant("random", f"random batches of {size}, each padded to its longest, fused AdamW", dynamic.seconds),
            Variant("buckets", f"the trainer, batches of {size}", partial(session.seconds_per_token, 4)),
        ]
        times = interleave(variants, options.rounds)
        note = f"fp32, MiniLM teacher, one step; over {variants[0].setting}"
        yield times.row("length buckets over random dynamic padding", "buckets", "random", Goal(at_least=1.8), note)
        for name, ways in {"pairs": 1, "triples": 2, "lists of 4": 4}.items():
            share = padding_share(pairs, ways, size // ways)
            goal = Goal(at_most=5.0)
            yield Row(f"padding of an epoch of {name}", Spread.of([100 * share]), "%", goal, f"{size} pairs a step")


@dataclass
class Dynamic:
    """An objective trained on random batches, each a single forward pass."""

    objective: Objective
    examples: TrainingSet
    pairs: Pairs
    size: int

    def __post_init__(self) -> None:
        parameters = [parameter for parameter in self.objective.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(parameters, lr=1e-5, eps=1e-6, fused=True)
        self._rng = np.random.default_rng(7)

    def seconds(self, turn: int) -> float:
        """Take a step and return its seconds per token that is no padding."""
        rows = self._rng.choice(len(self.examples), self.size, replace=False)
        start = now()
        batch = batch_of(self.pairs.tokens.batch(rows, rows))
        assert isinstance(batch, TokenBatch)
        lengths = batch.attention_mask.sum(1)
        counts = Counts(len(rows), len(rows), int(lengths.sum()), int(lengths.square().sum()))
        labels = torch.from_numpy(self.examples.labels[rows].ravel())
        self.objective.train()
        self.objective([LengthBucket(batch, labels, torch.arange(len(rows)))], 1, counts)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.objective.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return (now() - start) / counts.tokens


def padding_share(pairs: Pairs, ways: int, batch_size: int) -> float:
    """Return which share of the tokens of an epoch is padding, as the trainer cuts it."""
    examples = pair_set(pairs, ways)
    lengths = pairs.tokens.lengths(examples.queries.ravel(), examples.passages.ravel()).reshape(-1, ways)
    real = padded = 0
    for batch in Schedule(lengths.max(axis=1), batch_size, 1).epoch(0):
        own = lengths[batch].ravel()
        for group in length_buckets(own):
            real += int(own[group].sum())
            padded += int(own[group].max()) * len(group)
    return 1 - real / padded
