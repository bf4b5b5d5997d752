"""One-step distillation on a GPU: time against the floors and the original way, memory of attention transfer.

    python -m benchmarks.gpu [--rounds 5] [--batch-size 256] [--json FILE]

Needs CUDA, and leaves with 2 without. Nothing here has been measured on a GPU so far. Times are of CUDA events, medians
of rounds; the variants take turns. Rates of the floors are measured first: a bfloat16 product of 8192 x 8192 matrices,
and a copy of 2 GiB.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import floors
from benchmarks.harness import Goal, Options, Row, Spread, use_allocator

SHAPES = ("L6_H768", "L3_H384")
MEMORY_LENGTH, MEMORY_BATCH, HEADS = 512, 128, 12
# Of a student's heads, under heads of 64.
HEAD_SIZES = (64, 32)
EXAMPLES = 4096
DEPTH = 1000
SIDE = 8192
DEVICE = "cuda"


@dataclass(frozen=True)
class Rates:
    """What the chip was seen to do: operations a second in bfloat16, and bytes a second from memory and back."""

    operations: float
    bytes: float


def main() -> int:
    """Measure and print, or say that there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256, help="pairs in a step")
    parser.add_argument("--json", type=Path, help="write the rows to a file too")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("this benchmark needs a CUDA GPU, and torch finds none here", file=sys.stderr)
        return 2
    rates = measured_rates(options.rounds)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    print(f"bfloat16 products {rates.operations / 1e12:.0f} TFLOP/s, copies {rates.bytes / 1e9:.0f} GB/s")
    rows = []
    for row in chain(memory_rows(), step_rows(options.rounds, options.batch_size, rates), rerank_rows(options.rounds)):
        rows.append(row)
        spread = f"{row.value.median:.3g} {row.unit} [{row.value.least:.3g}..{row.value.most:.3g}]"
        reached = "" if row.reached is None else ", reached" if row.reached else ", NOT reached"
        print(f"{row.what}: {spread}{reached}{'; ' if row.note else ''}{row.note}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([row.to_json() for row in rows], indent=1))
    return 0


def measured_rates(rounds: int) -> Rates:
    """Measure the two rates that the floors are divided by."""
    factor = torch.randn(SIDE, SIDE, device=DEVICE, dtype=torch.bfloat16)
    source = torch.empty(2**30, device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    multiply = min(milliseconds(lambda: factor @ factor, 10) for _ in range(rounds + 1))
    copy = min(milliseconds(lambda: target.copy_(source), 10) for _ in range(rounds + 1))
    return Rates(2 * SIDE**3 / multiply * 1e3, 2 * 2**30 / copy * 1e3)


def step_rows(rounds: int, batch_size: int, rates: Rates) -> Iterator[Row]:
    """Time the product's step, as it is and compiled, and the original way, for each student of a random BERT-base."""
    from benchmarks.original import Original
    from benchmarks.texts import make_pairs
    from benchmarks.workload import ONE_STEP, Session, last_stage, objective_of, pair_set

    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), EXAMPLES)
        examples = pair_set(pairs)
        for shape in SHAPES:
            sessions = {}
            for name, compiled in (("as it is", False), ("compiled", True)):
                stage = last_stage(ONE_STEP, batch_size, torch_compile=compiled)
                sessions[name] = Session(stage, objective_of(stage, *models(shape)), examples, pairs.tokens, "bf16")
            # Fewer pairs at once, since all the maps of all of them are kept; what is compared is time a token.
            stage = last_stage(ONE_STEP, min(batch_size, 64))
            objective = objective_of(stage, *models(shape))
            old = Baseline(Original(objective, examples, pairs.tokens, min(batch_size, 64)))
            steps: dict[str, list[Step]] = {"as it is": [], "compiled": [], "A": []}
            for _ in range(rounds + 1):
                # The first step meets what is made once: kernels, checks, the material of its step.
                for name, one in sessions.items():
                    steps[name].append(product_step(one))
                steps["A"].append(old.step())
            steps = {name: taken[1:] for name, taken in steps.items()}
            for name, session in sessions.items():
                yield from rows_of_steps(f"{shape}, {name}", steps[name], steps["A"], session, rates)


@dataclass(frozen=True)
class Step:
    """One step: milliseconds, and the lengths of its sequences."""

    milliseconds: float
    lengths: list[int]

    @property
    def per_token(self) -> float:
        """Milliseconds a token that is not padding."""
        return self.milliseconds / sum(self.lengths)


