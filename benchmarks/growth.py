"""How cost grows with the collection, the teachers, the mapped layers and the processes.

    python -m benchmarks growth [--quick] [--plot FILE.svg]

Every size of a collection is opened in a process of its own, which trains L3_H384 on cached scores of pairs drawn from
all of it: seconds until the first step is done, milliseconds in which a step reads its data, milliseconds of a step for
1,000 tokens that are not padding (steps are of batches of like length, and so of unequal size), and the memory that is
the process's own (mapped files left out). Up to a million passages the tokens are those of texts written and opened as
a collection's are; ten million are generated token ids. Two processes share a batch by way of torch.distributed, on a
core each where there are two.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Options, now
from benchmarks.loading import Timed
from benchmarks.texts import MAX_LENGTH
from benchmarks.workload import (
    ONE_STEP,
    SCORES,
    Session,
    last_stage,
    objective,
    objective_of,
    student_model,
    teacher_model,
)
from distilkit.data.texts import Texts, write_texts
from distilkit.data.tokens import PairTokens, Template, TokenStore
from distilkit.evaluation.rerank import score_pairs
from distilkit.models.initialise import student_from
from distilkit.training.processes import Processes
from distilkit.training.step_loader import TrainingSet

BATCH = 32
# [CLS] query [SEP] passage [SEP] of BERT.
TEMPLATE = Template(around=((101,), (102,), (102,)), types=(0, 0, 0, 1, 1), pad=0, pad_type=0)
TEXT_SIZES, ID_SIZES = (10**3, 10**4, 10**5, 10**6), (10**7,)
MEAN_PIECES = 77
STEPS = 10
COLUMNS = ("of", "size", "s to the first step", "ms of data a step", "ms for 1,000 tokens", "MiB of its own")


@dataclass(frozen=True)
class Point:
    """What one size costs; `None` where it was not measured."""

    of: str
    size: int
    open_seconds: float | None = None
    data_ms: float | None = None
    token_ms: float | None = None
    memory_mib: float | None = None


def main() -> int:
    """Measure, print a table and draw it."""
    parser = argparse.ArgumentParser(
        "benchmarks growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny models and the two least sizes")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        worker(given.worker[0], json.loads(given.worker[1]), given.quick)
        return 0
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    points = []
    for point in measured(given.quick):
        points.append(point)
        cells = (point.open_seconds, point.data_ms, point.token_ms, point.memory_mib)
        shown = " | ".join("–" if cell is None else f"{cell:.4g}" for cell in cells)
        print(f"| {point.of} | {point.size:,} | {shown} |", flush=True)
    if given.plot is not None:
        draw(points, given.plot)
    return 0


def measured(quick: bool) -> Iterator[Point]:
    """Yield every point."""
    sizes = TEXT_SIZES[:2] if quick else (*TEXT_SIZES, *ID_SIZES)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            place = Path(folder) / str(size)
            write_collection(place, size, with_text=size in TEXT_SIZES)
            yield from started("collection", {"folder": str(place), "size": size}, quick)
        for count in (1, 2, 4):
            yield from started("teachers", {"folder": str(Path(folder) / str(sizes[0])), "size": count}, quick)
        for layers in (1, 2, 3, 6):
            yield from started("mapped layers", {"folder": str(Path(folder) / str(sizes[0])), "size": layers}, quick)
        for count in (1, 2):
            asked = {"folder": str(Path(folder) / str(sizes[0])), "size": count}
            yield from started("processes", asked, quick, processes=count)


def started(of: str, asked: dict[str, Any], quick: bool, processes: int = 1) -> Iterator[Point]:
    """Measure a point in a fresh process, or in several that train together."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    command = [sys.executable, *launch, "-m", "benchmarks.growth", "--worker", of, json.dumps(asked)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *(["--quick"] if quick else [])], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    yield Point(**json.loads(done.stdout.strip().splitlines()[-1]))


def write_collection(folder: Path, size: int, with_text: bool) -> None:
    """Write a collection's token stores, of generated ids, and for the smaller ones its texts."""
    rng = np.random.default_rng(size)
    for name, count, mean in (("queries", max(100, size // 100), 9), ("passages", size, MEAN_PIECES)):
        place = folder / name
        place.mkdir(parents=True)
        lengths = rng.gamma(6.8, mean / 6.8, count).astype(np.int64).clip(3, 200)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.lib.format.open_memmap(place / "tokens.npy", "w+", np.int32, (int(starts[-1]),))
        for at in range(0, len(tokens), 10**7):
            tokens[at : at + 10**7] = rng.integers(1000, 30000, len(tokens[at : at + 10**7]), np.int32)
        tokens.flush()
        np.save(place / "starts.npy", starts)
        np.save(place / "lengths.npy", lengths)
        if with_text:
            words = " ".join(["passage"] * 56)
            write_texts(folder / f"{name}.arrow", ((str(row), words) for row in range(count)))


def worker(of: str, asked: dict[str, Any], quick: bool) -> None:
    """Measure one point and print it as a line of JSON."""
    from benchmarks.__main__ import one_thread

    one_thread()
    point = POINTS[of](Path(asked["folder"]), asked["size"], quick)
    if int(os.environ.get("RANK", "0")) == 0:
        print(json.dumps(asdict(point)), flush=True)


def own_memory() -> float:
    """Return the MiB that are this process's own: what it maps of files is not counted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


LABELS = {
    "token_ms": "ms for 1,000 tokens",
    "memory_mib": "MiB of its own",
    "open_seconds": "s to the first step",
    "data_ms": "ms of data a step",
}


def draw(points: list[Point], path: Path) -> None:
    """Draw every cost against each size: collections by powers of ten, all else from zero."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(point.of for point in points))
    figure = Figure(figsize=(3.4 * len(kinds), 3.4), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        own = [point for point in points if point.of == kind]
        for field, label in LABELS.items():
            values = [(point.size, getattr(point, field)) for point in own if getattr(point, field) is not None]
            if values:
                axes.plot(*zip(*values, strict=True), marker="o", label=label)
        if kind == "collection":
            axes.set(xscale="log", yscale="log", xlabel="passages of the collection")
            axes.legend(fontsize=8)
        else:
            axes.set(xlabel=kind, xticks=[point.size for point in own], ylim=(0, None))
    figure.savefig(path)


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
    stage = last_stage(SCORES, BATCH)
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
    stage = last_stage(ONE_STEP, BATCH)
    one = Session(stage, objective_of(stage, student, teacher), all_pairs(tokens, False), tokens)
    return _stepped("mapped layers", size, one, now)


def processes(folder: Path, size: int, quick: bool) -> Point:
    """One step's batch shared by so many processes, which wait for each other: time is what passes."""
    options, tokens = Options(quick=quick), open_tokens(folder)
    stage = last_stage(ONE_STEP, BATCH // size)
    one = Session(stage, objective(options, stage, "minilm"), all_pairs(tokens, False), tokens)
    return _stepped("processes", size, one, time.perf_counter)


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


if __name__ == "__main__":
    sys.exit(main())
