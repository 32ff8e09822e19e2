"""Muon in float32, matrices of one shape at once.

`torch.optim.Muon` orthogonalises in bfloat16, one matrix after another: on a CPU without bfloat16
arithmetic that alone took longer than the rest of a training step.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, chosen by its authors for its slope at zero."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised (Jordan et al., 2024).

    Args:
        params: matrices.
        lr: of an update scaled to the root mean square of AdamW's, 0.2.
        momentum: of the gradient.
        weight_decay: decoupled.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes.setdefault(weight.shape, []).append(weight)
            for shape, weights in shapes.items():
                updates = torch.stack([self._direction(w, group["momentum"]) for w in weights])
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for weight, update in zip(weights, orthogonalised(updates), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=scale)
        return loss

    def _direction(self, weight: torch.Tensor, momentum: float) -> torch.Tensor:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)


def orthogonalised(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """About U Vᵀ of each matrix U S Vᵀ [K, A, B], singular values left between 0.5 and 1.5."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    with torch.autocast(x.device.type, enabled=False):
        for _ in range(steps):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