def rows_of_steps(shape: str, product: list[Step], original: list[Step], session: Any, rates: Rates) -> Iterator[Row]:
    """Return the share of the matrix rate, the ratio to the original way, and the distance to the floors."""
    teacher, student = (floors.Shape.of(model) for model in (session.objective.teacher, session.objective.student))
    work = [floors.step(teacher, student, step.lengths) for step in product]
    limits = [one.seconds(rates.operations, rates.bytes) for one in work]
    share = [100e3 * limit[0] / step.milliseconds for limit, step in zip(limits, product, strict=True)]
    distance = [step.milliseconds / 1e3 / max(limit) for limit, step in zip(limits, product, strict=True)]
    ratio = [old.per_token / new.per_token for old, new in zip(original, product, strict=True)]
    least = " and ".join(
        f"{1e3 * limit:.2f} ms ({name})" for limit, name in zip(limits[0], ("operations", "bytes"), strict=True)
    )
    tokens = Spread.of([1e3 * sum(step.lengths) / step.milliseconds for step in product])
    yield Row(f"{shape}: real tokens a second", tokens, "tokens/s")
    yield Row(f"{shape}: share of the matrix rate, real tokens alone", Spread.of(share), "%", Goal(at_least=40))
    yield Row(f"{shape}: time over the higher floor", Spread.of(distance), "x", note=f"floors of a step: {least}")
    yield Row(f"{shape}: step in bf16 over the original way in bf16", Spread.of(ratio), "x", Goal(at_least=6))


def models(shape: str) -> tuple[Any, Any]:
    """Return a student and a frozen teacher in bfloat16, of BERT-base's size, with random weights."""
    from transformers import BertConfig, BertForSequenceClassification

    from distilkit.models.cat import BertCat
    from distilkit.models.initialise import student_from

    torch.manual_seed(0)
    teacher = BertCat(BertForSequenceClassification(BertConfig(num_labels=1)))
    student = student_from(teacher, architecture="bert_cat", shape=shape, start="random", dropout=0.0)
    return student, teacher.to(DEVICE, torch.bfloat16).eval().requires_grad_(False)


def product_step(session: Any) -> Step:
    """Take the trainer's next step, the whole of it: data, passes, losses, update."""
    rows = session.batches[session.trainer.state.step]
    queries, passages = session.examples.queries[rows].ravel(), session.examples.passages[rows].ravel()
    return Step(milliseconds(session.take_step, 1), session.tokens.lengths(queries, passages).tolist())


@dataclass
class Baseline:
    """The original way under autocast in bfloat16: padded to 256, every map and state kept, loop AdamW."""

    original: Any

    def __post_init__(self) -> None:
        objective = self.original.objective.to(DEVICE)
        trained = [one for one in objective.parameters() if one.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=1e-5, foreach=False, fused=False)
        self._rng = np.random.default_rng(5)

    def step(self) -> Step:
        """Take a step on random pairs."""
        from distilkit.models.batch import on_device

        rows = self._rng.choice(len(self.original.examples), self.original.batch_size, replace=False)
        batch, labels = self.original.batch(rows)

        def take() -> None:
            with torch.autocast(DEVICE, torch.bfloat16):
                loss = self.original.losses(on_device(batch, DEVICE), labels.to(DEVICE))["loss"]
            loss.backward()
            self._optimizer.step()
            self._optimizer.zero_grad()

        return Step(milliseconds(take, 1), batch.attention_mask.sum(dim=1).tolist())


def rerank_rows(rounds: int) -> Iterator[Row]:
    """Compare scoring a query's 1,000 passages without padding with scoring them padded, in bfloat16."""
    import distilkit.evaluation.rerank as scoring
    from benchmarks.texts import make_pairs

    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), DEPTH)
        student = models(SHAPES[-1])[0].to(DEVICE).eval()
        rows, device = np.arange(DEPTH), torch.device(DEVICE)
        passes = scoring.forward_passes(pairs.tokens.lengths(0 * rows, rows), 64, device)

        def score(packed: bool) -> None:
            with torch.no_grad(), scoring.computing("bf16", device):
                for one in passes:
                    scoring.launch_batch(student, pairs.tokens, 0 * one, one, device, packed)

        taken: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds + 1):
            for packed, times in taken.items():
                times.append(milliseconds(lambda packed=packed: score(packed), 1))  # type: ignore[misc]
    ratios = [padded / packed for packed, padded in zip(taken[True][1:], taken[False][1:], strict=True)]
    yield Row(f"{SHAPES[-1]}: re-ranking {DEPTH} passages, packed over padded", Spread.of(ratios), "x")
    speed = Spread.of([1e3 * DEPTH / one for one in taken[True][1:]])
    yield Row(f"{SHAPES[-1]}: re-ranking {DEPTH} passages, packed", speed, "pairs/s")


