"""What every ranker around an encoder tells about its size."""

from collections.abc import Iterator
from typing import Protocol

from torch import nn
from transformers import PretrainedConfig

from distilkit.models.encoder import layer_count


class _Configured(Protocol):
    @property
    def config(self) -> PretrainedConfig: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


class EncoderSizes:
    """Sizes read off a module's configuration, which goes by the names of transformers."""

    @property
    def num_layers(self: _Configured) -> int:
        """The number of layers a text goes through."""
        return layer_count(self.config)

    @property
    def num_heads(self: _Configured) -> int:
        """The number of attention heads in a layer."""
        return int(self.config.num_attention_heads)

    @property
    def hidden_size(self: _Configured) -> int:
        """The size of a hidden state."""
        return int(self.config.hidden_size)

    @property
    def parameter_count(self: _Configured) -> int:
        """The number of parameters, those of the head included (the papers count the encoder's alone)."""
        return sum(parameter.numel() for parameter in self.parameters())
