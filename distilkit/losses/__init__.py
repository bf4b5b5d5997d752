"""Losses as plain functions of tensors, usable without anything else of distilkit."""

from distilkit.losses.contrastive import in_batch_margin_mse, info_nce
from distilkit.losses.internals import attention_mse, count_pairs, count_tokens, embedding_mse, hidden_mse
from distilkit.losses.labels import hard_cross_entropy, list_cross_entropy
from distilkit.losses.lists import adr_mse, count_lists, kl_divergence, lambda_rank, list_mle, list_net, list_ranknet
from distilkit.losses.logits import logit_mse, soft_cross_entropy, soft_kl_divergence, soft_loss
from distilkit.losses.pairs import margin_mse, pointwise_mse, ranknet, weighted_ranknet
from distilkit.losses.relations import relation_kl

__all__ = [
    "adr_mse",
    "attention_mse",
    "count_lists",
    "count_pairs",
    "count_tokens",
    "embedding_mse",
    "hard_cross_entropy",
    "hidden_mse",
    "in_batch_margin_mse",
    "info_nce",
    "kl_divergence",
    "lambda_rank",
    "list_cross_entropy",
    "list_mle",
    "list_net",
    "list_ranknet",
    "logit_mse",
    "margin_mse",
    "pointwise_mse",
    "ranknet",
    "relation_kl",
    "soft_cross_entropy",
    "soft_kl_divergence",
    "soft_loss",
    "weighted_ranknet",
]
