"""What makes a CPU slow for no gain: giving memory back after every batch, and numbers too small to matter."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# glibc's names for the two thresholds, and the most that it takes for them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Ask glibc to reuse large blocks: by default each is mapped, zeroed by the kernel and unmapped again every step.

    Does nothing where the C library has no mallopt.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, LARGEST)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Take numbers below 1e-38 for 0 inside the block; a CPU computes them a hundred times slower than others.

    A preference that is as good as certain has gradients of that size: a ranker with large scores reaches it soon. This
    is a setting of one thread; `start_flushing_workers` is for the others.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def start_flushing_workers() -> None:
    """Start the threads that share torch's work so that they take such numbers for 0 too, for good.

    A thread has the setting of the one that starts it, which torch does for the first large tensor that it computes.
    """
    with denormals_flushed():
        torch.ones(1 << 20).add_(1)