def memory_rows() -> Iterator[Row]:
    """Compare the peak memory of the attention loss of one layer, for both students."""
    for size in HEAD_SIZES:
        student, teacher = (random_layer(one, MEMORY_BATCH, MEMORY_LENGTH, DEVICE) for one in (size, 64))
        for part in (student.query, student.key):
            part.requires_grad_()
        yield memory_row(f"heads of {size} under heads of 64", student, teacher)


def memory_row(what: str, student: Any, teacher: Any) -> Row:
    """Compare maps with tiles, forward and backward, at 128 sequences of 512 tokens."""
    from distilkit.packed.transfer import packed_attention_mse

    offsets = torch.arange(MEMORY_BATCH + 1, device=DEVICE, dtype=torch.int32) * MEMORY_LENGTH
    eager = peak(lambda: maps_loss(student, teacher, MEMORY_BATCH, MEMORY_LENGTH))
    tiled = peak(lambda: packed_attention_mse([student], [teacher], offsets, MEMORY_LENGTH))
    note = f"{tiled / 2**20:.0f} MiB against {eager / 2**20:.0f} MiB"
    what = f"peak memory of the attention loss over the eager form's, {what}"
    return Row(what, Spread.of([tiled / eager]), "x", Goal(at_most=0.1), note)


def maps_loss(own: Any, taught: Any, sequences: int, length: int) -> Tensor:
    """The eager form: both models' maps of scores, and the product's loss of them."""
    from distilkit.losses import attention_mse

    maps = []
    for query, key, scale in (own, taught):
        whole = [one.view(sequences, length, HEADS, -1).transpose(1, 2) for one in (query * scale, key)]
        maps.append(whole[0] @ whole[1].transpose(2, 3))
    mask = torch.ones(sequences, length, device=own.query.device)
    return attention_mse(maps[:1], maps[1:], mask)


def random_layer(size: int, sequences: int, length: int, device: str) -> Any:
    """Return random queries and keys of a layer in bfloat16."""
    from distilkit.packed.transfer import QueryKey

    shape = (sequences * length, HEADS, size)
    query, key = (torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(2))
    return QueryKey(query, key, size**-0.5)


def attention_memory(options: Options) -> Iterator[Row]:
    """Peak memory, on the CPU, of one layer's loss and gradients: 128 sequences of 512 tokens, 12 heads, bfloat16."""
    from distilkit.packed.transfer import packed_attention_mse

    sequences, length = (4, 256) if options.quick else (MEMORY_BATCH, MEMORY_LENGTH)
    use_allocator("default")  # memory that is given back is what can be measured
    offsets = torch.arange(sequences + 1, dtype=torch.int32) * length
    for size in HEAD_SIZES:
        student, teacher = (random_layer(one, sequences, length, "cpu") for one in (size, 64))
        for part in (student.query, student.key):
            part.requires_grad_()
        maps = cpu_peak(lambda own=student, taught=teacher: maps_loss(own, taught, sequences, length))  # type: ignore[misc]
        tiles = cpu_peak(lambda own=student, taught=teacher: packed_attention_mse([own], [taught], offsets, length))  # type: ignore[misc]
        note = f"{tiles / 2**20:.0f} MiB against {maps / 2**20:.0f} MiB, the gradients among them"
        what = f"peak memory of attention transfer over that of maps, heads of {size} under heads of 64"
        yield Row(what, Spread.of([tiles / maps]), "x", Goal(at_most=0.1), note)
    use_allocator("kept")


def cpu_peak(loss: Callable[[], Tensor]) -> int:
    """Return the most bytes that a loss and its gradients take beyond what the process had."""
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    loss().backward()
    return status("VmHWM") - before


def status(field: str) -> int:
    """Return a field of the process's memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


def peak(loss: Callable[[], Tensor]) -> int:
    """Return the most bytes that a loss and its gradient take beyond what was taken before."""
    loss().backward()  # compilers and libraries take theirs the first time
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss().backward()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Return what the work takes once, by CUDA events."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / times


if __name__ == "__main__":
    sys.exit(main())
