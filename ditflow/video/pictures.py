"""Pictures: videos in rows, and motion flows as colours: hue is direction, strength distance."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from ditflow.functional.motion_flow import Grid
from ditflow.video.sizing import as_pixels


def flow_picture(flow: torch.Tensor, grid: Grid, pixels: int = 420) -> torch.Tensor:
    """Every pair's displacements as one picture, frame i in rows and frame j in columns.

    Right is red, down is yellow-green, left is cyan, up is violet; a patch that stays is white.
    Colours are strongest at half the grid's diagonal.

    Args:
        flow: [F, F, S, 2], (column, row) in tokens.
        grid: (F, H, W).
        pixels: width of the picture, about.

    Returns:
        [3, height, width] in [0, 1].
    """
    frames, height, width = grid
    maps = flow.float().cpu().reshape(frames, frames, height, width, 2)
    colors = flow_colors(maps, math.hypot(height, width) / 2)
    scale = max(1, pixels // (frames * width))
    tiles = F.interpolate(colors.flatten(0, 1).permute(0, 3, 1, 2), scale_factor=scale)
    tiles = F.pad(tiles, (1, 1, 1, 1), value=0.5)
    tiles = tiles.unflatten(0, (frames, frames))  # [i, j, 3, h, w]
    return tiles.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def flow_colors(flow: torch.Tensor, strongest: float) -> torch.Tensor:
    """The colour of each displacement, [..., 3] in [0, 1] of [..., 2] (column, row).

    Args:
        flow: displacements.
        strongest: length from which on colours are no stronger.
    """
    hue = torch.atan2(flow[..., 1], flow[..., 0]) / (2 * math.pi)
    strength = (flow.norm(dim=-1) / strongest).clamp(max=1).sqrt()
    channels = torch.tensor([0.0, 4.0, 2.0])
    wheel = ((hue[..., None] * 6 + channels) % 6 - 3).abs().sub(1).clamp(0, 1)
    return 1 - strength[..., None] * (1 - wheel)


def color_wheel(size: int = 9, pixels: int = 144) -> torch.Tensor:
    """The legend: the colour of each displacement in a square around none, [3, h, w]."""
    steps = torch.linspace(-1, 1, size) * math.hypot(size, size) / 2 / math.sqrt(2)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    flow = torch.stack([columns, rows], dim=-1).reshape(1, 1, size * size, 2)
    return flow_picture(flow, (1, size, size), pixels)


def labelled_sheet(
    videos: Sequence[torch.Tensor], names: Sequence[str], height: int = 128
) -> Image.Image:
    """A contact sheet, one row a video of about `height` pixels, each row's name at its left."""
    scale = height / videos[0].shape[-2]
    sheet = contact_sheet([F.interpolate(v, scale_factor=scale, mode="bilinear") for v in videos])
    margin = 24 + 7 * max(len(name) for name in names)
    picture = Image.new("RGB", (sheet.width + margin, sheet.height), "white")
    picture.paste(sheet, (margin, 0))
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        draw.text((8, (row + 0.5) * sheet.height / len(videos) - 6), name, fill="black")
    return picture


def side_by_side(videos: Sequence[torch.Tensor], gap: int = 4) -> torch.Tensor:
    """Videos [T, 3, height, width] in a row, cut to the shortest, scaled to the first's height.

    Example:
        >>> side_by_side([torch.zeros(5, 3, 8, 8)] * 2, gap=4).shape
        torch.Size([5, 3, 8, 20])
    """
    length = min(len(video) for video in videos)
    height = videos[0].shape[-2]
    columns: list[torch.Tensor] = []
    for video in videos:
        video = video[:length]
        if video.shape[-2] != height:
            width = round(video.shape[-1] * height / video.shape[-2])
            video = F.interpolate(video, size=(height, width), mode="bilinear", antialias=True)
        if columns:
            columns.append(torch.ones(length, 3, height, gap))
        columns.append(video)
    return torch.cat(columns, dim=-1)


def grid(videos: Sequence[torch.Tensor], columns: int = 5, gap: int = 4) -> torch.Tensor:
    """Videos [T, 3, height, width] in rows of so many, cut to the shortest.

    Example:
        >>> grid([torch.zeros(5, 3, 8, 8)] * 3, columns=2, gap=4).shape
        torch.Size([5, 3, 20, 20])
    """
    length = min(len(video) for video in videos)
    rows = [
        side_by_side([video[:length] for video in videos[first : first + columns]], gap)
        for first in range(0, len(videos), columns)
    ]
    width = max(row.shape[-1] for row in rows)
    rows = [F.pad(row, (0, width - row.shape[-1], 0, gap), value=1.0) for row in rows]
    return torch.cat(rows, dim=-2)[..., :-gap, :]


def contact_sheet(videos: Sequence[torch.Tensor], columns: int = 7) -> Image.Image:
    """One row a video, `columns` of its frames evenly spaced, at the first video's size."""
    height, width = videos[0].shape[-2:]
    rows = []
    for video in videos:
        if video.shape[-2:] != (height, width):
            video = F.interpolate(video, size=(height, width), mode="bilinear", antialias=True)
        picked = video[torch.linspace(0, len(video) - 1, columns).round().long()]
        rows.append(F.pad(picked, (1, 1, 1, 1), value=1.0).permute(1, 2, 0, 3).flatten(2))
    return as_image(torch.cat(rows, dim=1))


def as_image(picture: torch.Tensor) -> Image.Image:
    """A picture [3, height, width] in [0, 1]."""
    return Image.fromarray(as_pixels(picture[None])[0])
