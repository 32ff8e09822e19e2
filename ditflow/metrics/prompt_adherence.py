"""IQ: how well frames show what the prompt says, by CLIP."""

import torch
from torchmetrics.multimodal import CLIPScore

from ditflow.metrics.clip import Clip


class PromptAdherence(CLIPScore):
    """Mean cosine of CLIP's embeddings of frames and prompt (the paper's IQ), in [0, 1].

    torchmetrics' `CLIPScore`, without its factor of 100.

    Args:
        clip: model and processor; values of different models do not compare.
    """

    def __init__(self, clip: Clip):
        super().__init__(lambda: clip[:2])

    @torch.no_grad()
    def update(self, video: torch.Tensor, prompt: str) -> None:
        """Add every frame of a video [T, 3, height, width] in [0, 1]."""
        super().update(pixels(video), [prompt] * len(video))

    def compute(self) -> torch.Tensor:
        return super().compute() / 100


def pixels(video: torch.Tensor) -> torch.Tensor:
    """Frames as CLIP's processor takes them, uint8."""
    return (video.clamp(0, 1) * 255).round().byte()
