"""Motion features, the baseline MOFT."""

import torch

from ditflow.backbones.base import BlockFeatures
from ditflow.errors import DitflowError
from ditflow.functional.features import motion_channels, motion_feature, motion_feature_loss
from ditflow.objectives.base import Objective, frames_first


class MotionFeature(Objective):
    """Features without their temporal mean, in the channels that carry the reference's motion.

    The baseline MOFT of the paper's Table 1, compared by cosine over those channels at every frame
    and position.

    Args:
        channel_share: share of the channels that is kept.
    """

    reads = "features"

    def __init__(self, channel_share: float = 0.04):
        if not 0 < channel_share <= 1:
            raise DitflowError(f"channel_share={channel_share} must be above 0 and at most 1.")
        self.channel_share = channel_share

    def reference(self, outputs: BlockFeatures) -> torch.Tensor:
        """The motion feature [F, S, C]; channels that are not kept are 0."""
        features = frames_first(outputs)
        return motion_feature(features, motion_channels(features, self.channel_share))

    def loss(self, outputs: BlockFeatures, reference: torch.Tensor) -> torch.Tensor:
        channels = reference.flatten(0, 1).any(0)
        return motion_feature_loss(motion_feature(frames_first(outputs), channels), reference)

    def is_static(self, reference: torch.Tensor) -> bool:
        return not reference.any()
