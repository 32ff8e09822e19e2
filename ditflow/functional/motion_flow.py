"""Attention Motion Flow: where each patch of one frame goes in every other frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.autograd.function import once_differentiable

HeadAverage = Literal["logits", "query_key"]
Grid = tuple[int, int, int]


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
    frames, height, width = grid
    if query.ndim != 3 or query.shape != key.shape:
        raise ValueError(
            "query and key must both be [M, F·H·W, D], "
            f"got {tuple(query.shape)} and {tuple(key.shape)}."
        )
    if query.shape[1] != frames * height * width:
        raise ValueError(
            f"query has {query.shape[1]} tokens, but grid={grid} has {frames * height * width}."
        )
    for name, window in (("frame_window", frame_window), ("patch_window", patch_window)):
        if window is not None and window < 1:
            raise ValueError(f"{name}={window} must be at least 1.")
    if head_average == "query_key":
        query, key = query.mean(0, keepdim=True), key.mean(0, keepdim=True)
    elif head_average != "logits":
        raise ValueError(f"head_average={head_average!r} is unknown; use 'logits' or 'query_key'.")
    heads, _, head_dim = query.shape
    scale = temperature / math.sqrt(head_dim) / heads
    tiles = list(_tiles(grid, frame_window, patch_window, query.device))
    if hard:
        with torch.no_grad():
            return _hard_flow(query, key, grid, tiles, scale)
    return _SoftFlow.apply(query, key, grid, tiles, scale)


def patch_coordinates(grid: Grid, like: torch.Tensor) -> torch.Tensor:
    """(column, row) of each patch of a frame, [S, 2] in tokens, row-major."""
    return _coordinates(grid, like.device).to(_precision(like))


def _coordinates(grid: Grid, device: torch.device) -> torch.Tensor:
    _, height, width = grid
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([columns.flatten(), rows.flatten()], dim=-1)


def _precision(tensor: torch.Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


@dataclass(frozen=True)
class _Tile:
    """Patches of one frame, and those of other frames that they attend to.

    Attributes:
        frame: i.
        own: s patches of it.
        frames: f frames j.
        near: k patches of each.
        outside: [s, 1, k], what is too far away all the same.
    """

    frame: int
    own: slice
    frames: slice
    near: slice
    outside: torch.Tensor | None


def _tiles(
    grid: Grid, frame_window: int | None, patch_window: int | None, device: torch.device
) -> Iterator[_Tile]:
    """All work: a frame at a time against all others, or with windows a band of rows at a time."""
    frames, height, width = grid
    reach = height if patch_window is None else patch_window
    bands = []
    for top in range(0, height, reach):
        bottom = min(top + reach, height)
        own = slice(top * width, bottom * width)
        near = slice(max(0, top - reach) * width, min(bottom + reach, height) * width)
        outside = None
        if patch_window is not None:
            where = _coordinates(grid, device)
            away = (where[own, None] - where[None, near]).abs().amax(-1)
            outside = (away > patch_window)[:, None]
        bands.append((own, near, outside))
    for i in range(frames):
        first, last = 0, frames
        if frame_window is not None:
            first, last = max(0, i - frame_window), min(frames, i + frame_window + 1)
        for own, near, outside in bands:
            yield _Tile(i, own, slice(first, last), near, outside)


def _own(tokens: torch.Tensor, grid: Grid, tile: _Tile) -> torch.Tensor:
    """A tile's own patches of [M, F·S, D], a view [M, s, D]."""
    return tokens.unflatten(1, (grid[0], -1))[:, tile.frame, tile.own]


def _near(tokens: torch.Tensor, grid: Grid, tile: _Tile) -> torch.Tensor:
    """The patches near a tile's of [M, F·S, D], a view [M, f, k, D]."""
    return tokens.unflatten(1, (grid[0], -1))[:, tile.frames, tile.near]


