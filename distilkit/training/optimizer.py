"""The optimisers, their parameter groups and learning rates, and the gradients of large embedding tables."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from distilkit.settings import TrainSettings

# Tables of so many rows have sparse gradients.
LARGE = 10_000


def build_optimizer(module: nn.Module, train: TrainSettings) -> Optimizer:
    """Return the optimiser of a module's trained parameters; each group knows its peak learning rate as `peak`.

    Matrices decay, biases and LayerNorm weights do not.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own = [rate for words, rate in train.learning_rates.items() if words in name]
            decay = train.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((own[-1] if own else train.learning_rate, decay), []).append(parameter)
    tables = [{"params": group, "peak": peak, "weight_decay": decay} for (peak, decay), group in groups.items()]
    if train.optim == "bert_adam":
        return BertAdam(tables, train.learning_rate, train.adam_epsilon, train.max_grad_norm)
    return torch.optim.AdamW(tables, lr=train.learning_rate, eps=train.adam_epsilon, fused=True)


def learning_rate_factor(kind: str, step: int, warmup: int, total: int) -> float:
    """Return the share of the peak learning rate at a step counted from 0."""
    if kind == "constant":
        return 1.0
    if step < warmup:
        return step / max(1, warmup)
    if kind == "constant_with_warmup":
        return 1.0
    rest = (step - warmup) / max(1, total - warmup)
    if kind == "linear":
        return max(0.0, 1.0 - rest)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * rest)))


def warmup_steps(ratio: float, total: int) -> int:
    """Return the steps of a warm-up, rounded up as transformers does."""
    return math.ceil(ratio * total)


class BertAdam(Optimizer):
    r"""Adam without bias correction, with decoupled decay and gradients clipped tensor by tensor.

    .. math:: \theta \leftarrow \theta - \eta \left( \frac{m}{\sqrt{v} + \epsilon} + \lambda \theta \right)

    Args:
        params: parameters, or groups of them with a `weight_decay` each
        lr: the learning rate
        eps: added to the root
        max_grad_norm: every tensor's gradient is scaled down to this norm; 0 leaves them alone
        betas: decay of the first and the second moment
        weight_decay: the decay of groups that name none

    References:
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        eps: float = 1e-6,
        max_grad_norm: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {"lr": lr, "eps": eps, "max_grad_norm": max_grad_norm, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step with the gradients there are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        if group["max_grad_norm"]:
            norm = torch.linalg.vector_norm(gradient)
            gradient = gradient * (group["max_grad_norm"] / (norm + 1e-6)).clamp(max=1.0)
        beta1, beta2 = group["betas"]
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        update = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + group["eps"])
        parameter.sub_(group["lr"] * (update + group["weight_decay"] * parameter))


class SparseTables:
    """Makes the gradients of a module's large embedding tables sparse until a step is done; for one process alone.

    A table's dense gradient is as large as the table, and every forward pass of a step makes one and adds it to the
    others; the rows that the passes read are few.
    """

    def __init__(self, module: nn.Module) -> None:
        modules = [one for one in module.modules() if isinstance(one, nn.Embedding) and one.num_embeddings >= LARGE]
        for one in modules:
            one.sparse = True
        self._module, self._weights = module, [one.get_parameter("weight") for one in modules]
        # Of each table the dense gradient of the last step, and its rows that are not zero.
        self._last: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def clip(self, max_norm: float) -> None:
        """Scale gradients down to a norm, as torch's `clip_grad_norm_` does, without a look at rows that are zero."""
        for weight in self._weights:
            if weight.grad is not None and weight.grad.is_sparse:
                weight.grad = weight.grad.coalesce()
        gradients = [one.grad for one in self._module.parameters() if one.grad is not None]
        parts = [one.values() if one.is_sparse else one for one in gradients]
        norm = nn.utils.get_total_norm(parts)
        torch._foreach_mul_(parts, torch.clamp(max_norm / (norm + 1e-6), max=1.0))

    def fill(self) -> None:
        """Make sparse gradients dense, once they are added up: the optimiser moves every row.

        The tensor of the last step is filled again, since to zero a few of its rows is cheaper than all of a new one's.
        """
        for weight in self._weights:
            if weight.grad is None or not weight.grad.is_sparse:
                continue
            sparse = weight.grad.coalesce()
            rows = sparse.indices()[0]
            dense, before = self._last.get(weight) or (torch.zeros_like(weight), rows[:0])
            dense.index_fill_(0, before, 0.0).index_copy_(0, rows, sparse.values())
            self._last[weight] = dense, rows
            weight.grad = dense
