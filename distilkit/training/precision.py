"""Which number format a device computes in."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from distilkit.errors import UserError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]

# Casts cost something too.
WORTH_IT = 1.2
# A ratio that no other work on the machine explains, however much the times themselves differ.
CLEAR = 2.0
# On an idle machine the bests of two blocks differ by a few percent.
STEADY = 1.5
BLOCKS = 5
ROUNDS = 20
# Seconds between two blocks, so that one burst of other work does not meet them all.
PAUSE = 0.02


@dataclass(frozen=True)
class AutoPrecision:
    """What `bf16 = "auto"` comes to, and why, in words that end a sentence."""

    precision: Literal["fp32", "bf16"]
    why: str

    @classmethod
    def read(cls, value: object) -> "AutoPrecision | None":
        """Return what `to_json` wrote, None for anything else."""
        if not isinstance(value, dict):
            return None
        precision, why = value.get("precision"), value.get("why")
        if precision not in ("fp32", "bf16") or not isinstance(why, str):
            return None
        return cls("bf16" if precision == "bf16" else "fp32", why)

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return asdict(self)


def choose_precision(
    bf16: bool | str,
    fp16: bool,
    device: "torch.device",
    auto: "Callable[[torch.device], AutoPrecision] | None" = None,
) -> Precision:
    """Return the precision for a device; "auto" takes bfloat16 where the hardware multiplies it faster than float32.

    `auto` decides that, by default a measurement of this process. Raises UserError for float16 without a GPU.
    """
    if fp16:
        if device.type != "cuda":
            raise UserError("[train] fp16 = true needs a GPU; this machine has none: use bf16 or neither")
        return "fp16"
    if bf16 == "auto":
        return (auto or auto_precision)(device).precision
    return "bf16" if bf16 is True else "fp32"


def autocast_dtype(precision: Precision) -> "torch.dtype | None":
    """Return the dtype of autocast, None for plain float32."""
    import torch

    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def auto_precision(
    device: "torch.device", measured: Callable[[Sequence[str]], AutoPrecision] | None = None
) -> AutoPrecision:
    """Return what `bf16 = "auto"` comes to on a device.

    A GPU's or processor's features decide where they can. A processor that has bfloat16 units is measured, since with
    the same AVX512-BF16 one multiplies twice as fast, another half as fast; `measured` is asked for that, with the
    names of the units.
    """
    import torch

    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return AutoPrecision("bf16", "this GPU supports it")
        return AutoPrecision("fp32", "this GPU does not support bfloat16")
    units = bf16_units()
    if not units:
        return AutoPrecision("fp32", "this processor has no bfloat16 units")
    return (measured or measured_here)(units)


def bf16_units() -> tuple[str, ...]:
    """Return the names of the processor's units that multiply bfloat16, none for most processors."""
    import torch

    units = {"amx": torch.cpu._is_amx_tile_supported(), "avx512_bf16": torch.cpu._is_avx512_bf16_supported()}
    return tuple(name for name, has in units.items() if has)


@cache
def measured_here(units: Sequence[str]) -> AutoPrecision:
    """Measure this machine, once a process."""
    return judged(best_times())


def judged(times: Sequence[tuple[float, float]]) -> AutoPrecision:
    """Return the precision that measurements speak for: bfloat16 where every block clearly does, else float32.

    `times` are the best seconds of float32 and of bfloat16 in each block.
    """
    ratios = [single / half for single, half in times]
    least, most = min(ratios), max(ratios)
    if most <= WORTH_IT:
        return AutoPrecision("fp32", f"bfloat16 was measured to be at most {most:.2g} times as fast as float32")
    steady = all(max(side) <= STEADY * min(side) for side in zip(*times, strict=True))
    if least > (WORTH_IT if steady else CLEAR):
        return AutoPrecision("bf16", f"bfloat16 was measured to be at least {least:.2g} times as fast as float32")
    return AutoPrecision(
        "fp32",
        f"the measurements vary too much to be trusted, as on a busy machine: bfloat16 was between {least:.2g} and "
        f"{most:.2g} times as fast as float32",
    )


def best_times() -> list[tuple[float, float]]:
    """Return the best seconds of a product in float32 and in bfloat16, of several blocks of interleaved rounds."""
    import torch

    sides = [
        (torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    ]
    found = []
    with torch.no_grad():
        for left, right in sides:  # the first product of a kind also sets its kernel up
            torch.nn.functional.linear(left, right)
        for _ in range(BLOCKS):
            best = [float("inf"), float("inf")]
            for _ in range(ROUNDS):
                for place, (left, right) in enumerate(sides):
                    start = time.perf_counter()
                    torch.nn.functional.linear(left, right)
                    best[place] = min(best[place], time.perf_counter() - start)
            found.append((best[0], best[1]))
            time.sleep(PAUSE)
    return found