def _heads_together(
    query: torch.Tensor, key: torch.Tensor, grid: Grid, tile: _Tile
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """A tile's queries [s, c·D] and keys [f·k, c·D] of c heads side by side, for all heads.

    The mean of the heads' products is one product of heads side by side, divided by M. To put
    them so takes a copy: of as many as make it no larger than half a [S, F·S] block.
    """
    own, near = _own(query, grid, tile), _near(key, grid, tile)
    count = max(1, grid[1] * grid[2] // query.shape[-1] // 2)
    for first in range(0, len(query), count):
        heads = slice(first, first + count)
        yield heads, _side_by_side(own[heads]), _side_by_side(near[heads].flatten(1, 2))


def _side_by_side(tokens: torch.Tensor) -> torch.Tensor:
    """[c, s, D] to [s, c·D]."""
    return tokens.to(_precision(tokens)).transpose(0, 1).flatten(1)


def _tile_logits(
    query: torch.Tensor, key: torch.Tensor, grid: Grid, tile: _Tile, scale: float
) -> torch.Tensor:
    """Mean logits of a tile's patches over those near, [s, f, k]."""
    _, frames, patches, _ = _near(key, grid, tile).shape
    own = _own(query, grid, tile).shape[1]
    logits = query.new_zeros(own, frames * patches, dtype=_precision(query))
    for _, queries, keys in _heads_together(query, key, grid, tile):
        logits.addmm_(queries, keys.T, alpha=scale)
    logits = logits.view(own, frames, patches)
    return logits if tile.outside is None else logits.masked_fill_(tile.outside, -math.inf)


def _hard_flow(
    query: torch.Tensor, key: torch.Tensor, grid: Grid, tiles: list[_Tile], scale: float
) -> torch.Tensor:
    coordinates = patch_coordinates(grid, query)
    flow = coordinates.new_zeros(grid[0], grid[0], *coordinates.shape)
    for tile in tiles:
        logits = _tile_logits(query, key, grid, tile, scale)
        matched = coordinates[tile.near][logits.argmax(-1)]  # [s, f, 2]
        found = matched - coordinates[tile.own, None]
        flow[tile.frame, tile.frames, tile.own] = found.transpose(0, 1)
    return flow


class _SoftFlow(torch.autograd.Function):
    """Soft displacements as attention over coordinates, recomputed in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        grid: Grid,
        tiles: list[_Tile],
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(query, key)
        ctx.grid, ctx.tiles, ctx.scale = grid, tiles, scale
        coordinates = patch_coordinates(grid, query)
        flow = coordinates.new_zeros(grid[0], grid[0], *coordinates.shape)
        for tile in tiles:
            attention = _tile_logits(query, key, grid, tile, scale).softmax(-1)
            found = attention @ coordinates[tile.near] - coordinates[tile.own, None]
            flow[tile.frame, tile.frames, tile.own] = found.transpose(0, 1)
        return flow

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):  # grad: [F, F, S, 2]
        query, key = ctx.saved_tensors
        grid, scale = ctx.grid, ctx.scale
        coordinates = patch_coordinates(grid, query)
        dtype, dim = coordinates.dtype, query.shape[-1]
        grad_query = torch.zeros_like(query, dtype=dtype) if ctx.needs_input_grad[0] else None
        grad_key = torch.zeros_like(key, dtype=dtype) if ctx.needs_input_grad[1] else None
        for tile in ctx.tiles:
            attention = _tile_logits(query, key, grid, tile, scale).softmax(-1)  # [s, f, k]
            incoming = grad[tile.frame, tile.frames, tile.own].transpose(0, 1).to(dtype)
            block = _logits_gradient(attention, incoming, coordinates[tile.near]).flatten(1)
            block *= scale
            for heads, queries, keys in _heads_together(query, key, grid, tile):
                if grad_query is not None:
                    found = (block @ keys).unflatten(1, (-1, dim)).transpose(0, 1)
                    _own(grad_query, grid, tile)[heads] = found
                if grad_key is not None:
                    found = (block.T @ queries).unflatten(1, (-1, dim)).transpose(0, 1)
                    into = _near(grad_key, grid, tile)[heads]
                    into += found.unflatten(1, into.shape[1:3])
        return (
            None if grad_query is None else grad_query.to(query.dtype),
            None if grad_key is None else grad_key.to(key.dtype),
            None,
            None,
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
