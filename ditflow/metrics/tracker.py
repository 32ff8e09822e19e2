"""What motion metrics ask of a point tracker."""

import math
from abc import ABC, abstractmethod

import torch

from ditflow.functional.tracks import Tracks


class Tracker(ABC):
    """Follows a grid of points through a video; values of different trackers do not compare."""

    name: str

    @abstractmethod
    def track(self, frames: torch.Tensor, grid: int) -> Tracks:
        """Frames [T, 3, height, width] in [0, 1] → tracks of `grid`² points of frame 0."""


def grid_points(frames: torch.Tensor, grid: int) -> torch.Tensor:
    """Centres of a `grid` × `grid` division of a frame, [grid², 2] (column, row) in pixels."""
    height, width = frames.shape[-2:]
    steps = (torch.arange(grid) + 0.5) / grid
    rows, columns = torch.meshgrid(steps * height - 0.5, steps * width - 0.5, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=-1)


def diagonal(frames: torch.Tensor) -> float:
    return math.hypot(*frames.shape[-2:])
