"""The parts of a session, each a process of its own: `python -m benchmarks.gpu_session.parts NAME --output FOLDER`.

A part appends its figures to `FOLDER/NAME.jsonl` as they come, so that one that is cut off leaves what it had.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_session.world import DRY, FULL, MINILM, Combination, combinations, recipe, write_collection
from benchmarks.harness import Goal, Row, Spread

# How far a loss may lie from the CPU's in fp32, and in bf16, of the CPU's.
CLOSE, ROUGH = 1e-4, 0.05


@dataclass(frozen=True)
class Asked:
    """What a part is to do: where its files go, the teacher, and whether it is a dry run (small, on the CPU)."""

    output: Path
    teacher: str
    dry: bool

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu" if self.dry else "cuda"

    @property
    def collection(self) -> Path:
        """The collection of all parts, written by the first that needs it."""
        folder = self.output / "collection"
        if not (folder / "qrels" / "test.tsv").exists():
            write_collection(folder, DRY if self.dry else FULL)
        return folder


def rates(asked: Asked) -> Iterator[Row]:
    """Name the machine and measure its rates."""
    import torch

    name = torch.cuda.get_device_name() if asked.device == "cuda" else "the CPU (dry run)"
    yield Row(f"torch {torch.__version__} on {name}", Spread.of([1.0]), " device")
    if asked.device == "cuda":
        from benchmarks.gpu import measured_rates

        found = measured_rates(3)
        yield Row("bfloat16 products", Spread.of([found.operations / 1e12]), " TFLOP/s")
        yield Row("copies of memory", Spread.of([found.bytes / 1e9]), " GB/s")


def train(asked: Asked, variant: str, precision: str = "fp32", goal: float | None = None) -> Iterator[Row]:
    """Train every strategy and student for 20 steps, and hold the losses against those that the CPU had."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    keys = {"bf16": precision == "bf16", "torch_compile": variant == "compiled"}
    if variant == "padded":
        import distilkit.training.trainer as trainer

        trainer.packs = lambda *models: False  # type: ignore[assignment]
    few = variant in ("compiled", "padded", "processes")
    for one in list(combinations(asked.dry))[:: 3 if few and not asked.dry else 1]:
        start = time.monotonic()
        losses = _losses(asked, one, variant, keys)
        _keep(asked.output / f"losses-{variant}.json", one.name, losses)
        expected = json.loads((asked.output / "losses-cpu.json").read_text())[one.name]
        gap = max((abs(a - b) / max(1e-3, abs(b)) for a, b in zip(losses, expected, strict=True)), default=0.0)
        note = f"{len(losses)} steps, {time.monotonic() - start:.1f} s; losses end at {losses[-1]:.6g}"
        limit = Goal(at_most=goal) if goal is not None else None
        yield Row(f"{variant} {precision}, {one.name}: losses against the CPU's", Spread.of([gap]), "", limit, note)


def _losses(asked: Asked, one: Combination, variant: str, keys: dict[str, Any]) -> list[float]:
    """Run a combination's recipe and return the loss of every step of its last stage."""
    import distilkit

    size = DRY if asked.dry else FULL
    size = size._replace(batch=size.batch // int(os.environ.get("WORLD_SIZE", "1")))  # the same batch in all
    table = recipe(asked.collection, one, asked.teacher, size, **keys)
    runs = asked.output / f"runs-{variant}"
    finished: Any = distilkit.run(table, runs_dir=runs, resume=True, quiet=True)
    lines = (finished.path / "events.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "train"]
    return [row["values"]["loss"] for row in rows if row["stage"] == rows[-1]["stage"]]


def _keep(path: Path, name: str, losses: list[float]) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, name: losses}))


def kernel(asked: Asked) -> Iterator[Row]:
    """Hold attention transfer that keeps no maps against the plain form: the loss, its gradients, its memory."""
    import torch

    from benchmarks.gpu import maps_loss, memory_rows, random_layer
    from distilkit.packed.transfer import packed_attention_mse

    sequences, length = (4, 32) if asked.dry else (64, 256)
    offsets = torch.arange(sequences + 1, device=asked.device, dtype=torch.int32) * length
    for size in (64, 32):
        student, teacher = (random_layer(one, sequences, length, asked.device) for one in (size, 64))
        for part in (student.query, student.key):
            part.requires_grad_()
        tiled = packed_attention_mse([student], [teacher], offsets, length)
        tiled.backward()
        own = [part.grad.float() for part in (student.query, student.key)]
        for part in (student.query, student.key):
            part.grad = None
        plain = maps_loss(student, teacher, sequences, length)
        plain.backward()
        tiled, plain = tiled.detach(), plain.detach()
        gap = abs(float(tiled - plain)) / abs(float(plain))
        yield Row(f"heads of {size}: the loss against maps, bf16", Spread.of([gap]), "", Goal(at_most=0.02))
        theirs = [part.grad.float() for part in (student.query, student.key)]
        gap = max(float((a - b).norm() / b.norm()) for a, b in zip(own, theirs, strict=True))
        yield Row(f"heads of {size}: the gradients against maps, bf16", Spread.of([gap]), "", Goal(at_most=0.05))
    if not asked.dry:
        yield from memory_rows()


