"""One query's 100 candidates, from their texts to their scores: sentence-transformers, ours in torch, ours in ONNX."""

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

import distilkit
from benchmarks.harness import Goal, Options, Row, Spread, now, use_allocator
from benchmarks.judged import MEASURE, made_up, trained
from benchmarks.texts import Lengths, Pairs, drawn_pairs, tokenizer
from benchmarks.workload import student_model
from distilkit.models.save import save_ranker
from distilkit.onnx.write import Stored, write_onnx

CANDIDATES, QUERIES = 100, 10
# Word pieces of query and passage together, special tokens included.
CANDIDATE = Lengths(60, 20, 22, 140)
LENGTH = 256
PEERS = ("ST torch fp32", "ST torch bf16")
ONNX: dict[str, Stored] = {"ONNX fp32": "fp32", "ONNX int8": "int8"}


class System(NamedTuple):
    """Something that scores passages for a query, and the allocator that its process would have."""

    score: Callable[[str, list[str]], Any]
    allocator: Any


def serving(options: Options) -> Iterator[Row]:
    """Re-ranking of single queries: the same cross-encoder L3_H384 everywhere, each system in its turn on each query.

    Texts are tokenised by each system, which sorts and batches them as it does by default. Scores of all systems but
    those of fewer bits are held against each other. What is timed are drawn texts; the cross-encoder was trained on the
    built-in collection, whose judged queries tell what each system's numbers cost.
    """
    queries, candidates = (2, 10) if options.quick else (QUERIES, CANDIDATES)
    count = queries * candidates
    with TemporaryDirectory() as folder, drawn_pairs(options, count, quick=count, lengths=CANDIDATE) as pairs:
        work = list(_work(pairs, candidates))
        if options.quick:
            student, judged = student_model(options).eval(), made_up([query for query, _ in work], pairs.passages[:5])
        else:
            student, judged = trained()
        systems, left_out = _systems(student, Path(folder))
        _require_equal(systems, *work[0])
        rounds = [_round(systems, work) for _ in range(-1, options.rounds)][1:]
        effectiveness = {name: judged.effectiveness(system.score) for name, system in systems.items()}
    tokens = float(pairs.lengths.mean())
    size = f"{queries} queries with {candidates} candidates of {tokens:.0f} tokens on the mean"
    note = f"L3_H384, {size}, from texts; processor time of one thread{left_out}"
    for name in systems:
        for what, quantile in (("median", 0.5), ("p95", 0.95)):
            values = [1000 * float(np.quantile(one[name], quantile)) for one in rounds]
            yield Row(f"{name}, {what} of a query", Spread.of(values), " ms", note=note)
            note = ""
    medians = {name: np.array([np.median(one[name]) for one in rounds]) for name in systems}
    note = f"{len(judged.queries)} judged queries, {len(next(iter(judged.passages.values())))} passages each"
    for name, value in effectiveness.items():
        yield Row(f"{name}, {MEASURE}", Spread.of([value]), "", note=note)
        note = ""
    peers = [name for name in systems if name.startswith("ST ")]
    best = min(peers, key=lambda name: float(np.median(medians[name])))
    for name in systems:
        if name not in peers:
            for peer in dict.fromkeys(("ST torch fp32", best)):
                goal = Goal(at_least=1.5) if name == "ONNX int8" and peer == best else None
                row = Row(f"{name} over {peer}", Spread.of((medians[peer] / medians[name]).tolist()), goal=goal)
                yield row


def _systems(student: Any, folder: Path) -> tuple[dict[str, System], str]:
    """Return the systems by name, all around one student, and what is to be said of the peer's that does not load."""
    from sentence_transformers.cross_encoder import CrossEncoder

    saved = folder / "torch"
    save_ranker(student, tokenizer(), saved, max_length=LENGTH)
    systems: dict[str, System] = {}
    for name, dtype in zip(PEERS, (torch.float32, torch.bfloat16), strict=True):
        peer = CrossEncoder(str(saved), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype})
        systems[name] = System(_predict(peer), "default")
    left_out = ""
    try:
        systems["ST ONNX fp32"] = System(_predict(_with_onnx(saved)), "default")
    except Exception as error:  # its packages raise what they like
        left_out = f"; without sentence-transformers' onnx backend: {next(iter(str(error).splitlines()), error)}"
    for name, bf16 in (("torch fp32", False), ("torch bf16", True)):
        systems[name] = System(distilkit.load(saved, device="cpu", bf16=bf16).score, "kept")
    for name, stored in ONNX.items():
        write_onnx(student, tokenizer(), folder / stored, stored, {"max_length": LENGTH}, name)
        systems[name] = System(distilkit.load(folder / stored, device="cpu").score, "kept")
    return systems, left_out


def _with_onnx(folder: Path) -> Any:
    """Return the peer on onnxruntime with one thread, for which it needs optimum."""
    import onnxruntime
    from sentence_transformers.cross_encoder import CrossEncoder

    one = onnxruntime.SessionOptions()
    one.intra_op_num_threads = 1
    given = {"session_options": one, "provider": "CPUExecutionProvider"}
    return CrossEncoder(str(folder), device="cpu", backend="onnx", local_files_only=True, model_kwargs=given)


def _predict(peer: Any) -> Callable[[str, list[str]], Any]:
    return lambda query, passages: peer.predict([(query, one) for one in passages], show_progress_bar=False)


def _work(pairs: Pairs, candidates: int) -> Iterator[tuple[str, list[str]]]:
    for at in range(0, len(pairs.queries), candidates):
        yield pairs.queries[at], pairs.passages[at : at + candidates]


def _round(systems: dict[str, System], work: Sequence[tuple[str, list[str]]]) -> dict[str, list[float]]:
    """Return the seconds of each query in each system."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for query, passages in work:
        for name, system in systems.items():
            use_allocator(system.allocator)
            gc.collect()
            start = now()
            system.score(query, passages)
            seconds[name].append(now() - start)
    use_allocator("kept")
    return seconds


def _require_equal(systems: dict[str, System], query: str, passages: list[str]) -> None:
    """Raise AssertionError where a system in float32 scores otherwise than the others."""
    expected = systems["ST torch fp32"].score(query, passages)
    for name in ("torch fp32", "ONNX fp32"):
        np.testing.assert_allclose(systems[name].score(query, passages), expected, atol=1e-4, rtol=0)
