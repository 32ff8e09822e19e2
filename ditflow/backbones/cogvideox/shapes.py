"""CogVideoX in shapes alone."""

from ditflow.backbones.transformer_shapes import TransformerShapes


class CogVideoXShapes(TransformerShapes):
    """Shapes of a `CogVideoXPipeline`, whose VAE works on a few frames and a tile at a time."""

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """Two batches of frames, the first of which takes what the others leave, and a tile."""
        vae = self.pipeline.vae
        batch = vae.num_sample_frames_batch_size
        if decoding:
            ratio = self.pipeline.vae_scale_factor_temporal
            batch = vae.num_latent_frames_batch_size * ratio
        frames = min(num_frames, 2 * batch + num_frames % batch)
        if not tiling:
            return frames, height, width
        return (
            frames,
            min(height, vae.tile_sample_min_height),
            min(width, vae.tile_sample_min_width),
        )
