"""Load a Wan pipeline by its name, or make it empty from its configurations."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
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
    pipeline.scheduler = _scheduler(pipeline, options["scheduler"], options["flow_shift"])
    if options["vae_tiling"]:
        pipeline.vae.enable_tiling()
    return pipeline


def _scheduler(
    pipeline: DiffusionPipeline, name: str, flow_shift: float | None
) -> UniPCMultistepScheduler | FlowMatchEulerDiscreteScheduler:
    own = pipeline.scheduler
    is_euler = isinstance(own, FlowMatchEulerDiscreteScheduler)
    shift = own.config.shift if is_euler else own.config.get("flow_shift", 1.0)
    shift = shift if flow_shift is None else flow_shift
    if name == "own":
        changed = {"shift": shift} if is_euler else {"flow_shift": shift}
        return type(own).from_config(own.config, **changed)
    steps = own.config.num_train_timesteps
    if name == "euler":
        return FlowMatchEulerDiscreteScheduler(num_train_timesteps=steps, shift=shift)
    return UniPCMultistepScheduler(
        num_train_timesteps=steps,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
    )


def empty_pipeline(name: str, dtype: torch.dtype) -> DiffusionPipeline:
    """A pipeline on the meta device, with no weights: an embedded one, a folder's, a published
    model's, or any other of the hub.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    tokenizer = None
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
    kind = KINDS[own.get("_class_name") == "WanImageToVideoPipeline"]
    told: dict[str, Any] = {
        key: own[key] for key in ("boundary_ratio", "expand_timesteps") if key in own
    }
    with torch.device("meta"):
        transformers = {"transformer": empty(WanTransformer3DModel, transformer, dtype)}
        if told.get("boundary_ratio"):
            transformers["transformer_2"] = empty(WanTransformer3DModel, transformer, dtype)
        if transformer.get("image_dim") is not None:
            told["image_encoder"] = CLIPVisionModel(CLIPVisionConfig(**image_encoder))
        return kind(
            tokenizer=tokenizer,
            text_encoder=UMT5EncoderModel(UMT5Config(**text_encoder)),
            vae=AutoencoderKLWan.from_config(dict(vae)),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True
            ),
            **transformers,
            **told,
        )


def adapter(
    pipeline: DiffusionPipeline, name: str, options: dict[str, Any] | None = None
) -> WanBackbone:
    """Of a pipeline that was loaded or made here."""
    return _adapter_class(pipeline)(pipeline, name, options)


def adapter_of_stock(pipeline: DiffusionPipeline) -> WanBackbone | None:
    """Of any pipeline around this family's transformer, which is left as it is; else none."""
    if isinstance(getattr(pipeline, "transformer", None), WanTransformer3DModel):
        return _adapter_class(pipeline)(pipeline, "the pipeline", install=False)
    return None


def _adapter_class(pipeline: DiffusionPipeline) -> type[WanBackbone]:
    if pipeline.config.expand_timesteps:
        return WanFirstFrameBackbone
    with_image = isinstance(pipeline, WanImageToVideoPipeline)
    return WanImageBackbone if with_image else WanBackbone
