"""How sure the attention is of where a patch goes."""

import math

import torch

from ditflow.functional.attention_tiles import Grid, HeadAverage, divide, precision, tile_logits


@torch.no_grad()
def attention_confidence(
    query: torch.Tensor,
    key: torch.Tensor,
    grid: Grid,
    *,
    temperature: float = 2.0,
    head_average: HeadAverage = "logits",
    frame_window: int | None = None,
    patch_window: int | None = None,
) -> torch.Tensor:
    """One minus the normalised entropy of each patch's attention (equation 3) over one frame.

    1 where all attention is on one patch, 0 where it is spread evenly over all. Unlike the largest
    attention weight it has the same range on every grid, and does not halve where two neighbouring
    patches of one thing share the attention. It falls with the temperature τ, as attention does.

    Works tile by tile as `motion_flow`, whose arguments these are, and holds as little.

    Returns:
        [F, F, S] in [0, 1], in at least float32: entry [i, j, s] is how sure the displacement
        [i, j, s] of `motion_flow` is. 0 between frames that `frame_window` leaves out.

    Raises:
        ValueError: as `motion_flow`.
    """
    query, key, scale, tiles = divide(
        query, key, grid, temperature, head_average, frame_window, patch_window
    )
    frames, height, width = grid
    confidence = query.new_zeros(frames, frames, height * width, dtype=precision(query))
    for tile in tiles:
        logits = tile_logits(query, key, grid, tile, scale)  # [s, f, k]
        reached = logits.isfinite().sum(-1)
        weights = logits.softmax(-1)
        # Σ w·log w; a weight of 0, as of what is too far away, adds nothing.
        entropy = -torch.xlogy(weights, weights).sum(-1)
        most = reached.to(entropy).log().clamp(min=math.ulp(1.0))  # of a single patch: no entropy
        found = (1 - entropy / most).clamp(0, 1)
        confidence[tile.frame, tile.frames, tile.own] = found.T
    return confidence
