"""Which number format a device computes in."""

from typing import Literal

import torch

from distilkit.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]


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
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
