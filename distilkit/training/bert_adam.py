"""The optimiser of BERT's and TinyBERT's released code, for runs that follow it to the letter."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


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
        params: Any,
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
