"""Sizes of the papers' students: parameters of the encoder, and multiply-accumulates of a pair of 256 tokens."""

import pytest
import torch
from transformers import BertConfig, BertModel

from distilkit.models.macs import encoder_macs
from distilkit.models.shape import Shape, reshaped

# Shape, intermediate size, parameters, G multiply-accumulates at length 256.
SIZES = [
    ("L12_H768", 3072, 109_482_240, 22.951),
    ("L6_H768", 3072, 66_955_008, 11.476),
    ("L3_H384", 1536, 17_389_824, 1.510),
    ("L4_H312", 1200, 14_350_248, 1.329),
]


@pytest.mark.parametrize(("shape", "intermediate", "parameters", "macs"), SIZES)
def test_sizes(shape: str, intermediate: int, parameters: int, macs: float) -> None:
    config = reshaped(BertConfig(), Shape.parse(shape))
    assert config.intermediate_size == intermediate
    with torch.device("meta"):
        model = BertModel(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    layers, hidden = config.num_hidden_layers, config.hidden_size
    found = encoder_macs(layers, hidden, intermediate, 256)
    assert round(found / 1e9, 3) == macs
    by_hand = layers * (256 * (4 * hidden**2 + 2 * hidden * intermediate) + 2 * 256**2 * hidden)
    assert found == by_hand


def test_a_wider_feed_forward_layer_would_show() -> None:
    assert round(encoder_macs(3, 384, 1200, 256) / 1e9, 3) != 1.510
    assert round(encoder_macs(12, 768, 3072, 128) / 1e9, 3) != 22.951
