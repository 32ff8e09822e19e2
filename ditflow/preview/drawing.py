"""One picture of a preview: a frame with displacements or confidences drawn over it."""

import math

import cv2
import numpy as np
import torch

from ditflow.video.pictures import flow_colors

ARROWS_APART = 24
"""Pixels between arrows at least: of a fine grid not every patch has one."""


def draw_frame(frame: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """A frame [3, h, w] in [0, 1] at a size (height, width), [height, width, 3] of uint8."""
    pixels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    smaller = size[0] < pixels.shape[0]
    return cv2.resize(
        pixels, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    )


def draw_flow(
    picture: np.ndarray, flow: torch.Tensor, strongest: float, mask: torch.Tensor | None
) -> np.ndarray:
    """Displacements as colours over a picture, and as arrows to where the patches go.

    Args:
        picture: [height, width, 3] of uint8.
        flow: [H, W, 2] (column, row) in tokens.
        strongest: length in tokens from which on colours are no stronger.
        mask: [H, W], patches without any of it have no arrow and are dark; None for all.
    """
    shown = torch.ones(flow.shape[:2]) if mask is None else mask
    moves = (flow.abs().amax(-1) > 0) & (shown > 0)
    colors = (flow_colors(flow, strongest) * 255).numpy()
    drawn = _dimmed(picture, shown)
    drawn = _overlay(drawn, colors, moves.float() * 0.6)
    rows, columns = flow.shape[:2]
    down, right = drawn.shape[0] / rows, drawn.shape[1] / columns
    every = max(1, math.ceil(ARROWS_APART / min(down, right)))
    first = every // 2
    for row in range(min(first, rows - 1), rows, every):
        for column in range(min(first, columns - 1), columns, every):
            if moves[row, column]:
                away = flow[row, column].tolist()
                start = (column + 0.5) * right, (row + 0.5) * down
                _arrow(drawn, start, (start[0] + away[0] * right, start[1] + away[1] * down))
    return drawn


def draw_confidence(
    picture: np.ndarray, confidence: torch.Tensor, most: float, mask: torch.Tensor | None
) -> np.ndarray:
    """Confidences [H, W] over a picture, from dark violet (0) to yellow (`most`)."""
    shown = torch.ones(confidence.shape) if mask is None else mask
    colors = heat(confidence / most)
    return _overlay(_dimmed(picture, shown), colors, (shown > 0) * 0.8)


def heat(values: torch.Tensor) -> np.ndarray:
    """Values [H, W] in [0, 1] as the colours of viridis, [H, W, 3]."""
    levels = (values.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def _dimmed(picture: np.ndarray, shown: torch.Tensor) -> np.ndarray:
    """A paler picture, that colours may be told from, dark where a mask has nothing."""
    pale = (picture * 0.75 + 255 * 0.25).astype(np.uint8)
    return _overlay(pale, np.zeros((*shown.shape, 3)), (shown == 0) * 0.65)


def _overlay(picture: np.ndarray, colors: np.ndarray, opacity: torch.Tensor) -> np.ndarray:
    """Colours [H, W, 3] of patches laid over a picture, each as opaque as [H, W] says."""
    size = picture.shape[1::-1]
    above = cv2.resize(colors.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    share = opacity.float().cpu().numpy()
    share = cv2.resize(share, size, interpolation=cv2.INTER_NEAREST)[..., None]
    return (picture * (1 - share) + above * share).round().astype(np.uint8)


def _arrow(picture: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> None:
    """In place; a dark line under a bright one is seen on any colour."""
    fraction = 4  # bits: ends between pixels, so that short arrows keep their direction
    first, last = ([round(part * 2**fraction) for part in point] for point in (start, end))
    tip = min(0.5, 6 / max(1e-6, math.dist(start, end)))
    for color, thickness in (((20, 20, 20), 3), ((255, 255, 255), 1)):
        cv2.arrowedLine(picture, first, last, color, thickness, cv2.LINE_AA, fraction, tip)
