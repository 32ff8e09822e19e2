"""Load a Wan pipeline by its name, or make it empty from its configurations."""

from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoencoderKLWan,
    DiffusionPipeline,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    UMT5Config,
    UMT5EncoderModel,
)

from ditflow.backbones.pretrained import check_scheduler, configurations, empty, from_pretrained
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.image_to_video import WanFirstFrameBackbone, WanImageBackbone
from ditflow.backbones.wan.published import IMAGE_ENCODER, PUBLISHED, TEXT_ENCODER
from ditflow.backbones.wan.solver import flow_scheduler

KINDS = WanPipeline, WanImageToVideoPipeline


def load_pipeline(options: Mapping[str, Any], device: torch.device) -> DiffusionPipeline:
    """A pipeline in main memory, or, if it is quantised, where it computes.

    Args:
        options: of `load_backbone`, all of them.
        device: where it will compute.

    Raises:
        DitflowError: it cannot be had.
    """
    check_scheduler(options, ("unipc", "euler"), shifts=True)
    # The VAE was made for float32, in which its authors run it.
    pipeline = from_pretrained(KINDS, options, device, exact_vae=True)
    if options["vae_tiling"]:
        pipeline.vae.enable_tiling()
    return pipeline


def empty_pipeline(name: str, dtype: torch.dtype) -> DiffusionPipeline:
    """A pipeline on the meta device, with no weights: an embedded one, a folder's, a published
    model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    tokenizer, scheduler = None, flow_scheduler(UniPCMultistepScheduler(), "unipc", 3.0)
    if name in PUBLISHED:
        transformer, vae, own = PUBLISHED[name]
        text_encoder, image_encoder = TEXT_ENCODER, IMAGE_ENCODER
    else:
        with configurations(name, PUBLISHED) as source:
            own = WanPipeline.load_config(source)
            transformer = WanTransformer3DModel.load_config(source, subfolder="transformer")
            vae = AutoencoderKLWan.load_config(source, subfolder="vae")
            text_encoder = UMT5Config.from_pretrained(source, subfolder="text_encoder").to_dict()
            if transformer.get("image_dim") is not None:
                found = CLIPVisionConfig.from_pretrained(source, subfolder="image_encoder")
                image_encoder = found.to_dict()
            tokenizer = AutoTokenizer.from_pretrained(source, subfolder="tokenizer")
            kind = getattr(diffusers, own["scheduler"][1])
            scheduler = kind.from_pretrained(source, subfolder="scheduler")
    names = "boundary_ratio", "expand_timesteps"
    told: dict[str, Any] = {key: own[key] for key in names if key in own}
    with torch.device("meta"):
        transformers = {"transformer": empty(WanTransformer3DModel, transformer, dtype)}
        if told.get("boundary_ratio"):
            transformers["transformer_2"] = empty(WanTransformer3DModel, transformer, dtype)
        if transformer.get("image_dim") is not None:
            told["image_encoder"] = CLIPVisionModel(CLIPVisionConfig(**image_encoder))
        with_image = own.get("_class_name") == "WanImageToVideoPipeline"
        return KINDS[with_image](
            tokenizer=tokenizer,
            text_encoder=UMT5EncoderModel(UMT5Config(**text_encoder)),
            vae=AutoencoderKLWan.from_config(dict(vae)),
            scheduler=scheduler,
            **transformers,
            **told,
        )


def adapter(
    pipeline: DiffusionPipeline, name: str, options: dict[str, Any] | None = None
) -> WanBackbone:
    """Of a pipeline that was loaded or made here, with the scheduler of these options."""
    given = options or {}
    pipeline.scheduler = flow_scheduler(
        pipeline.scheduler, given.get("scheduler", "own"), given.get("flow_shift")
    )
    return _adapter_class(pipeline)(pipeline, name, options)


def adapter_of_stock(pipeline: DiffusionPipeline) -> WanBackbone | None:
    """Of any pipeline around this family's transformer, which is left as it is; else none."""
    if isinstance(getattr(pipeline, "transformer", None), WanTransformer3DModel):
        return _adapter_class(pipeline)(pipeline, "the pipeline", install=False)
    return None


def _adapter_class(pipeline: DiffusionPipeline) -> type[WanBackbone]:
    if pipeline.config.get("expand_timesteps"):  # other pipelines of the family do not say
        return WanFirstFrameBackbone
    with_image = isinstance(pipeline, WanImageToVideoPipeline)
    return WanImageBackbone if with_image else WanBackbone
