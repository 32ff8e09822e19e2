"""How alike neighbouring frames are, by CLIP."""

import torch
from torchmetrics.multimodal import CLIPScore

from ditflow.metrics.clip import Clip
from ditflow.metrics.prompt_adherence import pixels


class TemporalConsistency(CLIPScore):
    """Mean cosine of CLIP's embeddings of adjacent frames, in [0, 1]; a still video scores 1.

    Args:
        clip: model and processor; values of different models do not compare.
    """

    def __init__(self, clip: Clip):
        super().__init__(lambda: clip[:2])

    @torch.no_grad()
    def update(self, video: torch.Tensor) -> None:
        """Add the pairs of a video [T, 3, height, width] in [0, 1]."""
        frames = pixels(video)
        super().update(list(frames[:-1]), list(frames[1:]))

    def compute(self) -> torch.Tensor:
        return super().compute() / 100
