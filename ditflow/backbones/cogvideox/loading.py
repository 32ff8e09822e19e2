"""Load a CogVideoX pipeline by its name, or make it empty from its configurations."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
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
from diffusers.quantizers import PipelineQuantizationConfig
from transformers import T5Config, T5EncoderModel

from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.backbones.cogvideox.image_to_video import CogVideoXImageBackbone
from ditflow.backbones.cogvideox.published import PUBLISHED, TEXT_ENCODER
from ditflow.backbones.cogvideox.tiling import enable_tiling
from ditflow.errors import DitflowError, reason_of
from ditflow.utils.shipped import embedded_backbones, source_of


def load_pipeline(options: Mapping[str, Any], device: torch.device) -> DiffusionPipeline:
    """A pipeline in main memory, or, if it is quantised, where it computes.

    Args:
        options: of `load_backbone`, all of them.
        device: where it will compute.

    Raises:
        DitflowError: it cannot be had.
    """
    pipeline = _from_pretrained(options["name"], options["dtype"], options["quantization"], device)
    if options["scheduler"] != "own":
        ddim = options["scheduler"] == "ddim"
        kind = CogVideoXDDIMScheduler if ddim else CogVideoXDPMScheduler
        pipeline.scheduler = kind.from_config(
            pipeline.scheduler.config, timestep_spacing="trailing"
        )
    if options["vae_slicing"]:
        pipeline.vae.enable_slicing()
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
        made = CogVideoXTransformer3DModel.from_config(dict(transformer))
        return _class(made.config)(
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


def _class(transformer: Mapping[str, Any]) -> type[DiffusionPipeline]:
    """Of the pipeline around a transformer of this configuration, which takes as many channels of
    an image as of the video, if it takes an image."""
    channels = (transformer.get(name, 16) for name in ("in_channels", "out_channels"))
    return CogVideoXPipeline if len(set(channels)) == 1 else CogVideoXImageToVideoPipeline


def _from_pretrained(
    name: str, dtype: str, quantization: str, device: torch.device
) -> DiffusionPipeline:
    options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    placed: AbstractContextManager[Any] = nullcontext()
    if quantization != "none":
        bits = quantization.removeprefix("bitsandbytes-").removesuffix("bit")
        kwargs = {f"load_in_{bits}bit": True}
        if bits == "4":  # by default float32, which is no quicker and holds twice as much
            kwargs["bnb_4bit_compute_dtype"] = options["dtype"]
        options["quantization_config"] = PipelineQuantizationConfig(
            quant_backend=f"bitsandbytes_{bits}bit",
            quant_kwargs=kwargs,
            components_to_quantize=["transformer", "text_encoder"],
        )
        # A pipeline is placed on a kind of device; which one is torch's current one.
        options["device_map"] = device.type
        if device.index is not None:
            placed = torch.cuda.device(device.index)
    try:
        source = source_of(name)
        # Asked of the transformer, for plans know no more of a pipeline than configurations.
        kind = _class(CogVideoXTransformer3DModel.load_config(source, subfolder="transformer"))
        with placed:
            pipeline = kind.from_pretrained(source, **options)
    except (NotImplementedError, ImportError) as error:
        otherwise = "" if quantization == "none" else ", or use quantization=none"
        raise DitflowError(
            f"backbone {name!r} with quantization={quantization} is refused by the libraries that "
            f"load it ({reason_of(error)}); install what they ask for{otherwise}."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise DitflowError(
            f"backbone {name!r} could not be loaded ({reason_of(error)}); use an embedded one "
            f"({', '.join(embedded_backbones())}), a folder in diffusers' layout, or a hub name "
            "this machine can reach."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
