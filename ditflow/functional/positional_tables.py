"""Positional embeddings as functions of each token's position, so that positions can be learned."""

import torch


def rotary_table(
    coordinates: torch.Tensor,
    head_dim: int,
    theta: float = 10_000.0,
    shares: tuple[int, int, int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of 3-D rotary positions.

    Args:
        coordinates: [..., 3], (frame, row, column) of each token.
        head_dim: D, divisible by 16 if the shares are not given.
        theta: the base of the frequencies.
        shares: of the head's dimensions, even, for frame, row and column; by default CogVideoX's,
            a quarter for the frame and three eighths each for row and column.

    Returns:
        (cos, sin), each [..., D], differentiable in the coordinates.

    Raises:
        ValueError: a head dimension that cannot be shared out.

    Example:
        >>> cos, sin = rotary_table(torch.zeros(1, 3), 16)
        >>> cos.shape, cos.unique(), sin.unique()
        (torch.Size([1, 16]), tensor([1.]), tensor([0.]))
    """
    if shares is None:
        if head_dim % 16:
            raise ValueError(
                f"head_dim={head_dim} must be divisible by 16 for 3-D rotary positions."
            )
        shares = (head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3)
    angles = torch.cat(
        [_angles(coordinates[..., axis], share, theta) for axis, share in enumerate(shares)], -1
    ).repeat_interleave(2, dim=-1)
    return angles.cos(), angles.sin()


def sinusoidal_table(
    coordinates: torch.Tensor,
    embed_dim: int,
    *,
    spatial_scale: float = 1.0,
    temporal_scale: float = 1.0,
) -> torch.Tensor:
    """3-D sinusoidal positions as CogVideoX-2B adds them to its image tokens.

    Args:
        coordinates: [..., 3], (frame, row, column) of each token.
        embed_dim: the tokens' width, divisible by 16.
        spatial_scale, temporal_scale: what rows and columns, and frames, are divided by.

    Returns:
        [..., embed_dim]: a quarter for the frame, then three eighths each for column and row;
        each part sines first, cosines after. Differentiable in the coordinates.

    Raises:
        ValueError: a width that cannot be shared out.

    Example:
        >>> sinusoidal_table(torch.zeros(2, 3), 16)[0, :4]  # of the frame: sines, then cosines
        tensor([0., 0., 1., 1.])
    """
    if embed_dim % 16:
        raise ValueError(f"embed_dim={embed_dim} must be divisible by 16 for 3-D positions.")
    frame = coordinates[..., 0] / temporal_scale
    row, column = coordinates[..., 1] / spatial_scale, coordinates[..., 2] / spatial_scale
    parts = []
    for position, share in (
        (frame, embed_dim // 4),
        (column, embed_dim // 8 * 3),
        (row, embed_dim // 8 * 3),
    ):
        # In double precision, as the stock table is, but for Apple's GPUs, which have none.
        exact = position if position.device.type == "mps" else position.double()
        angles = _angles(exact, share, 10_000.0)
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, -1).to(coordinates.dtype)


def _angles(position: torch.Tensor, share: int, theta: float) -> torch.Tensor:
    """Position times each of `share / 2` falling frequencies, [..., share / 2]."""
    exponents = torch.arange(0, share, 2, device=position.device, dtype=position.dtype) / share
    return position[..., None] * (1.0 / theta**exponents)
