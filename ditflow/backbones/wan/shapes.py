"""Wan in shapes alone."""

from collections.abc import Mapping

import torch

from ditflow.backbones.shapes import Component
from ditflow.backbones.transformer_shapes import TransformerShapes


class WanShapes(TransformerShapes):
    """Shapes of a `WanPipeline`, whose VAE works on four frames and a tile at a time."""

    def vae_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32

    def weights(self, dtype: torch.dtype, bits: int | None = None) -> Mapping[Component, list[int]]:
        found = super().weights(dtype, bits)
        if self.pipeline.transformer_2 is None:
            return found
        return {**found, "second transformer": found["transformer"]}

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """The first frame, and twice four others: with what it keeps of those before."""
        vae, frames = self.pipeline.vae, min(num_frames, 9)
        if not tiling:
            return frames, height, width
        tile = vae.tile_sample_min_height, vae.tile_sample_min_width
        return frames, min(height, tile[0]), min(width, tile[1])
