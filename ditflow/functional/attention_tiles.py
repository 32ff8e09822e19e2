"""Attention of each frame's patches over other frames', in pieces small enough to hold."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

HeadAverage = Literal["logits", "query_key"]
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
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


@dataclass(frozen=True)
class Tiling:
    """How the attention of all patches is cut into tiles, whose logits are small enough to hold.

    Tokens are given to its methods rather than held: autograd keeps them where it can see them.

    Attributes:
        grid: (F, H, W).
        scale: what the sum of the heads' products is multiplied by.
        tiles: a frame at a time against all others, or with windows a band of rows at a time.
        dtype: that the factors of products are in; sums are in float32 or more.
    """

    grid: Grid
    scale: float
    tiles: Sequence[Tile]
    dtype: torch.dtype

    def own(self, tokens: torch.Tensor, tile: Tile) -> torch.Tensor:
        """A tile's own patches of [M, F·S, D], a view [M, s, D]."""
        return tokens.unflatten(1, (self.grid[0], -1))[:, tile.frame, tile.own]

    def near(self, tokens: torch.Tensor, tile: Tile) -> torch.Tensor:
        """The patches near a tile's of [M, F·S, D], a view [M, f, k, D]."""
        return tokens.unflatten(1, (self.grid[0], -1))[:, tile.frames, tile.near]

    def heads_together(
        self, query: torch.Tensor, key: torch.Tensor, tile: Tile
    ) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """A tile's queries [s, c·D] and keys [f·k, c·D] of c heads side by side, for all heads.

        The mean of the heads' products is one product of heads side by side, divided by M. To put
        them so takes a copy: of as many as make it no larger than half a [S, F·S] block, or, where
        it stays in half precision, of all, for tensor cores want one large product.
        """
        own, near = self.own(query, tile), self.near(key, tile)
        count = len(query)
        if self.dtype == precision(query):
            count = max(1, self.grid[1] * self.grid[2] // query.shape[-1] // 2)
        for first in range(0, len(query), count):
            heads = slice(first, first + count)
            yield (
                heads,
                self._side_by_side(own[heads]),
                self._side_by_side(near[heads].flatten(1, 2)),
            )

    def _side_by_side(self, tokens: torch.Tensor) -> torch.Tensor:
        """[c, s, D] to [s, c·D]."""
        return tokens.to(self.dtype).transpose(0, 1).flatten(1)

    def logits(self, query: torch.Tensor, key: torch.Tensor, tile: Tile) -> torch.Tensor:
        """Mean logits of a tile's patches over those near, [s, f, k]."""
        _, frames, patches, _ = self.near(key, tile).shape
        own = self.own(query, tile).shape[1]
        logits = query.new_zeros(own, frames * patches, dtype=precision(query))
        for _, queries, keys in self.heads_together(query, key, tile):
            if self.dtype == logits.dtype:
                logits.addmm_(queries, keys.T, alpha=self.scale)
            else:
                logits = product(queries, keys.T).mul_(self.scale)
        logits = logits.view(own, frames, patches)
        return logits if tile.outside is None else logits.masked_fill_(tile.outside, -math.inf)


def make_tiling(
    query: torch.Tensor,
    key: torch.Tensor,
    grid: Grid,
    temperature: float,
    head_average: HeadAverage,
    frame_window: int | None,
    patch_window: int | None,
) -> tuple[torch.Tensor, torch.Tensor, Tiling]:
    """Check the arguments of `motion_flow`, and divide its work.

    Returns:
        query and key [M, F·S, D], averaged over heads if they are to be, and their tiling.

    Raises:
        ValueError: shapes that do not fit each other or the grid, an unknown `head_average`, or
            a window below 1.
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
        # In float32: rounded to half precision the means would be no exact factors.
        query, key = (
            tokens.mean(0, keepdim=True, dtype=precision(tokens)) for tokens in (query, key)
        )
    elif head_average != "logits":
        raise ValueError(f"head_average={head_average!r} is unknown; use 'logits' or 'query_key'.")
    heads, _, head_dim = query.shape
    scale = temperature / math.sqrt(head_dim) / heads
    tiles = list(make_tiles(grid, frame_window, patch_window, query.device))
    # Half-precision tokens are exact factors already, and tensor cores sum in float32.
    dtype = query.dtype if query.is_cuda else precision(query)
    return query, key, Tiling(grid, scale, tiles, dtype)


def make_tiles(
    grid: Grid, frame_window: int | None, patch_window: int | None, device: torch.device
) -> Iterator[Tile]:
    """Cut the work: a frame at a time against all others, or with windows a band of rows."""
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
            yield Tile(i, own, slice(first, last), near, outside)


def patch_coordinates(grid: Grid, like: torch.Tensor) -> torch.Tensor:
    """(column, row) of each patch of a frame, [S, 2] in tokens, row-major.

    Example:
        >>> patch_coordinates((1, 1, 2), torch.zeros(1))
        tensor([[0., 0.],
                [1., 0.]])
    """
    return _coordinates(grid, like.device).to(precision(like))


def _coordinates(grid: Grid, device: torch.device) -> torch.Tensor:
    _, height, width = grid
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([columns.flatten(), rows.flatten()], dim=-1)


def precision(tensor: torch.Tensor) -> torch.dtype:
    """The type that is computed in: float32, unless the tensor has more."""
    return torch.promote_types(tensor.dtype, torch.float32)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A matrix product whose sums are in float32 or more, whatever its factors are in."""
    into = precision(left)
    if left.dtype == into:
        return left @ right
    if left.is_cuda:
        return torch.mm(left, right, out_dtype=into)
    return left.to(into) @ right.to(into)  # which only CUDA has in one
