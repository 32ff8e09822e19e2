"""How far apart matched tracks run: directions alone ignore speed and place."""

import torch
from torchmetrics import Metric

from ditflow.functional.tracks import Tracks, trajectory_error


class TrajectoryError(Metric):
    """Mean discrete Fréchet distance of matched tracks, in diagonals, over pairs of videos."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: torch.Tensor
    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, tracks: Tracks, reference: Tracks) -> None:
        """Add a pair, tracked by one and the same tracker."""
        self.total += trajectory_error(tracks, reference)
        self.count += 1

    def compute(self) -> torch.Tensor:
        return self.total / self.count
