"""The most memory that some work takes: what torch allocates on a GPU, what the process occupies elsewhere."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far; only Linux and GPUs can, elsewhere it stays the process's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError):  # not every container lets a process do so
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Return the peak in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux counts kilobytes here, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_kind(device: torch.device) -> str:
    """Return what the peak counts, in words."""
    return "allocated on the GPU" if device.type == "cuda" else "resident, the process as a whole"
