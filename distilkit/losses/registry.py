"""The terms a stage's objective may have."""

from collections.abc import Callable

from torch import Tensor

from distilkit.losses.internals import attention_mse, embedding_mse, hidden_mse
from distilkit.losses.labels import hard_cross_entropy, list_cross_entropy
from distilkit.losses.list_ranks import adr_mse, lambda_rank
from distilkit.losses.lists import kl_divergence, list_mle, list_net
from distilkit.losses.logits import soft_cross_entropy
from distilkit.losses.pairs import margin_mse, pointwise_mse, ranknet, weighted_ranknet
from distilkit.registry import Registry

LOSSES: Registry[Callable[..., Tensor]] = Registry("loss")

LOSSES.register("attention")(attention_mse)
LOSSES.register("hidden")(hidden_mse)
LOSSES.register("embedding")(embedding_mse)
LOSSES.register("soft")(soft_cross_entropy)
LOSSES.register("hard")(hard_cross_entropy)
LOSSES.register("list")(list_cross_entropy)
LOSSES.register("margin_mse")(margin_mse)
LOSSES.register("pointwise_mse")(pointwise_mse)
LOSSES.register("ranknet")(ranknet)
LOSSES.register("weighted_ranknet")(weighted_ranknet)
LOSSES.register("kl_divergence")(kl_divergence)
LOSSES.register("list_net")(list_net)
LOSSES.register("list_mle")(list_mle)
LOSSES.register("lambda_rank")(lambda_rank)
LOSSES.register("adr_mse")(adr_mse)
