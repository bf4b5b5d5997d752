"""Losses as plain functions of tensors, usable without anything else of distilkit."""

from distilkit.losses.counts import count_pairs, count_tokens
from distilkit.losses.internals import attention_mse, embedding_mse, hidden_mse
from distilkit.losses.labels import hard_cross_entropy, list_cross_entropy
from distilkit.losses.logits import soft_cross_entropy
from distilkit.losses.registry import LOSSES

__all__ = [
    "LOSSES",
    "attention_mse",
    "count_pairs",
    "count_tokens",
    "embedding_mse",
    "hard_cross_entropy",
    "hidden_mse",
    "list_cross_entropy",
    "soft_cross_entropy",
]
