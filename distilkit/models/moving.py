"""All tensors of a batch moved at once, whatever the batch is made of."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")


def on_device(batch: T, device: torch.device | str) -> T:
    """Return a batch on a device; a GPU copies pinned memory while this thread goes on."""
    asynchronous = torch.device(device).type == "cuda"
    return _changed(batch, lambda tensor: tensor.to(device, non_blocking=asynchronous))


def pinned(batch: T) -> T:
    """Return a batch in memory that a GPU copies by itself."""
    return _changed(batch, Tensor.pin_memory)


def _changed(part: T, change: Callable[[Tensor], Tensor]) -> T:
    """Return a dataclass, or a part of one, with all of its tensors changed, those in tuples too."""
    found: Any = part
    if isinstance(found, Tensor):
        found = change(found)
    elif isinstance(found, tuple):
        found = tuple(_changed(one, change) for one in found)
    elif is_dataclass(found) and not isinstance(found, type):
        found = replace(found, **{one.name: _changed(getattr(found, one.name), change) for one in fields(found)})
    return cast(T, found)
