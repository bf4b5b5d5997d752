"""Self-checks: whether a fast implementation agrees with the reference on the device at hand."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Sequences shorter than, as long as and longer than the kernels' tiles.
LENGTHS = (1, 64, 130)
# The largest gap between the tensors, relative to the largest entry.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}

Form = Callable[..., Tensor]


def agree(name: str, fast: Form, plain: Form, inputs: Sequence[Tensor]) -> bool:
    """Return whether two functions of tensors agree in value and gradients; log one line where they do not.

    The plain one computes in float64. A fast one that raises (no compiler, no such hardware) does not agree.
    """
    device, dtype = inputs[0].device, inputs[0].dtype
    try:
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            expected = _value_and_gradients(plain, [one.double() for one in inputs])
            found = _value_and_gradients(fast, inputs)
        gap = max(_gap(one.double(), other) for one, other in zip(found, expected, strict=True))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        # Not `gap > tolerance`, which NaN would pass.
        if gap <= TOLERANCE[dtype]:
            return True
        reason = f"it is off by {gap:.1e}"
    log.warning("%s is not used on %s in %s: %s", name, device, str(dtype).removeprefix("torch."), reason)
    return False


def random_offsets(device: torch.device) -> Tensor:
    """Return where the sequences of a check start, shape `[B + 1]`."""
    return torch.tensor([0, *LENGTHS], device=device).cumsum(0).int()


def random_vectors(count: int, heads: int, size: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """Return tensors `[T, heads, size]` for a check's sequences, without touching the random state of the process."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (sum(LENGTHS), heads, size)
    return [torch.randn(shape, generator=generator, device=device).to(dtype) for _ in range(count)]


def _value_and_gradients(form: Form, inputs: Sequence[Tensor]) -> list[Tensor]:
    leaves = [one.detach().requires_grad_() for one in inputs]
    value = form(*leaves)
    # Unequal weights, so that two wrongs of a sum do not make a right.
    weights = torch.linspace(0.5, 1.5, value.numel(), device=value.device, dtype=value.dtype).view_as(value)
    gradients = torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)
    return [value.detach(), *(one for one in gradients if one is not None)]


def _gap(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())
