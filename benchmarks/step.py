"""One-step distillation: the product's step over the original way's, for two teachers, passages and documents."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import original
from benchmarks.harness import Goal, Options, Row, Times, Variant, interleave
from benchmarks.original import Original
from benchmarks.texts import DOCUMENTS, PASSAGES, Lengths, make_pairs
from benchmarks.workload import (
    ONE_STEP,
    Session,
    Teacher,
    objective_of,
    pair_set,
    stage_of,
    student_model,
    teacher_model,
)
from distilkit.training.objective import Objective
from distilkit.training.precision import Precision

BATCH = 32
EXAMPLES = 1600
# (text, teacher, precision): at least so many times the original way.
GOALS: dict[tuple[str, Teacher, Precision], Goal] = {
    ("passages", "minilm", "fp32"): Goal(at_least=3.5),
    ("passages", "minilm", "bf16"): Goal(at_least=9.0),
    ("passages", "bert_base", "bf16"): Goal(at_least=11.0),
    ("documents", "minilm", "fp32"): Goal(at_least=1.4),
    ("documents", "minilm", "bf16"): Goal(at_least=3.8),
}
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
# Steps a round, from the epoch's shortest batches to its longest.
STEPS = {("passages", "minilm"): 4, ("passages", "bert_base"): 2, ("documents", "minilm"): 1}
TEXTS: dict[str, Lengths] = {"passages": PASSAGES, "documents": DOCUMENTS}


def passages(options: Options) -> Iterator[Row]:
    """One-step distillation over the original way: MiniLM teacher, passages of 86 word pieces."""
    yield from _rows(options, "passages", "minilm")


def bert_base(options: Options) -> Iterator[Row]:
    """The same with a teacher of BERT-base's size."""
    yield from _rows(options, "passages", "bert_base")


def documents(options: Options) -> Iterator[Row]:
    """The same with a MiniLM teacher and documents of 256 word pieces."""
    yield from _rows(options, "documents", "minilm")


def _rows(options: Options, text: str, teacher: Teacher) -> Iterator[Row]:
    times = measure(options, text, teacher)
    for precision in PRECISIONS:
        note = f"{times.variants[precision].setting}; A: {original.SETTING}"
        goal = GOALS.get((text, teacher, precision))
        yield times.row(f"one-step distil, {text}, {teacher} teacher, {precision} over A", precision, "A", goal, note)


def measure(options: Options, text: str, teacher: Teacher) -> Times:
    """Interleave the original way with the product in both precisions."""
    size = 8 if options.quick else BATCH
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), 40 if options.quick else EXAMPLES, TEXTS[text])
        stage, examples = stage_of(ONE_STEP, size), pair_set(pairs)

        def objective(half: bool = False) -> Objective:
            return objective_of(stage, student_model(options, teacher), teacher_model(teacher, options, half))

        old = Original(objective(), examples, pairs.tokens, size)
        variants = [Variant("A", original.SETTING, lambda turn: old.seconds_per_token(), "default")]
        for precision in PRECISIONS:
            session = Session(stage, objective(precision == "bf16"), examples, pairs.tokens, precision)
            setting = f"the trainer in {precision}, batches of {size} of like length"
            variants.append(Variant(precision, setting, partial(session.seconds_per_token, STEPS[text, teacher])))
        return interleave(variants, options.rounds)
