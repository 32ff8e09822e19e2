"""CogVideoX in shapes alone, of a loaded pipeline or of an empty one by its name."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel

from ditflow.backbones.cogvideox.published import PUBLISHED, TEXT_ENCODER
from ditflow.backbones.transformer_shapes import TransformerShapes
from ditflow.errors import DitflowError, reason_of
from ditflow.utils.shipped import source_of


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


def empty_pipeline(name: str, dtype: torch.dtype) -> CogVideoXPipeline:
    """A pipeline on the meta device, with no weights and no tokenizer: an embedded one, a folder's,
    a published model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    transformer, vae, text_encoder = _configs(name)
    with torch.device("meta"):
        made = CogVideoXTransformer3DModel.from_config(dict(transformer))
        return CogVideoXPipeline(
            tokenizer=None,
            text_encoder=T5EncoderModel(T5Config(**text_encoder)),
            vae=AutoencoderKLCogVideoX.from_config(dict(vae)),
            # The class' own `to` warns of what weights that are loaded should be.
            transformer=torch.nn.Module.to(made, dtype),
            scheduler=CogVideoXDPMScheduler(),
        )


def _configs(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Of transformer, VAE and text encoder."""
    if name in PUBLISHED:
        return *PUBLISHED[name], TEXT_ENCODER
    source = source_of(name)
    try:
        return (
            CogVideoXTransformer3DModel.load_config(source, subfolder="transformer"),
            AutoencoderKLCogVideoX.load_config(source, subfolder="vae"),
            T5Config.from_pretrained(source, subfolder="text_encoder").to_dict(),
        )
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"the configuration of backbone {name!r} could not be had ({reason_of(error)}); use an "
            f"embedded one, a folder in diffusers' layout, or {', '.join(PUBLISHED)}."
        ) from error
