"""The product's trainer on the benchmarks' pairs, one optimiser step at a time."""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.harness import Options, now
from benchmarks.texts import MINILM, Integers, Pairs
from distilkit.data.batches import Schedule
from distilkit.data.internals import Internals
from distilkit.models.attention import whole_layers
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.initialise import student_from
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.projection import Projections
from distilkit.models.references import local_folder
from distilkit.pipeline.reporter import Reporter
from distilkit.settings import TrainSettings
from distilkit.strategies import Stage, parse_strategy
from distilkit.training.objective import Objective
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes
from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

Teacher = Literal["minilm", "bert_base"]
SHAPE, QUICK_SHAPE = "L3_H384", "L3_H24"
ONE_STEP = "simplified_tinybert"
FINE_TUNE = "fine_tune"
SCORES = "standard_kd(alpha=1.0)"


def teacher_model(kind: Teacher, options: Options, half: bool = False) -> BertCat:
    """Return a frozen teacher: MiniLM with a head drawn at random, BERT-base with random weights, or a tiny one."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if half else torch.float32
    if options.quick:
        config = BertConfig(hidden_size=48, num_hidden_layers=6, num_attention_heads=12, intermediate_size=96)
        config.num_labels = 1
        model = BertCat(BertForSequenceClassification(config).to(dtype))
    elif kind == "minilm":
        model = load_cat(local_folder(MINILM), num_labels=1, dtype=dtype)
    else:
        config = BertConfig(num_labels=1)
        model = BertCat(BertForSequenceClassification(config).to(dtype))
    return model.eval().requires_grad_(False)


def student_model(options: Options, teacher: Teacher = "minilm", architecture: str = "bert_cat") -> Any:
    """Return a student L3_H384 with random weights, without dropout."""
    torch.manual_seed(1)
    shape = QUICK_SHAPE if options.quick else SHAPE
    source = teacher_model(teacher, options)
    return student_from(source, architecture=architecture, shape=shape, start="random", dropout=0.0)


def stages(strategy: str, batch_size: int, **train: Any) -> tuple[Stage, ...]:
    """Return the stages of a strategy, with a constant learning rate."""
    settings: dict[str, Any] = {"learning_rate": 1e-5, "lr_scheduler_type": "constant", "max_steps": 10**6} | train
    return tuple(parse_strategy(strategy).stages(TrainSettings(per_device_train_batch_size=batch_size, **settings), 1))


def last_stage(strategy: str, batch_size: int, **train: Any) -> Stage:
    """Return the last stage of a strategy."""
    return stages(strategy, batch_size, **train)[-1]


def objective(
    options: Options,
    stage: Stage,
    teacher: Teacher | None = None,
    half: bool = False,
    architecture: str = "bert_cat",
    like: Teacher = "minilm",
) -> Objective:
    """Return a new student's objective, shaped like a teacher's, beside a teacher in bfloat16 with `half`."""
    student = student_model(options, like, architecture)
    return objective_of(stage, student, None if teacher is None else teacher_model(teacher, options, half))


def session(
    options: Options,
    stage: Stage,
    pairs: Pairs,
    teacher: Teacher | None = None,
    *,
    cached: bool = False,
    ways: int = 1,
    architecture: str = "bert_cat",
    like: Teacher = "minilm",
    tokens: Any = None,
    precision: Precision = "fp32",
    internals: Internals | None = None,
) -> "Session":
    """Return a new student's session on some pairs; tokens are those of the pairs unless others are given."""
    made = objective(options, stage, teacher, precision == "bf16", architecture, like)
    if internals is not None:
        made._teacher.clear()  # whose part they take
    read, shared = tokens if tokens is not None else pairs.tokens, ways > 1
    return Session(stage, made, pair_set(pairs, ways, cached), read, precision, shared, internals)


def objective_of(stage: Stage, student: Any, teacher: BertCat | None) -> Objective:
    """Return a student's objective, with projections where it learns from internals."""
    if teacher is None or not stage.uses_internals:
        return Objective(stage, student, teacher, None, None)
    torch.manual_seed(2)
    projections = Projections(student.hidden_size, teacher.hidden_size, student.num_layers + 1)
    layers = uniform_layer_map(teacher.num_layers, student.num_layers)
    return Objective(stage, student, teacher, projections, layers)


def pair_set(pairs: Pairs, ways: int = 1, cached: bool = False) -> TrainingSet:
    """Return every pair, or lists of a query with `ways` passages, labelled by turns; `cached` adds teacher scores."""
    count = len(pairs.queries) // ways * ways
    passages = np.arange(count).reshape(-1, ways)
    queries = np.repeat(passages[:, :1], ways, axis=1)
    labels = passages % 2 if ways == 1 else np.tile(np.arange(ways) == 0, (len(passages), 1)).astype(np.int64)
    targets = np.random.default_rng(0).normal(size=passages.shape).astype(np.float32) if cached else None
    return TrainingSet(queries, passages, labels, targets)


def whole(run: Callable[[int], float], turn: int) -> float:
    """Do some work with last layers computed as a whole, as other software computes them."""
    with whole_layers():
        return run(turn)


@dataclass
class Session:
    """A trainer whose steps are taken here and there in an epoch, so that a few of them have its mix of lengths.

    With `shared_query`, a list's query, which is encoded once, counts once among its tokens.
    """

    stage: Stage
    objective: Objective
    examples: TrainingSet
    tokens: Any
    precision: Precision = "fp32"
    shared_query: bool = False
    internals: Internals | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="distilkit-benchmark-")))

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.trainer = Trainer(
            stage=self.stage,
            objective=self.objective,
            examples=self.examples,
            tokens=self.tokens,
            precision=self.precision,
            processes=Processes(),
            reporter=Reporter(quiet=True),
            checkpoints=self.folder,
            validate=lambda student: {},
            metric="nDCG@10",
            label="benchmark",
            internals=self.internals,
        )

    @cached_property
    def _lengths(self) -> Integers:
        lengths: Integers = self.tokens.lengths(self.examples.queries.ravel(), self.examples.passages.ravel())
        return lengths.reshape(self.examples.queries.shape)

    @cached_property
    def take_step(self) -> Callable[[], dict[str, float]]:
        """The trainer's step."""
        return self.trainer.prepared()

    @cached_property
    def batches(self) -> list[Integers]:
        """The first epoch's batches, in the trainer's order."""
        size = self.stage.train.per_device_train_batch_size
        return list(Schedule(self._lengths.max(axis=1), size, self.stage.seed).epoch(0))

    def spread(self, count: int, turn: int) -> list[int]:
        """Return steps of the first epoch, evenly from its shortest batches to its longest; others in other turns."""
        by_length = sorted(range(len(self.batches)), key=lambda step: float(self._lengths[self.batches[step]].mean()))
        parts = np.array_split(np.array(by_length), count)
        return [int(part[turn % len(part)]) for part in parts]

    def seconds_per_token(self, count: int, turn: int) -> float:
        """Take some steps and return their seconds per token that is not padding."""
        steps, take_step = self.spread(count, turn), self.take_step
        seconds, tokens = 0.0, 0
        for step in steps:
            self.trainer.state.step = step
            start = now()
            take_step()
            seconds += now() - start
            tokens += self._tokens(self.batches[step])
        return seconds / tokens

    def _tokens(self, batch: Integers) -> int:
        tokens = int(self._lengths[batch].sum())
        if self.shared_query:
            tokens -= int(self.tokens.queries.lengths(self.examples.queries[batch][:, 1:].ravel()).sum())
        return tokens
