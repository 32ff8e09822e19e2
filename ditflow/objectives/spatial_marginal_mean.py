"""Spatial marginal means, the baseline SMM."""

import torch

from ditflow.backbones.base import BlockFeatures
from ditflow.functional.features import marginal_mean_loss, spatial_marginal_mean
from ditflow.objectives.base import Objective, frames_first


class SpatialMarginalMean(Objective):
    """The direction in which the frames' spatial means change, between every two frames.

    The baseline SMM of the paper's Table 1: both videos' differences are taken from their own
    frames, and compared by cosine over channels.
    """

    reads = "features"

    def reference(self, outputs: BlockFeatures) -> torch.Tensor:
        """Differences of spatial means [F, F, C]."""
        return spatial_marginal_mean(frames_first(outputs))

    def loss(self, outputs: BlockFeatures, reference: torch.Tensor) -> torch.Tensor:
        return marginal_mean_loss(spatial_marginal_mean(frames_first(outputs)), reference)

    def is_static(self, reference: torch.Tensor) -> bool:
        return not reference.any()
