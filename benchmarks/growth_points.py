"""The points of `growth`, each measured in a process of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.growth import STEPS, Point, own_memory
from benchmarks.harness import Options, now
from benchmarks.loading import Timed
from benchmarks.texts import MAX_LENGTH
from benchmarks.workload import (
    ONE_STEP,
    SCORES,
    Session,
    objective_of,
    stage_of,
    student_model,
    teacher_model,
)
from distilkit.data.texts import Texts
from distilkit.data.tokens import PairTemplate, PairTokens, TokenStore
from distilkit.evaluation.rerank import score_pairs
from distilkit.models.initialise import student_from
from distilkit.training.processes import Processes
from distilkit.training.step_loader import TrainingSet

BATCH = 32
# [CLS] query [SEP] passage [SEP] of BERT.
TEMPLATE = PairTemplate(prefix=(101,), middle=(102,), suffix=(102,), types=(0, 0, 0, 1, 1), pad=0, pad_type=0)


def open_tokens(folder: Path) -> PairTokens:
    """Open a collection's tokens, and its texts where it has any."""
    for table in folder.glob("*.arrow"):
        Texts.open(table)
    return PairTokens(TokenStore.open(folder / "queries"), TokenStore.open(folder / "passages"), TEMPLATE, MAX_LENGTH)


def all_pairs(tokens: PairTokens, cached: bool) -> TrainingSet:
    """Return a pair for every passage."""
    count = len(tokens.passages.lengths)
    passages = np.arange(count)[:, None]
    targets = np.zeros((count, 1), np.float32) if cached else None
    return TrainingSet(passages % len(tokens.queries.lengths), passages, passages % 2, targets)


def collection(folder: Path, size: int, quick: bool) -> Point:
    """A collection of some size: steps on cached scores."""
    options = Options(quick=quick)
    student, before, start = student_model(options), own_memory(), now()
    tokens = Timed(open_tokens(folder))
    stage = stage_of(SCORES, BATCH)
    session = Session(stage, objective_of(stage, student, None), all_pairs(tokens.tokens, cached=True), tokens)
    take_step = session.take_step
    take_step()
    opened = now() - start
    tokens.seconds, start = 0.0, now()
    for _ in range(STEPS):
        take_step()
    seconds, data = now() - start, 1000 * tokens.seconds / STEPS
    return Point("collection", size, opened, data, per_1000(seconds, session, 1), own_memory() - before)


def teachers(folder: Path, size: int, quick: bool) -> Point:
    """So many teachers that score the pairs of a batch, one after the other."""
    options, tokens = Options(quick=quick), open_tokens(folder)
    before = own_memory()
    models = [teacher_model("minilm", options) for _ in range(size)]
    rows = np.arange(BATCH)

    def score() -> None:
        for model in models:
            score_pairs(
                model,
                tokens,
                rows % len(tokens.queries.lengths),
                rows,
                batch_size=BATCH,
                precision="fp32",
                processes=Processes(),
                progress=lambda done, total: None,
            )

    score()
    start = now()
    for _ in range(STEPS):
        score()
    read = STEPS * int(tokens.lengths(rows % len(tokens.queries.lengths), rows).sum())
    return Point("teachers", size, None, None, 1e6 * (now() - start) / read, own_memory() - before)


def mapped_layers(folder: Path, size: int, quick: bool) -> Point:
    """A student of so many layers, each mapped to one of MiniLM's six."""
    options, tokens = Options(quick=quick), open_tokens(folder)
    teacher = teacher_model("minilm", options)
    student = student_from(teacher, shape=f"L{size}_H{teacher.hidden_size}", start="random", dropout=0.0)
    stage = stage_of(ONE_STEP, BATCH)
    return _stepped(
        "mapped layers",
        size,
        Session(stage, objective_of(stage, student, teacher), all_pairs(tokens, False), tokens),
        now,
    )


def processes(folder: Path, size: int, quick: bool) -> Point:
    """One step's batch shared by so many processes; here time is what passes, waiting included."""
    from benchmarks.growth import clock

    options, tokens = Options(quick=quick), open_tokens(folder)
    stage = stage_of(ONE_STEP, BATCH // size)
    objective = objective_of(stage, student_model(options), teacher_model("minilm", options))
    return _stepped("processes", size, Session(stage, objective, all_pairs(tokens, False), tokens), clock)


def _stepped(of: str, size: int, session: Session, clock: Callable[[], float]) -> Point:
    before, take_step = own_memory(), session.take_step
    take_step()
    start = clock()
    for _ in range(STEPS):
        take_step()
    return Point(of, size, None, None, per_1000(clock() - start, session, 1), own_memory() - before)


def per_1000(seconds: float, session: Session, first: int) -> float:
    """Return the milliseconds for 1,000 tokens of all processes, of steps that took so long together."""
    tokens = sum(session.trainer.loader(step).counts.tokens for step in range(first, first + STEPS))
    return 1e6 * seconds / tokens


POINTS: dict[str, Callable[[Path, int, bool], Point]] = {
    "collection": collection,
    "teachers": teachers,
    "mapped layers": mapped_layers,
    "processes": processes,
}
