"""Training on one core: the product's step against the original way's, random batches, two steps, and no teacher."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks import original
from benchmarks.harness import Goal, Options, Row, Spread, Times, Variant, interleave, now
from benchmarks.original import Original
from benchmarks.texts import DOCUMENTS, PASSAGES, Lengths, Pairs, drawn_pairs
from benchmarks.workload import (
    FINE_TUNE,
    ONE_STEP,
    SCORES,
    Teacher,
    last_stage,
    objective,
    pair_set,
    session,
    stages,
    teacher_model,
    whole,
)
from distilkit.data.batches import Schedule, length_buckets
from distilkit.data.internals import InternalsStore
from distilkit.models.batch import TokenBatch, batch_of
from distilkit.models.layer_map import uniform_layer_map
from distilkit.pipeline.teacher_internals import keep_internals
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import Objective
from distilkit.training.precision import Precision
from distilkit.training.step_loader import LengthBucket, TrainingSet

BATCH, QUICK_BATCH = 32, 4
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


def step(options: Options) -> Iterator[Row]:
    """One-step distillation over the original way: MiniLM teacher, passages of 86 word pieces."""
    yield from _over_original(options, "passages", "minilm")


def step_base(options: Options) -> Iterator[Row]:
    """The same with a teacher of BERT-base's size."""
    yield from _over_original(options, "passages", "bert_base")


def step_documents(options: Options) -> Iterator[Row]:
    """The same with a MiniLM teacher and documents of 256 word pieces."""
    yield from _over_original(options, "documents", "minilm")


def _over_original(options: Options, text: str, teacher: Teacher) -> Iterator[Row]:
    times = _times_over_original(options, text, teacher)
    for precision in PRECISIONS:
        note = f"{times.variants[precision].setting}; A: {original.SETTING}"
        goal = GOALS.get((text, teacher, precision))
        yield times.row(f"one-step distil, {text}, {teacher} teacher, {precision} over A", precision, "A", goal, note)


def _times_over_original(options: Options, text: str, teacher: Teacher) -> Times:
    """Interleave the original way with the product in both precisions."""
    size = QUICK_BATCH if options.quick else BATCH
    with drawn_pairs(options, quick=40, lengths=TEXTS[text]) as pairs:
        stage = last_stage(ONE_STEP, size)
        old = Original(objective(options, stage, teacher, like=teacher), pair_set(pairs), pairs.tokens, size)
        variants = [Variant("A", original.SETTING, lambda turn: old.seconds_per_token(), "default")]
        for precision in PRECISIONS:
            one = session(options, stage, pairs, teacher, like=teacher, precision=precision)
            setting = f"the trainer in {precision}, batches of {size} of like length"
            variants.append(Variant(precision, setting, partial(one.seconds_per_token, STEPS[text, teacher])))
        return interleave(variants, options.rounds)


