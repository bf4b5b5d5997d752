"""The Margin-MSE paper's BERT_CAT as a classifier of transformers."""

import torch
from torch import Tensor
from transformers import (
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
)

from distilkit.models.checkpoint import WRAPPED, Checkpoint
from distilkit.models.load import load_weights
from distilkit.models.published import HEAD, is_wrapped, published_config
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent


def is_papers_cat(checkpoint: Checkpoint) -> bool:
    """Tell whether a folder holds it in the layout that it was released in."""
    return is_wrapped(checkpoint) and HEAD in checkpoint.shapes


def papers_classifier(checkpoint: Checkpoint, dropout: float | None, dtype: torch.dtype) -> PreTrainedModel:
    """Return it as a sequence classifier of transformers, with the same scores.

    On DistilBERT the released head is a linear map w of the first state, where transformers puts a layer with a ReLU
    before it; since w·x = relu(w·x) - relu(-w·x), two units of that layer make the same score.
    """
    config = published_config(checkpoint)
    config.num_labels = 1
    set_dropout(config, dropout)
    distil = isinstance(config, DistilBertConfig)
    with silent():
        model: PreTrainedModel = (DistilBertForSequenceClassification if distil else BertForSequenceClassification)(
            config
        )
    renamed: dict[str, Tensor] = {}
    for name, weight in checkpoint.weights(dtype).items():
        bare = name.removeprefix(WRAPPED)
        if bare != "embeddings.position_ids":
            head = bare.replace("_classification_layer.", "classifier.")
            renamed[f"{model.base_model_prefix}.{bare}" if head == bare else head] = weight
    if distil:
        head_weight = renamed["classifier.weight"]
        first = torch.zeros(head_weight.shape[1], head_weight.shape[1], dtype=dtype)
        first[0], first[1] = head_weight[0], -head_weight[0]
        second = torch.zeros_like(head_weight)
        second[0, 0], second[0, 1] = 1, -1
        renamed["pre_classifier.weight"], renamed["pre_classifier.bias"] = first, torch.zeros(len(first), dtype=dtype)
        renamed["classifier.weight"] = second
    load_weights(model.to(dtype), renamed, checkpoint.folder)
    return model
