"""MF: whether tracks of a generated video move as some track of the reference, and back."""

import torch
from torchmetrics import Metric

from ditflow.functional.tracks import Tracks, motion_fidelity, released_fidelity


class MotionFidelity(Metric):
    """Mean motion fidelity of pairs of videos, in [-1, 1]; a video against itself scores 1.

    Args:
        released: the form that published numbers were computed in, with its defects; see
            `ditflow.functional.released_fidelity`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: torch.Tensor
    count: torch.Tensor

    def __init__(self, released: bool = False):
        super().__init__()
        self.released = released
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, tracks: Tracks, reference: Tracks) -> None:
        """Add a pair, tracked by one and the same tracker."""
        if self.released:
            self.total += released_fidelity(tracks, reference)
        else:
            self.total += motion_fidelity(tracks, reference).score
        self.count += 1

    def compute(self) -> torch.Tensor:
        return self.total / self.count
