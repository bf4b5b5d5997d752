"""The learning rate as a function of the step, equal to transformers' schedules of the same names."""

import math


def learning_rate_factor(kind: str, step: int, warmup: int, total: int) -> float:
    """Return the share of the peak learning rate at a step counted from 0."""
    if kind == "constant":
        return 1.0
    if step < warmup:
        return step / max(1, warmup)
    if kind == "constant_with_warmup":
        return 1.0
    rest = (step - warmup) / max(1, total - warmup)
    if kind == "linear":
        return max(0.0, 1.0 - rest)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * rest)))


def warmup_steps(ratio: float, total: int) -> int:
    """Return the steps of a warm-up, rounded up as transformers does."""
    return math.ceil(ratio * total)
