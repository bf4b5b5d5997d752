"""Training a BERT_CAT on cached teacher scores: the product's trainer over CrossEncoderTrainer."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.harness import Goal, Options, Row, Variant, interleave
from benchmarks.peers import save_for_peers, steps
from benchmarks.texts import Pairs, make_pairs
from benchmarks.workload import SCORES, Session, objective_of, pair_set, stage_of, student_model
from distilkit.training.precision import Precision

BATCH, EXAMPLES, THEIR_STEPS = 16, 1600, 5
# (ours, theirs): at least so many times as fast.
GOALS: dict[tuple[Precision, str], float] = {
    ("bf16", "fp32"): 3.5,
    ("bf16", "bf16"): 2.4,
    ("fp32", "fp32"): 3.5,
    ("fp32", "bf16"): 2.4,
}


def run(options: Options) -> Iterator[Row]:
    """The same model, data and batch size in both."""
    size, count = (8, 80) if options.quick else (BATCH, EXAMPLES)
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)
        student = student_model(options)
        saved = save_for_peers(student, Path(folder) / "student")
        variants = [
            Variant("ST fp32", "MSELoss, identity, defaults", partial(_theirs, saved, pairs, size, {}, {}), "default"),
            Variant(
                "ST bf16",
                "MSELoss, identity, bf16=True, attn_implementation=eager",
                partial(_theirs, saved, pairs, size, {"bf16": True}, {"attn_implementation": "eager"}),
                "default",
            ),
        ]
        stage, examples = stage_of(SCORES, size), pair_set(pairs, cached=True)
        precisions: tuple[Precision, ...] = ("fp32", "bf16")
        for precision in precisions:
            objective = objective_of(stage, student_model(options), None)
            session = Session(stage, objective, examples, pairs.tokens, precision)
            run = partial(session.seconds_per_token, THEIR_STEPS)
            variants.append(Variant(precision, f"the trainer in {precision}, cached scores", run))
        times = interleave(variants, options.rounds)
    for (ours, theirs), goal in GOALS.items():
        name = f"ST {theirs}"
        note = f"L3_H384, batches of {size}; CrossEncoderTrainer: {times.variants[name].setting}"
        yield times.row(f"CAT training, {ours} over CrossEncoderTrainer {theirs}", ours, name, Goal(goal), note)


def _theirs(folder: Path, pairs: Pairs, size: int, trained: dict[str, bool], model: dict[str, str], turn: int) -> float:
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import MSELoss

    rows = np.random.default_rng(turn + 1).choice(len(pairs.queries), (THEIR_STEPS + 1) * size, replace=False)
    columns = {
        "query": [pairs.queries[row] for row in rows],
        "passage": [pairs.passages[row] for row in rows],
        "label": np.zeros(len(rows)).tolist(),
    }
    found = CrossEncoder(
        str(folder), num_labels=1, max_length=256, activation_fn=torch.nn.Identity(), device="cpu", model_kwargs=model
    )
    options = {"per_device_train_batch_size": size, **trained}
    return steps(CrossEncoderTrainer, CrossEncoderTrainingArguments, found, MSELoss(found), columns, **options)
