"""Attention Motion Flow: where each patch of one frame goes in every other frame."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ditflow.functional.attention_tiles import (
    Grid,
    HeadAverage,
    Tiling,
    make_tiling,
    patch_coordinates,
    product,
)


def motion_flow(
    query: torch.Tensor,
    key: torch.Tensor,
    grid: Grid,
    *,
    temperature: float = 2.0,
    hard: bool = False,
    head_average: HeadAverage = "logits",
    frame_window: int | None = None,
    patch_window: int | None = None,
) -> torch.Tensor:
    """Attention Motion Flow (equations 3, 4 and 7 of the paper).

    For every pair of frames (i, j), the attention of frame i's patches over the patches of frame
    j alone becomes a displacement in tokens: to the most attended patch (`hard`), or to the
    attention-weighted mean position, which has gradients.

    Work goes frame by frame, and the backward pass computes the attention again, so that beyond
    the inputs and their gradients only a few [S, F·S] blocks are held, however many heads there
    are.

    Args:
        query: [M, F·S, D] with S = H·W, of M heads, after rotary positions if there are any.
        key: the same shape.
        grid: (F, H, W), the frames, rows and columns of tokens.
        temperature: τ of equation 3; higher is sharper.
        hard: argmax in place of the weighted mean; has no gradient.
        head_average: `logits` averages the heads' products, `query_key` (the paper's text)
            averages queries and keys over heads before one product.
        frame_window: leave out pairs of frames further apart than this, in latent frames; their
            displacements are 0. By default every pair counts, as in the paper.
        patch_window: attend only to patches at most so many rows and columns away, in tokens; by
            default to the whole frame, as in the paper.

    Returns:
        [F, F, S, 2] displacements (column, row) in tokens, in at least float32: entry [i, j, s]
        leads from patch s of frame i to its match in frame j.

    Raises:
        ValueError: shapes that do not fit each other or the grid, an unknown `head_average`, or
            a window below 1.

    Example:
        >>> q = torch.eye(4).reshape(1, 4, 4) * 30  # two frames of 1 × 2 patches
        >>> k = q[:, [0, 1, 3, 2]]  # in the second frame the patches have changed places
        >>> motion_flow(q, k, (2, 1, 2), hard=True)[1, 1, :, 0]
        tensor([ 1., -1.])
    """
    query, key, tiling = make_tiling(
        query, key, grid, temperature, head_average, frame_window, patch_window
    )
    if hard:
        with torch.no_grad():
            return _hard_flow(query, key, tiling)
    return _SoftFlow.apply(query, key, tiling)


def _hard_flow(query: torch.Tensor, key: torch.Tensor, tiling: Tiling) -> torch.Tensor:
    coordinates = patch_coordinates(tiling.grid, query)
    flow = coordinates.new_zeros(tiling.grid[0], tiling.grid[0], *coordinates.shape)
    for tile in tiling.tiles:
        logits = tiling.logits(query, key, tile)
        matched = coordinates[tile.near][logits.argmax(-1)]  # [s, f, 2]
        found = matched - coordinates[tile.own, None]
        flow[tile.frame, tile.frames, tile.own] = found.transpose(0, 1)
    return flow


class _SoftFlow(torch.autograd.Function):
    """Soft displacements as attention over coordinates, recomputed in the backward pass."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, tiling: Tiling) -> torch.Tensor:
        ctx.save_for_backward(query, key)
        ctx.tiling = tiling
        coordinates = patch_coordinates(tiling.grid, query)
        flow = coordinates.new_zeros(tiling.grid[0], tiling.grid[0], *coordinates.shape)
        for tile in tiling.tiles:
            attention = tiling.logits(query, key, tile).softmax(-1)
            found = attention @ coordinates[tile.near] - coordinates[tile.own, None]
            flow[tile.frame, tile.frames, tile.own] = found.transpose(0, 1)
        return flow

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:  # grad: [F, F, S, 2]
        query, key = ctx.saved_tensors
        tiling: Tiling = ctx.tiling
        coordinates = patch_coordinates(tiling.grid, query)
        dtype, dim = coordinates.dtype, query.shape[-1]
        grad_query = torch.zeros_like(query, dtype=dtype) if ctx.needs_input_grad[0] else None
        grad_key = torch.zeros_like(key, dtype=dtype) if ctx.needs_input_grad[1] else None
        for tile in tiling.tiles:
            attention = tiling.logits(query, key, tile).softmax(-1)  # [s, f, k]
            incoming = grad[tile.frame, tile.frames, tile.own].transpose(0, 1).to(dtype)
            block = _logits_gradient(attention, incoming, coordinates[tile.near]).flatten(1)
            block, scale = _as_factor(block, tiling)
            for heads, queries, keys in tiling.heads_together(query, key, tile):
                if grad_query is not None:
                    found = product(block, keys).mul_(scale)
                    found = found.unflatten(1, (-1, dim)).transpose(0, 1)
                    tiling.own(grad_query, tile)[heads] = found
                if grad_key is not None:
                    found = product(block.T, queries).mul_(scale)
                    found = found.unflatten(1, (-1, dim)).transpose(0, 1)
                    into = tiling.near(grad_key, tile)[heads]
                    into += found.unflatten(1, into.shape[1:3])
        return (
            None if grad_query is None else grad_query.to(query.dtype),
            None if grad_key is None else grad_key.to(key.dtype),
            None,
        )


def _logits_gradient(
    attention: torch.Tensor, incoming: torch.Tensor, coordinates: torch.Tensor
) -> torch.Tensor:
    """Softmax's Jacobian: attention · (upstream − its attention-weighted mean), in place.

    Args:
        attention: [s, f, k], overwritten.
        incoming: [s, f, 2], of the displacements.
        coordinates: [k, 2].
    """
    upstream = incoming @ coordinates.T
    upstream -= (incoming * (attention @ coordinates)).sum(-1, keepdim=True)
    return attention.mul_(upstream)


def _as_factor(block: torch.Tensor, tiling: Tiling) -> tuple[torch.Tensor, torch.Tensor | int]:
    """The gradient of a tile's logits, overwritten, as a factor of products, and what these are
    then multiplied by.

    In half precision by its largest magnitude: spread over all patches it would vanish in float16.
    """
    block *= tiling.scale
    if tiling.dtype == block.dtype:
        return block, 1
    largest = block.abs().amax().clamp_min(torch.finfo(block.dtype).tiny)
    return block.div_(largest).to(tiling.dtype), largest
