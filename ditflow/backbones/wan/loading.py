"""Load a Wan pipeline by its name, or make it empty from its configurations."""

from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoencoderKLWan,
    DiffusionPipeline,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from ditflow.backbones.pretrained import check_scheduler, configurations, empty, from_pretrained
from ditflow.backbones.wan.adapter import WanBackbone
from ditflow.backbones.wan.published import PUBLISHED, TEXT_ENCODER
from ditflow.backbones.wan.solver import flow_scheduler


def load_pipeline(options: Mapping[str, Any], device: torch.device) -> WanPipeline:
    """A pipeline in main memory, or, if it is quantised, where it computes.

    Args:
        options: of `load_backbone`, all of them.
        device: where it will compute.

    Raises:
        DitflowError: it cannot be had.
    """
    check_scheduler(options, ("unipc", "euler"), shifts=True)
    # The VAE was made for float32, in which its authors run it.
    pipeline = from_pretrained(WanPipeline, options, device, exact_vae=True)
    if options["vae_tiling"]:
        pipeline.vae.enable_tiling()
    return pipeline


def empty_pipeline(name: str, dtype: torch.dtype) -> WanPipeline:
    """A pipeline on the meta device, with no weights: an embedded one, a folder's, a published
    model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    tokenizer, scheduler = None, flow_scheduler(UniPCMultistepScheduler(), "unipc", 3.0)
    if name in PUBLISHED:
        transformer, vae, own = PUBLISHED[name]
        text_encoder = TEXT_ENCODER
    else:
        with configurations(name, PUBLISHED) as source:
            own = WanPipeline.load_config(source)
            transformer = WanTransformer3DModel.load_config(source, subfolder="transformer")
            vae = AutoencoderKLWan.load_config(source, subfolder="vae")
            text_encoder = UMT5Config.from_pretrained(source, subfolder="text_encoder").to_dict()
            tokenizer = AutoTokenizer.from_pretrained(source, subfolder="tokenizer")
            kind = getattr(diffusers, own["scheduler"][1])
            scheduler = kind.from_pretrained(source, subfolder="scheduler")
    told = {key: own[key] for key in ("boundary_ratio", "expand_timesteps") if key in own}
    with torch.device("meta"):
        transformers = {"transformer": empty(WanTransformer3DModel, transformer, dtype)}
        if told.get("boundary_ratio"):
            transformers["transformer_2"] = empty(WanTransformer3DModel, transformer, dtype)
        return WanPipeline(
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
    return WanBackbone(pipeline, name, options)


def adapter_of_stock(pipeline: DiffusionPipeline) -> WanBackbone | None:
    """Of any pipeline around this family's transformer, which is left as it is; else none."""
    if isinstance(getattr(pipeline, "transformer", None), WanTransformer3DModel):
        return WanBackbone(pipeline, "the pipeline", install=False)
    return None
