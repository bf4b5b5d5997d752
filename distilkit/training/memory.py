"""Keeping freed memory in the process, where glibc would give it back after every batch."""

import ctypes
import sys

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
