"""The tiny models that the golden numbers of the released code were computed with."""

import zlib

import torch
from transformers import BertConfig, BertForSequenceClassification

from distilkit.models.cat import BertCat


def fill(module: torch.nn.Module, prefix: str = "") -> None:
    """Give every parameter the values that the golden numbers were computed with."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            name = prefix + name
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            values = 0.6 * torch.sin(0.37 * steps + zlib.crc32(name.encode()) % 1000)
            parameter.copy_((values + name.endswith("LayerNorm.weight")).view_as(parameter))


def filled_bert(layers: int, hidden: int) -> BertCat:
    """Return a float64 BERT with two labels and those values."""
    config = BertConfig(
        vocab_size=40,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=16,
        num_labels=2,
    )
    model = BertForSequenceClassification(config).double()
    fill(model)
    return BertCat(model.eval())
