"""The distance between two motion flows."""

import torch


def moving_patches(reference: torch.Tensor) -> torch.Tensor:
    """Which entries of a flow [F, F, S, 2] have a displacement other than zero, [F, F, S]."""
    return reference.abs().amax(-1) > 0


def flow_loss(
    flow: torch.Tensor, reference: torch.Tensor, *, moving_only: bool = True
) -> torch.Tensor:
    """Mean squared difference of two motion flows (equation 8), a scalar in squared tokens.

    Args:
        flow: [F, F, S, 2], of the video being generated.
        reference: the same shape.
        moving_only: count only entries whose reference displacement is not zero; a reference in
            which nothing moves counts all entries instead, so that it holds the video still.

    Raises:
        ValueError: different shapes.
    """
    if flow.shape != reference.shape:
        raise ValueError(
            f"flow is {tuple(flow.shape)}, but the reference is {tuple(reference.shape)}."
        )
    squared = (flow - reference).square().mean(-1)
    if not moving_only:
        return squared.mean()
    moving = moving_patches(reference)
    weight = torch.where(moving.any(), moving, torch.ones_like(moving)).to(squared.dtype)
    return (squared * weight).sum() / weight.sum()
