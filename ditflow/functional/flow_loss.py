"""The distance between two motion flows."""

import torch


def moving_patches(reference: torch.Tensor) -> torch.Tensor:
    """Which entries of a flow [F, F, S, 2] have a displacement other than zero, [F, F, S].

    Example:
        >>> moving_patches(torch.tensor([[[[0.0, 0.0], [0.0, -1.0]]]]))
        tensor([[[False,  True]]])
    """
    return reference.abs().amax(-1) > 0


def flow_loss(
    flow: torch.Tensor,
    reference: torch.Tensor,
    *,
    moving_only: bool = True,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean squared difference of two motion flows (equation 8), a scalar in squared tokens.

    Args:
        flow: [F, F, S, 2], of the video being generated.
        reference: the same shape.
        moving_only: count only entries whose reference displacement is not zero; a reference in
            which nothing moves counts all entries instead, so that it holds the video still.
        weight: at least 0, broadcast to [F, F, S], of each entry: of a mask [F, 1, S], or how sure
            a displacement is. What has none does not count, as if the flows had no such entry.
            By default all count alike.

    Raises:
        ValueError: different shapes, or weights that leave nothing.

    Example:
        >>> reference = torch.tensor([[[[0.0, 0.0], [2.0, 0.0]]]])  # one of two patches moves
        >>> flow_loss(torch.zeros_like(reference), reference)
        tensor(2.)
        >>> flow_loss(torch.zeros_like(reference), reference, moving_only=False)
        tensor(1.)
    """
    if flow.shape != reference.shape:
        raise ValueError(
            f"flow is {tuple(flow.shape)}, but the reference is {tuple(reference.shape)}."
        )
    squared = (flow - reference).square().mean(-1)
    if weight is None:
        if not moving_only:
            return squared.mean()
        counted = torch.ones_like(squared)
    else:
        counted = weight.to(squared).expand_as(squared)
        if not counted.any():
            raise ValueError("the weights are all 0: no entry is left to compare.")
    if moving_only:
        moving = moving_patches(reference) & (counted > 0)
        counted = torch.where(moving.any(), counted * moving, counted)
    return (squared * counted).sum() / counted.sum()
