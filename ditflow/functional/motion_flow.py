"""Attention Motion Flow: where each patch of one frame goes in every other frame."""

import math
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
) -> torch.Tensor:
    """Attention Motion Flow (equations 3, 4 and 7 of the paper).

    For every pair of frames (i, j), the attention of frame i's patches over the patches of frame
    j alone becomes a displacement in tokens: to the most attended patch (`hard`), or to the
    attention-weighted mean position, which has gradients.

    Work goes frame by frame and head by head, and the backward pass computes the attention
    again, so that beyond the inputs and their gradients only a few [S, F·S] blocks are held,
    however many heads there are.

    Args:
        query: [M, F·S, D] with S = H·W, of M heads, after rotary positions if there are any.
        key: the same shape.
        grid: (F, H, W), the frames, rows and columns of tokens.
        temperature: τ of equation 3; higher is sharper.
        hard: argmax in place of the weighted mean; has no gradient.
        head_average: `logits` averages the heads' products, `query_key` (the paper's text)
            averages queries and keys over heads before one product.

    Returns:
        [F, F, S, 2] displacements (column, row) in tokens, in at least float32: entry [i, j, s]
        leads from patch s of frame i to its match in frame j.

    Raises:
        ValueError: shapes that do not fit each other or the grid, or an unknown `head_average`.

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
    if head_average == "query_key":
        query, key = query.mean(0, keepdim=True), key.mean(0, keepdim=True)
    elif head_average != "logits":
        raise ValueError(f"head_average={head_average!r} is unknown; use 'logits' or 'query_key'.")
    heads, _, head_dim = query.shape
    scale = temperature / math.sqrt(head_dim) / heads
    if hard:
        with torch.no_grad():
            return _hard_flow(query, key, grid, scale)
    return _SoftFlow.apply(query, key, grid, scale)


def patch_coordinates(grid: Grid, like: torch.Tensor) -> torch.Tensor:
    """(column, row) of each patch of a frame, [S, 2] in tokens, row-major."""
    _, height, width = grid
    rows, columns = torch.meshgrid(
        torch.arange(height, device=like.device),
        torch.arange(width, device=like.device),
        indexing="ij",
    )
    return torch.stack([columns.flatten(), rows.flatten()], dim=-1).to(_precision(like))


def _precision(tensor: torch.Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _frame_logits(query: torch.Tensor, key: torch.Tensor, grid: Grid, i: int, scale: float):
    """Mean logits of frame i's patches over all tokens, [S, F, S]: one block, head after head."""
    frames, height, width = grid
    patches = height * width
    dtype = _precision(query)
    own = slice(i * patches, (i + 1) * patches)
    logits = query.new_zeros(patches, frames * patches, dtype=dtype)
    for q, k in zip(query[:, own], key, strict=True):
        logits.addmm_(q.to(dtype), k.to(dtype).T, alpha=scale)
    return logits.view(patches, frames, patches)


def _hard_flow(query: torch.Tensor, key: torch.Tensor, grid: Grid, scale: float) -> torch.Tensor:
    coordinates = patch_coordinates(grid, query)
    flows = []
    for i in range(grid[0]):
        matched = _frame_logits(query, key, grid, i, scale).argmax(-1)  # [S, F]
        flows.append((coordinates[matched] - coordinates[:, None]).transpose(0, 1))
    return torch.stack(flows)


class _SoftFlow(torch.autograd.Function):
    """Soft displacements as attention over coordinates, recomputed in the backward pass."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, grid: Grid, scale: float):
        ctx.save_for_backward(query, key)
        ctx.grid, ctx.scale = grid, scale
        coordinates = patch_coordinates(grid, query)
        flow = coordinates.new_empty(grid[0], grid[0], *coordinates.shape)
        for i in range(grid[0]):
            attention = _frame_logits(query, key, grid, i, scale).softmax(-1)
            flow[i] = (attention @ coordinates - coordinates[:, None]).transpose(0, 1)
        return flow

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):  # grad: [F, F, S, 2]
        query, key = ctx.saved_tensors
        grid, scale = ctx.grid, ctx.scale
        coordinates = patch_coordinates(grid, query)
        dtype, patches = coordinates.dtype, len(coordinates)
        grad_query = torch.zeros_like(query, dtype=dtype) if ctx.needs_input_grad[0] else None
        grad_key = torch.zeros_like(key, dtype=dtype) if ctx.needs_input_grad[1] else None
        for i in range(grid[0]):
            own = slice(i * patches, (i + 1) * patches)
            attention = _frame_logits(query, key, grid, i, scale).softmax(-1)  # [S, F, S]
            incoming = grad[i].transpose(0, 1).to(dtype)  # [S, F, 2]
            # Softmax's Jacobian: attention · (upstream − its attention-weighted mean).
            upstream = incoming @ coordinates.T
            upstream -= (incoming * (attention @ coordinates)).sum(-1, keepdim=True)
            attention *= upstream
            attention *= scale
            block = attention.view(patches, -1)
            for head in range(len(query)):
                if grad_query is not None:
                    grad_query[head, own] = block @ key[head].to(dtype)
                if grad_key is not None:
                    grad_key[head].addmm_(block.T, query[head, own].to(dtype))
        return (
            None if grad_query is None else grad_query.to(query.dtype),
            None if grad_key is None else grad_key.to(key.dtype),
            None,
            None,
        )
