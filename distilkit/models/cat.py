"""BERT_CAT: a transformer that reads query and passage together, and scores them from the first token."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.models.batch import TokenBatch
from distilkit.models.encoder import encoder_inputs
from distilkit.models.first_token import able_to_read_first_token, first_token_alone
from distilkit.models.internals import capture_scores, use_our_attention
from distilkit.models.options import CatOptions
from distilkit.models.sizes import EncoderSizes

Head = Literal["plain", "relu"]


@dataclass(frozen=True)
class Internals:
    """What a forward pass leaves: the logits `[B, C]`, and the attention scores and states that were asked for."""

    logits: Tensor
    attentions: tuple[Tensor, ...] = ()
    states: tuple[Tensor, ...] = ()


class BertCat(EncoderSizes, nn.Module):
    """A cross-encoder around any encoder of transformers with a sequence classification head of one or two labels.

    The score of a pair is the raw logit of a head with one label, and the log-odds z1 - z0 of one with two.

    Nogueira and Cho 2019, Passage Re-ranking with BERT: https://arxiv.org/abs/1901.04085
    """

    inputs: ClassVar[Literal["pair"]] = "pair"
    architecture: ClassVar[str] = "bert_cat"

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.options = CatOptions()
        if model.config.num_labels not in (1, 2):
            raise UserError(f"a ranker's head has 1 or 2 labels, not {model.config.num_labels}")
        self.model = model
        use_our_attention(model)
        able_to_read_first_token(model)

    @property
    def config(self) -> PretrainedConfig:
        """The configuration that transformers keeps."""
        return self.model.config

    @property
    def encoder(self) -> PreTrainedModel:
        """The model below the classification head (BERT's pooler is part of it)."""
        return self.model.base_model

    @property
    def num_labels(self) -> int:
        """The number of logits: 1 or 2."""
        return int(self.config.num_labels)

    def score(self, batch: TokenBatch) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        return self.scores_of(self.logits(batch))

    def scores_of(self, logits: Tensor) -> Tensor:
        """Return the raw score per pair, shape `[B]`, of logits `[B, C]`."""
        return logits[:, -1] - logits[:, 0] if self.num_labels == 2 else logits[:, 0]

    def logits(self, batch: TokenBatch, head: Head = "plain") -> Tensor:
        """Return the head's logits, shape `[B, C]`."""
        return cast(Internals, self(batch, head=head)).logits

    def class_logits(self, logits: Tensor) -> Tensor:
        """Return logits of the classes (not relevant, relevant), shape `[B, 2]`, whatever the number of labels.

        A single logit z becomes (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)).
        """
        return logits if self.num_labels == 2 else torch.cat([torch.zeros_like(logits), logits], dim=-1)

    def forward_internals(
        self, batch: TokenBatch, attention_layers: Sequence[int], states: Sequence[int], head: Head = "plain"
    ) -> Internals:
        """Return the logits with the raw attention scores of some layers (from 0) and some hidden states.

        State 0 is the embeddings' output after its LayerNorm, state i the output of layer i.
        """
        return cast(Internals, self(batch, attention_layers, states, head))

    def forward(
        self,
        batch: TokenBatch,
        attention_layers: Sequence[int] = (),
        states: Sequence[int] = (),
        head: Head = "plain",
    ) -> Internals:
        """Do the work of every method above; the one entry, so that distributed training can wrap the module.

        The head `relu` is classifier(relu(pooled)) without dropout, with which the released code of TinyBERT and
        Simplified TinyBERT trains (BERT only); `plain` is the model's own, with which it scores.
        """
        options: dict[str, Any] = {"output_hidden_states": True} if states else {}
        nothing_else = not attention_layers and not states
        with (
            first_token_alone() if nothing_else else nullcontext(),
            capture_scores(attention_layers) if attention_layers else nullcontext() as capture,
        ):
            outputs = (self.model if head == "plain" else self.encoder)(**encoder_inputs(self.config, batch), **options)
        logits = outputs.logits if head == "plain" else self._relu_head(outputs)
        return Internals(
            logits=logits,
            attentions=capture.ordered() if capture is not None else (),
            states=tuple(outputs.hidden_states[state] for state in states),
        )

    def _relu_head(self, outputs: Any) -> Tensor:
        pooled = getattr(outputs, "pooler_output", None)
        classifier = getattr(self.model, "classifier", None)
        if pooled is None or not isinstance(classifier, nn.Linear):
            raise UserError(f"the head 'relu' is for BERT models, not for {self.config.model_type}")
        return cast(Tensor, classifier(torch.relu(pooled)))
