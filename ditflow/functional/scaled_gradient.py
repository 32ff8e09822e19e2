"""Gradients through a network in float16."""

import torch


def scaled_gradient(
    loss: torch.Tensor, parameter: torch.Tensor, scale: float
) -> tuple[torch.Tensor, float]:
    """The gradient of a loss by way of a scaled one, whose scale falls for as long as it overflows.

    A loss that spreads over all pairs of patches has a gradient that would vanish in float16.

    Args:
        loss: a scalar; its graph is kept.
        parameter: float32.
        scale: to begin with.

    Returns:
        the gradient, not finite if it is not with a scale of 1 either, and the scale that it took.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> loss = (x.half() * 3).sum().float() * 2.0**-30
        >>> gradient, scale = scaled_gradient(loss, x, 2.0**50)  # 2^50 and 2^46 overflow
        >>> gradient * 2**30, scale == 2**42
        (tensor([3., 3.]), True)
    """
    while True:
        (gradient,) = torch.autograd.grad(loss * scale, parameter, retain_graph=True)
        if torch.isfinite(gradient).all() or scale <= 1:
            return gradient / scale, scale
        scale = max(1.0, scale / 16)
