"""Kernel pooling: a soft histogram of the cosines between query and document vectors."""

import torch
from torch import Tensor, nn

from distilkit.models.ranker import wide

MU = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5, -0.7, -0.9)
SIGMA = 0.1
TINY = 1e-13


class KernelPooling(nn.Module):
    """Score = sum_k w_k · sum_i ln(sum_j exp(-(cos(q_i, d_j) - mu_k)² / 2 sigma²)), in float32 at least.

    Xiong et al. 2017 (K-NRM), and Hofstätter et al. 2020, equations 9 and 10: https://arxiv.org/abs/2010.02666

    With `scaled`, each kernel's inner sum is multiplied by a learned factor, as in the released code. Mu and sigma are
    kept in float32 whatever the module's dtype was made of, as there.
    """

    mu: Tensor
    sigma: Tensor

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.register_buffer("mu", torch.tensor(MU), persistent=False)
        self.register_buffer("sigma", torch.tensor(SIGMA), persistent=False)
        self.kernel_bin_weights = nn.Linear(len(MU), 1, bias=False)
        nn.init.uniform_(self.kernel_bin_weights.weight, -0.014, 0.014)
        self.kernel_alpha_scaler = nn.Parameter(torch.ones(1, 1, len(MU))) if scaled else None

    def forward(self, queries: Tensor, documents: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """Return a score per row: vectors `[B, Lq, d]` and `[B, Ld, d]` with their masks, to `[B]`."""
        with torch.autocast(queries.device.type, enabled=False):
            weights = wide(self.kernel_bin_weights.weight)
            return (self.per_kernel(wide(queries), wide(documents), query_mask, document_mask) * weights).sum(-1)

    def per_kernel(self, queries: Tensor, documents: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """Return sum_i ln(sum_j K_ij) of each kernel, shape `[B, kernels]`."""
        cosines = torch.bmm(_unit(queries), _unit(documents).transpose(1, 2)).unsqueeze(-1)
        kernels = torch.exp(-((cosines - self.mu) ** 2) / (2 * self.sigma**2))
        counts: Tensor = (kernels * document_mask[:, None, :, None]).sum(2)
        if self.kernel_alpha_scaler is not None:
            counts = counts * self.kernel_alpha_scaler
        return (counts.clamp(min=1e-10).log() * query_mask[:, :, None]).sum(1)


def _unit(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / (lengths + TINY)
