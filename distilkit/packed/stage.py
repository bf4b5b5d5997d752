"""Which stages can be trained on sequences without padding."""

from typing import Any

import torch

from distilkit.models.layers import FAMILIES, encoder_layers
from distilkit.packed.compiled import compiled_agrees
from distilkit.packed.encoder import can_pack
from distilkit.strategies.stage import Stage


def packs(stage: Stage, student: Any, teacher: Any) -> bool:
    """Return whether a stage's models and losses have packed forms.

    Models are cross-encoders on BERT or DistilBERT, on BERT alone where the head is that of the released code; the
    losses of internals of the released code count padding, and have none.
    """
    if stage.counts_padding:
        return False
    models = [student] if teacher is None else [student, teacher]
    return all(can_pack(model) and (stage.head == "plain" or model.config.model_type == "bert") for model in models)


def compiles(*models: Any) -> bool:
    """Return whether the layers of models that are trained without padding may be compiled on their device.

    What was compiled before is forgotten: a process that trains many students would reach torch's limit of compilations
    of one function, and go on uncompiled.
    """
    torch.compiler.reset()
    given = [model for model in models if model is not None]
    return all(compiled_agrees(FAMILIES[one.config.model_type], encoder_layers(one.encoder)[0]) for one in given)
