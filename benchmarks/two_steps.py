"""Simplified TinyBERT's one step against TinyBERT's two, at equal epochs (table 3 of the paper)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Goal, Options, Row, Spread, Variant, interleave
from benchmarks.texts import make_pairs
from benchmarks.workload import ONE_STEP, Session, objective_of, pair_set, student_model, teacher_model, whole
from distilkit.settings import TrainSettings
from distilkit.strategies import parse_strategy

BATCH, EXAMPLES = 32, 1600


def run(options: Options) -> Iterator[Row]:
    """How much of two steps' time one step saves."""
    size, count = (8, 80) if options.quick else (BATCH, EXAMPLES)
    train = TrainSettings(per_device_train_batch_size=size, max_steps=10**6)
    (one,) = parse_strategy(ONE_STEP).stages(train, 1)
    intermediate, prediction = parse_strategy("tinybert").stages(train, 1)[-2:]
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)
        stages = {"one": one, "intermediate": intermediate, "prediction": prediction, "cached": prediction}
        runs = {}
        for name, stage in stages.items():
            teacher = None if name == "cached" else teacher_model("minilm", options)
            objective = objective_of(stage, student_model(options), teacher)
            session = Session(stage, objective, pair_set(pairs, cached=name == "cached"), pairs.tokens)
            runs[name] = partial(session.seconds_per_token, 3)
        runs["prediction, whole"] = partial(whole, runs["prediction"])
        found = interleave([Variant(name, "the trainer in fp32", run) for name, run in runs.items()], options.rounds)
    seconds = found.seconds
    second_steps = {
        "prediction, whole": ("the paper's second step: teacher in every step, whole layers", Goal(at_least=38.0)),
        "prediction": ("the product's, teacher in every step", None),
        "cached": ("the product's, on cached scores", None),
    }
    for name, (note, goal) in second_steps.items():
        two = [a + b for a, b in zip(seconds["intermediate"], seconds[name], strict=True)]
        saved = [100 * (1 - a / b) for a, b in zip(seconds["one"], two, strict=True)]
        yield Row(
            "one step saves of two steps' time", Spread.of(saved), "%", goal, f"fp32, MiniLM; second step: {note}"
        )
