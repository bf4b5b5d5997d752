"""What a teacher's scores cost in training: computed ahead, or in every step."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Goal, Options, Row, Variant, interleave
from benchmarks.texts import make_pairs
from benchmarks.workload import (
    FINE_TUNE,
    SCORES,
    Session,
    objective_of,
    pair_set,
    stage_of,
    student_model,
    teacher_model,
    whole,
)

BATCH, EXAMPLES = 32, 1600


def run(options: Options) -> Iterator[Row]:
    """Steps on cached and on online teacher scores over plain fine-tuning."""
    size, count = (8, 80) if options.quick else (BATCH, EXAMPLES)
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)

        def session(strategy: str, teacher: str | None = None, cached: bool = False) -> Session:
            stage = stage_of(strategy, size)
            taught = None if teacher is None else teacher_model(teacher, options)  # type: ignore[arg-type]
            objective = objective_of(stage, student_model(options), taught)
            return Session(stage, objective, pair_set(pairs, cached=cached), pairs.tokens)

        sessions = {
            "fine-tuning": session(FINE_TUNE),
            "cached": session(SCORES, cached=True),
            "online minilm": session(SCORES, "minilm"),
            "online bert_base": session(SCORES, "bert_base"),
        }
        runs = {name: partial(one.seconds_per_token, 3) for name, one in sessions.items()}
        runs["fine-tuning, whole"] = partial(whole, runs["fine-tuning"])
        runs["online minilm, whole"] = partial(whole, runs["online minilm"])
        times = interleave([Variant(name, "the trainer in fp32", one) for name, one in runs.items()], options.rounds)
    note = f"fp32, batches of {size} of like length; both compute the last layer for the first token alone"
    goals = {"cached": 1.1, "online minilm": 1.6, "online bert_base": 4.8}
    for name, goal in goals.items():
        value = times.dearer(name, "fine-tuning")
        yield Row(f"ranker distill, {name} teacher scores, over fine-tuning", value, goal=Goal(at_most=goal), note=note)
    value = times.dearer("online minilm, whole", "fine-tuning, whole")
    note = "fp32; both compute the last layer as a whole, as other software does"
    yield Row("the same, online minilm, whole last layers", value, goal=Goal(at_most=1.6), note=note)
    value = times.over("fine-tuning", "fine-tuning, whole")
    yield Row("fine-tuning: last layer for the first token alone over the whole layer", value, note="fp32")
