"""Displacements without a transformer: the most similar patch of plain latents."""

import torch
import torch.nn.functional as F

from ditflow.functional.attention_tiles import Grid
from ditflow.functional.motion_flow import motion_flow


def nearest_neighbor_flow(latents: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Where the nearest neighbour of each patch of latents is, by cosine (the paper's Figure 8c).

    What motion flow is compared with: it needs no model but the VAE, and is noisier.

    Args:
        latents: [1, F', C, h, w], of which F' is a multiple of F, h of H and w of W.
        grid: (F, H, W) of tokens.

    Returns:
        [F, F, S, 2] displacements (column, row) in tokens, as of `motion_flow` with `hard`.

    Raises:
        ValueError: latents that the grid does not divide.

    Example:
        >>> latents = torch.eye(2).reshape(1, 1, 2, 1, 2).expand(1, 2, 2, 1, 2).clone()
        >>> latents[0, 1] = latents[0, 1].flip(-1)  # in the second frame the patches change places
        >>> nearest_neighbor_flow(latents, (2, 1, 2))[0, 1, :, 0]
        tensor([ 1., -1.])
    """
    frames, height, width = grid
    sizes = latents.shape[1], *latents.shape[3:]
    if latents.ndim != 5 or any(size % count for size, count in zip(sizes, grid, strict=True)):
        raise ValueError(f"latents {tuple(latents.shape)} are not divided by grid={grid}.")
    patches = latents[0].unflatten(3, (width, -1)).unflatten(2, (height, -1))
    patches = patches.unflatten(0, (frames, -1))  # [F, t, C, H, y, W, x]
    tokens = patches.permute(0, 3, 5, 1, 2, 4, 6).flatten(3).flatten(0, 2)
    # The most attended of unit vectors is the most similar one.
    tokens = F.normalize(tokens.float(), dim=-1)[None]
    return motion_flow(tokens, tokens, grid, hard=True)
