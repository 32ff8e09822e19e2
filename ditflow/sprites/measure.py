"""Exact checks on pixels: where the sprite is, and what shape, colour and background it has.

The background's texture changes brightness only, so colour with the brightness taken out (chroma)
tells sprite from background. Nothing here has seen a model.
"""

import cv2
import numpy as np
import torch

from ditflow.sprites.render import SIGNED_DISTANCE
from ditflow.sprites.world import BACKGROUNDS, COLORS

CHROMA_GAP = 0.17
"""Chroma distance from the background beyond which a pixel is the sprite's."""


def sprite_masks(video: torch.Tensor) -> np.ndarray:
    """The sprite's pixels in each frame, [T, height, width]: the largest connected region that
    differs in chroma from the background."""
    chroma = video - video.mean(1, keepdim=True)
    ground = chroma.transpose(0, 1).flatten(1).median(dim=1).values
    differs = (chroma - ground[:, None, None]).norm(dim=1) > CHROMA_GAP
    masks = []
    for frame in differs.numpy().astype(np.uint8):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(frame)
        if count == 1:
            masks.append(np.zeros_like(frame, dtype=bool))
            continue
        largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
        masks.append(labels == largest)
    return np.stack(masks)


def sprite_path(video: torch.Tensor, least: int = 40) -> torch.Tensor:
    """Centre of the sprite in each frame, [T, 2] (column, row) in widths; NaN where there is no
    region of at least `least` pixels."""
    width = video.shape[-1]
    path = torch.full((len(video), 2), float("nan"))
    for t, mask in enumerate(sprite_masks(video)):
        rows, columns = np.nonzero(mask)
        if len(rows) >= least:
            path[t] = torch.tensor([columns.mean() + 0.5, rows.mean() + 0.5]) / width
    return path


def attributes(video: torch.Tensor, frames: int = 7) -> dict[str, str]:
    """Shape, colour and background drawn, each by vote over evenly spaced frames.

    Without any sprite, shape and colour are "none".
    """
    video = video[torch.linspace(0, len(video) - 1, frames).round().long()]
    masks = sprite_masks(video)
    outside = ~torch.from_numpy(masks)[:, None].expand_as(video)
    ground = torch.stack([video[:, c][outside[:, c]].median() for c in range(3)])
    background = min(BACKGROUNDS, key=lambda name: _distance(ground, BACKGROUNDS[name]))
    shapes, colors = [], []
    for frame, mask in zip(video, masks, strict=True):
        if mask.sum() < 40:
            continue
        # Inside the outline only: the VAE softens edges.
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0
        pixels = frame[:, torch.from_numpy(inner if inner.sum() > 10 else mask)]
        color = pixels.median(dim=1).values
        away = {name: _distance(color, rgb) for name, rgb in COLORS.items()}
        colors.append(min(away, key=away.__getitem__))
        shapes.append(_shape(mask))
    return {
        "shape": _vote(shapes),
        "color": _vote(colors),
        "background": background,
    }


def _distance(color: torch.Tensor, named: tuple[float, float, float]) -> float:
    """Colour distance that counts chroma in full and brightness by half."""
    difference = color - torch.tensor(named)
    brightness = difference.mean()
    return float((difference - brightness).norm() + 0.5 * brightness.abs())


def _shape(mask: np.ndarray) -> str:
    """The shape whose outline overlaps a mask best, over small changes of place and radius."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    target = torch.from_numpy(mask)
    extent = max(np.ptp(rows), np.ptp(columns)) / 2 + 0.5
    middle_u = (columns.max() + columns.min()) / 2
    middle_v = (rows.max() + rows.min()) / 2
    u_axis, v_axis = torch.arange(width).float(), torch.arange(height).float()
    best, name = -1.0, "none"
    for shape, distance in SIGNED_DISTANCE.items():
        for scale in (0.9, 1.0, 1.1, 1.2):
            for shift in (-0.15, 0.0, 0.15):
                radius = extent * scale
                u = (u_axis[None, :] - middle_u) / radius
                v = (v_axis[:, None] - middle_v) / radius + shift
                drawn = distance(u, v) < 0
                union = (drawn | target).sum()
                overlap = float((drawn & target).sum() / union) if union else 0.0
                if overlap > best:
                    best, name = overlap, shape
    return name


def _vote(names: list[str]) -> str:
    return max(sorted(set(names)), key=names.count) if names else "none"


def motion_agreement(video: torch.Tensor, reference: torch.Tensor, every: int = 4) -> float:
    """Cosine between the sprite's displacements in two videos, over steps of `every` frames.

    1 is the same motion up to speed, 0 unrelated, -1 opposite. A sprite that cannot be found at
    all, or does not move while the reference does, counts as 0.
    """
    first, second = _displacements(video, reference, every)
    norms = first.norm() * second.norm()
    return float(first @ second / norms) if norms > 1e-6 else 0.0


def motion_share(video: torch.Tensor, reference: torch.Tensor, every: int = 4) -> float:
    """How much of the reference's motion a video has, along the reference's path.

    1 is all of it, 0 none, -1 all of it backwards; 0 also where the reference does not move, or a
    sprite cannot be found at all. What agreement leaves out: how far the sprite goes.
    """
    first, second = _displacements(video, reference, every)
    extent = second.square().sum()
    return float(first @ second / extent) if extent > 1e-6 else 0.0


def _displacements(
    video: torch.Tensor, reference: torch.Tensor, every: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the sprite over steps of `every` frames, those in which it is found in both; flat."""
    steps = [sprite_path(v)[::every].diff(dim=0) for v in (video, reference)]
    length = min(len(step) for step in steps)
    first, second = (step[:length] for step in steps)
    found = ~(first.isnan().any(1) | second.isnan().any(1))
    return first[found].flatten(), second[found].flatten()


def path_error(video: torch.Tensor, reference: torch.Tensor) -> float:
    """Mean distance between the sprite's centres in two videos, in widths; NaN if never found."""
    length = min(len(video), len(reference))
    paths = [sprite_path(v)[:length] for v in (video, reference)]
    return float((paths[0] - paths[1]).norm(dim=1).nanmean())
