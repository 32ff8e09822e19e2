"""Wan in shapes alone."""

from ditflow.backbones.transformer_shapes import TransformerShapes


class WanShapes(TransformerShapes):
    """Shapes of a `WanPipeline`, whose VAE works on four frames and a tile at a time."""

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """The first frame, and twice four others: with what it keeps of those before."""
        vae, frames = self.pipeline.vae, min(num_frames, 9)
        if not tiling:
            return frames, height, width
        tile = vae.tile_sample_min_height, vae.tile_sample_min_width
        return frames, min(height, tile[0]), min(width, tile[1])
