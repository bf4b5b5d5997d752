"""The terms a stage's objective may have."""

from collections.abc import Callable

from torch import Tensor

from distilkit.losses.internals import attention_mse, embedding_mse, hidden_mse
from distilkit.losses.labels import hard_cross_entropy, list_cross_entropy
from distilkit.losses.logits import soft_cross_entropy
from distilkit.registry import Registry

LOSSES: Registry[Callable[..., Tensor]] = Registry("loss")

LOSSES.register("attention")(attention_mse)
LOSSES.register("hidden")(hidden_mse)
LOSSES.register("embedding")(embedding_mse)
LOSSES.register("soft")(soft_cross_entropy)
LOSSES.register("hard")(hard_cross_entropy)
LOSSES.register("list")(list_cross_entropy)