def buckets(options: Options) -> Iterator[Row]:
    """Batches of like length over random ones padded to their longest, and the share of padding in an epoch."""
    size = QUICK_BATCH if options.quick else BATCH
    with drawn_pairs(options) as pairs:
        stage = last_stage(ONE_STEP, size)
        ours = session(options, stage, pairs, "minilm")
        dynamic = Dynamic(objective(options, stage, "minilm"), pair_set(pairs), pairs, size)
        variants = [
            Variant("random", f"random batches of {size}, each padded to its longest, fused AdamW", dynamic.seconds),
            Variant("buckets", f"the trainer, batches of {size}", partial(ours.seconds_per_token, 4)),
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
        """Take a step and return its seconds per token that is not padding."""
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


def ranker_distill(options: Options) -> Iterator[Row]:
    """Steps on cached and on online teacher scores over plain fine-tuning."""
    size = QUICK_BATCH if options.quick else BATCH
    with drawn_pairs(options) as pairs:
        scored = last_stage(SCORES, size)
        sessions = {
            "fine-tuning": session(options, last_stage(FINE_TUNE, size), pairs),
            "cached": session(options, scored, pairs, cached=True),
            "online minilm": session(options, scored, pairs, "minilm"),
            "online bert_base": session(options, scored, pairs, "bert_base"),
        }
        runs = {name: partial(one.seconds_per_token, 3) for name, one in sessions.items()}
        runs["fine-tuning, whole"] = partial(whole, runs["fine-tuning"])
        runs["online minilm, whole"] = partial(whole, runs["online minilm"])
        times = interleave([Variant(name, "the trainer in fp32", one) for name, one in runs.items()], options.rounds)
    note = f"fp32, batches of {size} of like length; both compute the last layer for the first token alone"
    for name, goal in {"cached": 1.1, "online minilm": 1.6, "online bert_base": 4.8}.items():
        value = times.dearer(name, "fine-tuning")
        yield Row(f"ranker distill, {name} teacher scores, over fine-tuning", value, goal=Goal(at_most=goal), note=note)
    value = times.dearer("online minilm, whole", "fine-tuning, whole")
    note = "fp32; both compute the last layer as a whole, as other software does"
    yield Row("the same, online minilm, whole last layers", value, goal=Goal(at_most=1.6), note=note)


def two_steps(options: Options) -> Iterator[Row]:
    """How much of the time of TinyBERT's two steps one step saves, at equal epochs (table 3 of Simplified TinyBERT)."""
    size = QUICK_BATCH if options.quick else BATCH
    (one,) = stages(ONE_STEP, size)
    intermediate, prediction = stages("tinybert", size)[-2:]
    with drawn_pairs(options) as pairs:
        sessions = {
            "one": session(options, one, pairs, "minilm"),
            "intermediate": session(options, intermediate, pairs, "minilm"),
            "prediction": session(options, prediction, pairs, "minilm"),
            "cached": session(options, prediction, pairs, cached=True),
        }
        runs = {name: partial(one.seconds_per_token, 3) for name, one in sessions.items()}
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
        what = "one step saves of two steps' time"
        yield Row(what, Spread.of(saved), "%", goal, f"fp32, MiniLM; second step: {note}")


def internals(options: Options) -> Iterator[Row]:
    """Steps on a teacher's kept internals over steps with the teacher; after how many readings keeping them pays."""
    size = QUICK_BATCH if options.quick else BATCH
    stage, count = last_stage(ONE_STEP, size), 20 if options.quick else 400
    with drawn_pairs(options, count, count) as pairs, TemporaryDirectory() as folder:
        online, teacher = session(options, stage, pairs, "minilm"), teacher_model("minilm", options)
        layers = uniform_layer_map(teacher.num_layers, online.objective.student.num_layers)
        rows, filled = np.arange(count), 0

        def keep(turn: int) -> float:
            nonlocal filled
            filled += 1
            place, keys = Path(folder) / str(filled), (rows << 32) | rows
            place.mkdir()
            start = now()
            keep_internals(place, teacher, pairs.tokens, keys, layers, "float16", "fp32", True, lambda *_: None)
            return (now() - start) / float(pairs.lengths.sum())

        keep(0)
        kept = InternalsStore.open(Path(folder) / "1")
        cached = session(options, stage, pairs, "minilm", internals=kept)
        runs = {"online": online.seconds_per_token, "cached": cached.seconds_per_token}
        variants = [Variant(name, "the trainer in fp32", partial(run, 3)) for name, run in runs.items()]
        times = interleave([*variants, Variant("keeping", "the teacher alone, in fp32", keep)], options.rounds)
    note = f"fp32, MiniLM teacher, one step, batches of {size}; kept in float16"
    yield times.row("a step on kept internals over one with the teacher", "cached", "online", note=note)
    seconds = times.seconds
    pays = [
        keep / (with_it - without)
        for keep, with_it, without in zip(*(seconds[name] for name in ("keeping", "online", "cached")), strict=True)
    ]
    yield Row("readings of a pair after which keeping its internals pays", Spread.of(pays), "", note=note)
    per_pair = kept.layout.bytes(kept.lengths, "float16") / count / 1e6
    yield Row(
        "megabytes of a pair's internals",
        Spread.of([per_pair]),
        " MB",
        note=f"{pairs.lengths.mean():.0f} tokens a pair",
    )
