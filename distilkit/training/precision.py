"""Which number format a device computes in."""

import time
from functools import cache
from typing import Literal

import torch

from distilkit.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]

# Casts cost something too.
WORTH_IT = 1.2
ROUNDS = 20


def choose_precision(bf16: bool | str, fp16: bool, device: torch.device) -> Precision:
    """Return the precision for a device; "auto" takes bfloat16 where the hardware multiplies it faster than float32.

    Raises UserError for float16 without a GPU.
    """
    if fp16:
        if device.type != "cuda":
            raise UserError("[train] fp16 = true needs a GPU; this machine has none: use bf16 or neither")
        return "fp16"
    if bf16 is True or (bf16 == "auto" and _fast_bf16(device)):
        return "bf16"
    return "fp32"


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Return the dtype of autocast, None for plain float32."""
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return bool(supported) and _measured_speedup() > WORTH_IT


@cache
def _measured_speedup() -> float:
    """Return how many times as fast bfloat16 multiplies as float32 here, in some 20 ms.

    Measured, because the processor's flags do not tell: with the same AVX512-BF16 one multiplies twice as fast, another
    half as fast. The best of interleaved rounds, so that other work on the machine does not decide.
    """
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    sides = {dtype: (torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)) for dtype in best}
    with torch.no_grad():
        for _ in range(ROUNDS):
            for dtype, (left, right) in sides.items():
                start = time.perf_counter()
                torch.nn.functional.linear(left, right)
                best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.float32] / best[torch.bfloat16]
