"""How sure the attention is of where a patch goes."""

import math

import torch

from ditflow.functional.attention_tiles import Grid, HeadAverage, make_tiling, precision


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

    Example:
        >>> q = torch.eye(4).reshape(1, 4, 4) * 30  # two frames of 1 × 2 patches, all different
        >>> attention_confidence(q, q, (2, 1, 2)).round()[0, 0]
        tensor([1., 1.])
    """
    query, key, tiling = make_tiling(
        query, key, grid, temperature, head_average, frame_window, patch_window
    )
    frames, height, width = grid
    confidence = query.new_zeros(frames, frames, height * width, dtype=precision(query))
    for tile in tiling.tiles:
        logits = tiling.logits(query, key, tile)  # [s, f, k]
        reached = logits.isfinite().sum(-1)
        weights = logits.softmax(-1)
        # Σ w·log w; a weight of 0, as of what is too far away, adds nothing.
        entropy = -torch.xlogy(weights, weights).sum(-1)
        most = reached.to(entropy).log().clamp(min=math.ulp(1.0))  # of a single patch: no entropy
        found = (1 - entropy / most).clamp(0, 1)
        confidence[tile.frame, tile.frames, tile.own] = found.T
    return confidence
