"""What a figure was measured on: processor, its rates, versions, date."""

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import now

PACKAGES = ("torch", "transformers", "sentence-transformers", "accelerate", "numpy")
FLAGS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512_fp16", "avx512f", "avx2")
SIZE = 1536


def machine() -> dict[str, Any]:
    """Return what ran the benchmarks, with the matrix rates of one thread in GFLOP/s."""
    found = processor()
    fp32, bf16 = matrix_rate(torch.float32), matrix_rate(torch.bfloat16)
    return {
        "date": date.today().isoformat(),
        "processor": found.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in found.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gflops_fp32": round(fp32),
        "gflops_bf16": round(bf16),
        "bf16_over_fp32": round(bf16 / fp32, 2),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def processor() -> dict[str, str]:
    """Return what Linux says of the first processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = (line.partition(":") for line in path.read_text().partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def matrix_rate(dtype: torch.dtype) -> float:
    """Return the GFLOP/s of a linear map of a BERT's size, the best of some rounds."""
    inputs, weights = torch.randn(2048, 384).to(dtype), torch.randn(SIZE, 384).to(dtype)
    best = float("inf")
    with torch.no_grad():
        for _ in range(10):
            start = now()
            torch.nn.functional.linear(inputs, weights)
            best = min(best, now() - start)
    return 2 * 2048 * 384 * SIZE / best / 1e9


def in_words(found: dict[str, Any]) -> str:
    """Return the machine as lines of text."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['date']}: {found['processor']} ({', '.join(found['flags']) or 'no known flags'}), "
        f"{found['threads']} thread, fp32 {found['gflops_fp32']} and bf16 {found['gflops_bf16']} GFLOP/s "
        f"(bf16 {found['bf16_over_fp32']} times fp32)\n{versions}"
    )
