"""The C library's allocator as the product sets it, and as any other process has it."""

import ctypes
import sys
from typing import Literal

from distilkit.training.memory import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory

Allocator = Literal["kept", "default"]

# glibc raises its thresholds by itself, up to these, once blocks of 32 MiB have been freed.
DEFAULT_MMAP, DEFAULT_TRIM = 32 << 20, 64 << 20


def use_allocator(which: Allocator) -> None:
    """Keep freed memory in the process, or give large blocks back as glibc does by default; nothing but on Linux."""
    if which == "kept":
        keep_freed_memory()
    elif sys.platform.startswith("linux") and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, DEFAULT_MMAP)
        mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM)
