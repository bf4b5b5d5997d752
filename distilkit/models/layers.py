"""Transformer layers of BERT's families written out, for forward passes with their own attention or fewer queries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

# attend(module, query, key, value): the attention's output, from those of its three projections. The module has the
# size of heads, the scale and the dropout.
Attend = Callable[[Any, Tensor, Tensor, Tensor], Tensor]


class Net(NamedTuple):
    """What follows the attention: output projection and feed-forward network, each with residual and LayerNorm."""

    output: nn.Linear
    output_norm: nn.LayerNorm
    inner: nn.Linear
    activation: Callable[[Tensor], Tensor]
    outer: nn.Linear
    outer_norm: nn.LayerNorm
    dropouts: tuple[nn.Dropout | None, nn.Dropout | None]
    """After the output projection, and after the feed-forward network."""


def token_wise(
    seen: Tensor,
    asking: Tensor,
    weights: tuple[Tensor, ...],
    epsilons: tuple[float, float],
    activation: Callable[[Tensor], Tensor],
    dropouts: tuple[float, float],
) -> Tensor:
    r"""Return a layer's output from its attention's output, token by token, shape `[..., H]`.

    .. math:: y = \operatorname{LN}(x + W_o a), \qquad z = \operatorname{LN}(y + W_2\,\sigma(W_1 y))

    A function of tensors, so that one compilation serves all layers of a shape.

    Args:
        seen: a, the attention's output, shape ``[..., H]``
        asking: x, the states of the same tokens before the layer
        weights: weight and bias of W_o, of the first LayerNorm, of W_1, of W_2 and of the second LayerNorm
        epsilons: those of the two LayerNorms
        activation: the function between W_1 and W_2
        dropouts: the shares of outputs of W_o and W_2 that are set to zero
    """
    output, output_bias, norm, norm_bias, inner, inner_bias, outer, outer_bias, last, last_bias = weights
    mapped = F.dropout(F.linear(seen, output, output_bias), dropouts[0])
    middle = F.layer_norm(mapped + asking, norm.shape, norm, norm_bias, epsilons[0])
    mapped = F.dropout(F.linear(activation(F.linear(middle, inner, inner_bias)), outer, outer_bias), dropouts[1])
    return F.layer_norm(mapped + middle, last.shape, last, last_bias, epsilons[1])


TokenWise = Callable[..., Tensor]


@dataclass(frozen=True)
class Family:
    """Where a family's layers keep their parts: attention, its query, key and value projections, and what follows."""

    attention: Callable[[Any], Any]
    maps: Callable[[Any], tuple[nn.Linear, nn.Linear, nn.Linear]]
    net: Callable[[Any], Net]

    def forward(
        self, layer: Any, asking: Tensor, states: Tensor, attend: Attend, after: TokenWise = token_wise
    ) -> Tensor:
        """Return a layer's output for the tokens `asking`, whose queries attend to the keys and values of `states`.

        `after` is `token_wise` or a faster form of it.
        """
        query, key, value = self.maps(layer)
        seen = attend(self.attention(layer), query(asking), key(states), value(states))
        return after(seen, asking, *self.arguments(layer))

    def arguments(self, layer: Any) -> tuple[Any, ...]:
        """Return the arguments of `token_wise` after its two tensors of states."""
        net = self.net(layer)
        modules = net.output, net.output_norm, net.inner, net.outer, net.outer_norm
        weights = tuple(tensor for module in modules for tensor in (module.weight, module.bias))
        first, second = (one.p if one is not None and one.training else 0.0 for one in net.dropouts)
        return weights, (net.output_norm.eps, net.outer_norm.eps), net.activation, (first, second)


def _bert_net(layer: Any) -> Net:
    own, last = layer.attention.output, layer.output
    inner = layer.intermediate
    return Net(
        own.dense,
        own.LayerNorm,
        inner.dense,
        inner.intermediate_act_fn,
        last.dense,
        last.LayerNorm,
        (own.dropout, last.dropout),
    )


def _distilbert_net(layer: Any) -> Net:
    net = layer.ffn
    return Net(
        layer.attention.out_lin,
        layer.sa_layer_norm,
        net.lin1,
        net.activation,
        net.lin2,
        layer.output_layer_norm,
        (None, net.dropout),
    )


BERT = Family(
    lambda layer: layer.attention.self,
    lambda layer: (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value),
    _bert_net,
)
DISTILBERT = Family(
    lambda layer: layer.attention,
    lambda layer: (layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin),
    _distilbert_net,
)

# By transformers' name of the type of model.
FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "electra": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "camembert": BERT,
    "distilbert": DISTILBERT,
}


def encoder_layers(encoder: Any) -> list[Any]:
    """Return an encoder's layers, none where it keeps them otherwise than these families do."""
    stack = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    layers = getattr(stack, "layer", None)
    return list(layers) if isinstance(layers, nn.ModuleList) else []
