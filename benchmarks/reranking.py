"""Re-ranking one query's 1,000 passages: the product's scoring over sentence-transformers' CrossEncoder.predict."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Goal, Options, Row, Variant, interleave, now
from benchmarks.peers import save_for_peers
from benchmarks.texts import Pairs, make_pairs, tokenizer
from benchmarks.workload import student_model
from distilkit.evaluation.rerank import score_pairs
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes

DEPTH, BATCH = 1000, 64


def run(options: Options) -> Iterator[Row]:
    """Both score the same pairs with the same student; ours reads stored tokens, theirs texts."""
    count = 60 if options.quick else DEPTH
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), count)
        student = student_model(options).eval()
        saved = save_for_peers(student, Path(folder) / "student")
        variants = [
            Variant("ST default", "batch_size=32, fp32", partial(_theirs, _peer(saved, {}), pairs), "default"),
            Variant("ST bf16", "batch_size=32, dtype=bfloat16", partial(_theirs, _peer(saved, BF16), pairs), "default"),
            Variant("fp32", f"batches of {BATCH}, fp32, stored tokens", partial(_ours, student, pairs, "fp32")),
            Variant("bf16", f"batches of {BATCH}, bf16, stored tokens", partial(_ours, student, pairs, "bf16")),
            Variant("fp32 with texts", "the same, tokenising first", partial(_with_texts, student, pairs)),
        ]
        times = interleave(variants, options.rounds)
    rows = (
        ("bf16", "ST default", 3.5),
        ("bf16", "ST bf16", 1.3),
        ("fp32", "ST default", 3.5),
        ("fp32", "ST bf16", 1.3),
    )
    for ours, theirs, goal in rows:
        note = f"L3_H384; {times.variants[ours].setting}; predict: {times.variants[theirs].setting}"
        what = f"re-ranking {count} passages, {ours} over CrossEncoder.predict {theirs.removeprefix('ST ')}"
        yield times.row(what, ours, theirs, Goal(goal), note)
    what = f"re-ranking {count} passages, fp32 with tokenising over CrossEncoder.predict default"
    yield times.row(what, "fp32 with texts", "ST default")


BF16 = {"dtype": torch.bfloat16}


def _peer(folder: Path, model: dict[str, Any]) -> Any:
    from sentence_transformers.cross_encoder import CrossEncoder

    return CrossEncoder(
        str(folder), num_labels=1, max_length=256, activation_fn=torch.nn.Identity(), device="cpu", model_kwargs=model
    )


def _theirs(peer: Any, pairs: Pairs, turn: int) -> float:
    start = now()
    peer.predict([(pairs.queries[0], passage) for passage in pairs.passages], show_progress_bar=False)
    return (now() - start) / len(pairs.passages)


def _ours(student: Any, pairs: Pairs, precision: Precision, turn: int) -> float:
    count, start = len(pairs.passages), now()
    score_pairs(
        student,
        pairs.tokens,
        np.zeros(count, np.int64),
        np.arange(count),
        batch_size=BATCH,
        precision=precision,
        processes=Processes(),
        progress=lambda done, total: None,
    )
    return (now() - start) / count


def _with_texts(student: Any, pairs: Pairs, turn: int) -> float:
    start = now()
    tokenizer()(pairs.passages, add_special_tokens=False)
    return (now() - start) / len(pairs.passages) + _ours(student, pairs, "fp32", turn)
