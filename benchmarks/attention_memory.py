"""Peak memory of attention transfer: scores a tile at a time against maps of all of them, here on a CPU."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import gpu
from benchmarks.allocator import use_allocator
from benchmarks.harness import Goal, Options, Row, Spread
from distilkit.packed.transfer import packed_attention_mse

# Of a student's heads, under heads of 64.
SIZES = (64, 32)


def run(options: Options) -> Iterator[Row]:
    """One layer's loss and its gradients, of 128 sequences of 512 tokens with 12 heads in bfloat16."""
    sequences, length = (4, 256) if options.quick else (gpu.MEMORY_BATCH, gpu.MEMORY_LENGTH)
    use_allocator("default")  # memory that is given back is what can be measured
    offsets = torch.arange(sequences + 1, dtype=torch.int32) * length
    for size in SIZES:
        student, teacher = (gpu.random_layer(one, sequences, length, "cpu") for one in (size, 64))
        for part in (student.query, student.key):
            part.requires_grad_()
        maps = peak(lambda own=student, taught=teacher: gpu.maps_loss(own, taught, sequences, length))  # type: ignore[misc]
        tiles = peak(lambda own=student, taught=teacher: packed_attention_mse([own], [taught], offsets, length))  # type: ignore[misc]
        note = f"{tiles / 2**20:.0f} MiB against {maps / 2**20:.0f} MiB, the gradients among them"
        what = f"peak memory of attention transfer over that of maps, heads of {size} under heads of 64"
        yield Row(what, Spread.of([tiles / maps]), "x", Goal(at_most=0.1), note)
    use_allocator("kept")


def peak(loss: Callable[[], Tensor]) -> int:
    """Return the most bytes that a loss and its gradients take beyond what the process had."""
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    loss().backward()
    return status("VmHWM") - before


def status(field: str) -> int:
    """Return a field of the process's memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))
