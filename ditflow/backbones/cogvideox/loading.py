"""Load a CogVideoX pipeline by its name, or make it empty from its configurations."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DiffusionPipeline,
)
from transformers import T5Config, T5EncoderModel

from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.backbones.cogvideox.image_to_video import CogVideoXImageBackbone
from ditflow.backbones.cogvideox.published import PUBLISHED, TEXT_ENCODER
from ditflow.backbones.cogvideox.tiling import enable_tiling
from ditflow.backbones.pretrained import check_scheduler, configurations, empty, from_pretrained

KINDS = CogVideoXPipeline, CogVideoXImageToVideoPipeline


def load_pipeline(options: Mapping[str, Any], device: torch.device) -> DiffusionPipeline:
    """A pipeline in main memory, or, if it is quantised, where it computes.

    Args:
        options: of `load_backbone`, all of them.
        device: where it will compute.

    Raises:
        DitflowError: it cannot be had.
    """
    check_scheduler(options, ("ddim", "dpm"))
    pipeline = from_pretrained(KINDS, options, device)
    if options["scheduler"] != "own":
        ddim = options["scheduler"] == "ddim"
        kind = CogVideoXDDIMScheduler if ddim else CogVideoXDPMScheduler
        pipeline.scheduler = kind.from_config(
            pipeline.scheduler.config, timestep_spacing="trailing"
        )
    if options["vae_tiling"]:
        enable_tiling(pipeline.vae)
    return pipeline


def empty_pipeline(name: str, dtype: torch.dtype) -> DiffusionPipeline:
    """A pipeline on the meta device, with no weights and no tokenizer: an embedded one, a folder's,
    a published model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    transformer, vae, text_encoder = _configs(name)
    with torch.device("meta"):
        made = empty(CogVideoXTransformer3DModel, transformer, dtype)
        # The latents of an image come in beside the video's.
        kind = KINDS[made.config.in_channels != made.config.out_channels]
        return kind(
            tokenizer=None,
            text_encoder=T5EncoderModel(T5Config(**text_encoder)),
            vae=AutoencoderKLCogVideoX.from_config(dict(vae)),
            transformer=made,
            scheduler=CogVideoXDPMScheduler(),
        )


def _configs(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Of transformer, VAE and text encoder."""
    if name in PUBLISHED:
        return *PUBLISHED[name], TEXT_ENCODER
    with configurations(name, PUBLISHED) as source:
        return (
            CogVideoXTransformer3DModel.load_config(source, subfolder="transformer"),
            AutoencoderKLCogVideoX.load_config(source, subfolder="vae"),
            T5Config.from_pretrained(source, subfolder="text_encoder").to_dict(),
        )


def adapter(
    pipeline: DiffusionPipeline, name: str, options: dict[str, Any] | None = None
) -> CogVideoXBackbone:
    """Of a pipeline that was loaded or made here."""
    return _adapter_class(pipeline)(pipeline, name, options)


def adapter_of_stock(pipeline: DiffusionPipeline) -> CogVideoXBackbone | None:
    """Of any pipeline around this family's transformer, which is left as it is; else none."""
    if isinstance(getattr(pipeline, "transformer", None), CogVideoXTransformer3DModel):
        return _adapter_class(pipeline)(pipeline, "the pipeline", install=False)
    return None


def _adapter_class(pipeline: DiffusionPipeline) -> type[CogVideoXBackbone]:
    with_image = isinstance(pipeline, CogVideoXImageToVideoPipeline)
    return CogVideoXImageBackbone if with_image else CogVideoXBackbone