def steps(asked: Asked) -> Iterator[Row]:
    """Time training steps and scoring beside their floors and the original way."""
    if asked.dry:
        return
    from benchmarks.gpu import measured_rates, rerank_rows, step_rows

    yield from rerank_rows(3)
    yield from step_rows(3, 256, measured_rates(3))


def peers(asked: Asked) -> Iterator[Row]:
    """Score passages beside sentence-transformers' CrossEncoder, in turns, with the same weights on the same device."""
    import torch
    from sentence_transformers import CrossEncoder

    import distilkit

    texts = [json.loads(line)["text"] for line in (asked.collection / "corpus.jsonl").read_text().splitlines()]
    texts = (texts * 5)[: 40 if asked.dry else 8000]
    folder = asked.output / "runs-gpu" / "simplified_tinybert-bert_cat" / "model"
    ranker: Any = distilkit.load(folder, device=asked.device)
    peer = CrossEncoder(str(folder), device=asked.device, activation_fn=torch.nn.Identity())
    query = "what is the meaning of this"
    ours, theirs = [], []
    for _ in range(2 if asked.dry else 4):
        start = time.perf_counter()
        own = ranker.score(query, texts)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        found = peer.predict([(query, text) for text in texts], batch_size=256, show_progress_bar=False)
        theirs.append(time.perf_counter() - start)
    gap = float(abs(own.ravel() - found.ravel()).max())
    note = f"CrossEncoder.predict, batch_size=256, fp32; {len(texts) / min(ours):.0f} passages/s ours"
    ratios = [b / a for a, b in zip(ours[1:], theirs[1:], strict=True)]
    yield Row("scoring passages, tokenising too, over sentence-transformers", Spread.of(ratios), "x", note=note)
    yield Row("the largest difference of the scores", Spread.of([gap]), "", Goal(at_most=0.02))


def recipes(asked: Asked, names: Iterable[str], **keys: Any) -> Iterator[Row]:
    """Run shipped recipes as they are, or with larger budgets, and keep their tables."""
    import distilkit

    if asked.dry:
        return
    for name in names:
        start = time.monotonic()
        known = {"teacher.model": asked.teacher, **keys}
        finished: Any = distilkit.run(name, set=known, runs_dir=asked.output / "runs", resume=True, quiet=True)
        yield Row(f"{name}: whole", Spread.of([time.monotonic() - start]), " s")
        for one in finished if isinstance(finished, distilkit.Suite) else [finished]:
            for measure, value in one.measures.items():
                yield Row(f"{name}, {one.name}: {measure}", Spread.of([value]), "")


# What a session does, the most telling part first, and the seconds after which a part is cut off.
PARTS: dict[str, tuple[Callable[[Asked], Iterator[Row]], int]] = {
    "rates": (rates, 60),
    "train-cpu": (partial(train, variant="cpu"), 240),
    "train-gpu": (partial(train, variant="gpu", goal=CLOSE), 120),
    "train-bf16": (partial(train, variant="bf16", precision="bf16", goal=ROUGH), 90),
    "kernel": (kernel, 60),
    "train-padded": (partial(train, variant="padded", goal=CLOSE), 60),
    "train-compiled": (partial(train, variant="compiled", goal=CLOSE), 90),
    "train-processes": (partial(train, variant="processes", goal=10 * CLOSE), 90),
    "steps": (steps, 120),
    "peers": (peers, 60),
    "job": (partial(recipes, names=["simplified_tinybert_full"]), 180),
    "suites": (partial(recipes, names=["simplified_tinybert_table1", "margin_mse_table2"]), 600),
}


def main() -> int:
    """Do a part; 1 where it fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PARTS)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--teacher", default=MINILM)
    parser.add_argument("--dry", action="store_true")
    given = parser.parse_args()
    if given.name == "train-processes":
        share_one_device()
    work, _ = PARTS[given.name]
    # Of several processes the first one writes.
    path = Path(os.devnull) if os.environ.get("RANK", "0") != "0" else given.output / f"{given.name}.jsonl"
    with path.open("a") as file:
        for row in work(Asked(given.output, given.teacher, given.dry)):
            print(json.dumps(row.to_json()), file=file, flush=True)
            print(row.what, row.value.median, row.unit, flush=True)
    return 0


def share_one_device() -> None:
    """Let several processes train on one device, which NCCL refuses: they talk by gloo."""
    import distilkit.training.processes as processes

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        state: Any = processes.PartialState
        processes.PartialState = partial(state, backend="gloo")  # type: ignore[assignment, misc]


if __name__ == "__main__":
    sys.exit(main())
