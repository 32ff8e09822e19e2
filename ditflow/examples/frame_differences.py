"""An objective of one's own: how a block's features change from each frame to the next.

    ditflow fit --video ref.mp4 --prompt "a red ring on a gray background" \
        --output runs/differences \
        --model.objective ditflow.examples.frame_differences.FrameDifferences
"""

import torch
import torch.nn.functional as F

from ditflow.backbones.base import BlockFeatures
from ditflow.objectives import Objective


class FrameDifferences(Objective):
    """Changes of the block's features between neighbouring frames, compared by cosine.

    Args:
        stride: frames further apart see slower motion.
    """

    reads = "features"  # a block's output; "query_key" reads its queries and keys instead

    def __init__(self, stride: int = 1):
        self.stride = stride

    def reference(self, outputs: BlockFeatures) -> torch.Tensor:
        """[F - stride, S, C]."""
        frames = outputs.features.float().unflatten(0, (outputs.grid[0], -1))
        return frames[self.stride :] - frames[: -self.stride]

    def loss(self, outputs: BlockFeatures, reference: torch.Tensor) -> torch.Tensor:
        """0 for the same directions of change everywhere, 2 for opposite ones."""
        return 1 - F.cosine_similarity(self.reference(outputs), reference, dim=-1).mean()

    def is_static(self, reference: torch.Tensor) -> bool:
        return not reference.any()
