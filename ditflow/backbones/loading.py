"""Load a backbone by preset name, folder or hub name, or say in one line why it cannot be."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from diffusers import DiffusionPipeline

from ditflow.backbones.base import Backbone
from ditflow.backbones.cogvideox import loading as cogvideox
from ditflow.backbones.cogvideox.published import PUBLISHED
from ditflow.backbones.kernels import check_compiler, check_kernel, take_quick_convolutions
from ditflow.backbones.transformer import TransformerBackbone
from ditflow.backbones.wan import loading as wan
from ditflow.backbones.wan.published import PUBLISHED as PUBLISHED_WAN
from ditflow.errors import DitflowError, reason_of, shortened
from ditflow.utils.shipped import check_source, is_hub_name, source_of
from ditflow.utils.usual_torch import usual_torch

Dtype = Literal["float32", "bfloat16", "float16"]
Offload = Literal["none", "model", "group", "auto"]
Switch = bool | Literal["auto"]
SchedulerName = Literal["own", "ddim", "dpm", "unipc", "euler"]
Quantization = Literal["none", "bitsandbytes-8bit", "bitsandbytes-4bit"]
AttentionKernel = Literal["auto", "flash", "efficient", "cudnn", "math"]

NOTHING_SAVED = {"offload": "none", "gradient_checkpointing": False, "vae_tiling": False}
"""What options that may be `auto` are where memory is no matter."""


class Family(Protocol):
    """What the `loading` file of a family's folder has."""

    def load_pipeline(
        self, options: Mapping[str, Any], device: torch.device
    ) -> DiffusionPipeline: ...

    def empty_pipeline(self, name: str, dtype: torch.dtype) -> DiffusionPipeline: ...

    def adapter(
        self, pipeline: DiffusionPipeline, name: str, options: dict[str, Any] | None = None
    ) -> TransformerBackbone: ...

    def adapter_of_stock(self, pipeline: DiffusionPipeline) -> TransformerBackbone | None: ...


@usual_torch()
def load_backbone(
    name: str = "sprites-rope",
    dtype: Dtype = "float32",
    device: str = "auto",
    offload: Offload = "none",
    vae_slicing: bool = False,
    vae_tiling: Switch = False,
    gradient_checkpointing: Switch = False,
    quantization: Quantization = "none",
    scheduler: SchedulerName = "own",
    split_guidance: bool = False,
    attention: AttentionKernel = "auto",
    compile_blocks: bool = False,
    flow_shift: float | None = None,
) -> Backbone:
    """Load a CogVideoX or a Wan pipeline as a frozen backbone.

    Args:
        name: `sprites-rope` or `sprites-sincos` (embedded), a folder in diffusers'
            layout, or a hub name such as `THUDM/CogVideoX-5b` or
            `Wan-AI/Wan2.1-T2V-1.3B-Diffusers`, the only case that may download.
        dtype: of the frozen weights; what is optimised is always float32.
        device: `auto` takes a GPU if there is one.
        offload: keep weights in main memory and bring them to the GPU by `model` (text encoder,
            transformer, VAE in turn) or by `group` (a layer at a time, the least memory). `auto`
            is chosen, here and below, by the plan of a run for the memory that is free; with no
            run to plan, nothing is saved.
        vae_slicing: decode videos of a batch one by one.
        vae_tiling: encode and decode in spatial tiles.
        gradient_checkpointing: compute blocks again in the backward pass, for less memory.
        quantization: load the transformer and text encoder in 8 or 4 bits.
        scheduler: `own` is the pipeline's. CogVideoX: `ddim` (as the 2B samples) or `dpm` (as the
            5B) with trailing spacing, from its configuration. Wan: `unipc`, or `euler`.
        split_guidance: run both branches of classifier-free guidance one after the other and not
            as one batch: less memory while denoising, for hardly more time on large models.
        attention: PyTorch's kernel for scaled dot-product attention; `auto` is its own choice.
        compile_blocks: compile the transformer's blocks at first use, which takes minutes once.
        flow_shift: of Wan's schedule, in the place of the pipeline's own: its authors take 3 for
            480 rows of pixels, 5 for 720.

    Raises:
        DitflowError: a backbone that cannot be had, or options that do not go together.
    """
    if is_hub_name(name) and Path(name).is_dir() and source_of(name) == name:
        name = f"./{name}"  # what is kept of it must never be taken for a name of the hub
    given: dict[str, Any] = {
        "name": name,
        "dtype": dtype,
        "device": device,
        "offload": offload,
        "vae_slicing": vae_slicing,
        "vae_tiling": vae_tiling,
        "gradient_checkpointing": gradient_checkpointing,
        "quantization": quantization,
        "scheduler": scheduler,
        "split_guidance": split_guidance,
        "attention": attention,
        "compile_blocks": compile_blocks,
        "flow_shift": flow_shift,
    }
    chosen = [option for option in NOTHING_SAVED if given[option] == "auto"]
    given |= {option: NOTHING_SAVED[option] for option in chosen}
    offload = given["offload"]
    try:
        target = torch.device(default_device() if device == "auto" else device)
    except RuntimeError as error:
        raise DitflowError(
            f"device={device} is unknown; use auto, cpu, cuda, or one of several as cuda:1."
        ) from error
    _check(target, dtype, offload, quantization)
    if attention != "auto":
        check_kernel(attention, target, getattr(torch, dtype))
    family = _family(name)
    if compile_blocks:
        check_compiler(target)
    pipeline = family.load_pipeline(given, target)
    if target.type == "cpu":
        take_quick_convolutions(pipeline.vae)
    if given["gradient_checkpointing"]:
        pipeline.transformer.enable_gradient_checkpointing()
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=target)
    elif offload == "group":
        offload_by_layer(pipeline, target)
    elif quantization == "none":
        pipeline.to(target)
    backbone = family.adapter(pipeline, name, given)
    backbone.chosen = chosen
    if compile_blocks:
        second = getattr(pipeline, "transformer_2", None)
        for block in (*backbone.blocks, *(() if second is None else second.blocks)):
            block.compile()
    return backbone


def offload_by_layer(pipeline: DiffusionPipeline, device: torch.device) -> None:
    """Keep a pipeline's weights in main memory, pinned for a GPU, from where a stream of its own
    fetches each layer's while the layer before computes.

    The same hooks serve passes with gradients: exchanging them would pin every weight anew, twice
    a guided step. That is safe because each weight is recorded on the stream that computes: what
    autograd keeps of it is given to no other layer before the backward pass has read it. A layer
    that comes out of its turn (computed again, or after an early exit) is fetched and waited for.
    """
    streamed = device.type == "cuda"
    pipeline.enable_group_offload(
        onload_device=device,
        offload_type="leaf_level",
        use_stream=streamed,
        record_stream=streamed,
    )


def empty_backbone(
    name: str = "sprites-rope", dtype: Dtype = "float32", **options: Any
) -> Backbone:
    """What `load_backbone` would load, without its weights: on the meta device, and with no file
    read of an embedded or a published model but configurations.

    Args:
        name: as of `load_backbone`.
        dtype: of the frozen weights.
        options: the others of `load_backbone`, which are kept as they are.

    Raises:
        DitflowError: its configuration cannot be had.
    """
    family = _family(name)
    pipeline = family.empty_pipeline(name, getattr(torch, dtype))
    return family.adapter(pipeline, name, {"name": name, "dtype": dtype, **options})


def backbone_of(pipeline: DiffusionPipeline | Backbone) -> Backbone:
    """The adapter of a stock pipeline, which it leaves as it is, for `Backbone.applied`.

    Args:
        pipeline: of a shipped family; a backbone, of any family, is its own adapter.

    Raises:
        DitflowError: a pipeline of another family.
    """
    if isinstance(pipeline, Backbone):
        return pipeline
    if not isinstance(pipeline, DiffusionPipeline):
        raise DitflowError(
            f"pipeline={type(pipeline).__name__} is no pipeline; give the whole one, such as a "
            "CogVideoXPipeline, and not a part of it."
        )
    adapter = cogvideox.adapter_of_stock(pipeline) or wan.adapter_of_stock(pipeline)
    if adapter is not None:
        return adapter
    raise DitflowError(
        f"{type(pipeline).__name__} is of no family that ditflow ships (CogVideoX, Wan); give the "
        "Backbone that the motion was fitted on in its place."
    )


def _family(name: str) -> Family:
    """Whose a backbone is, by the class of its pipeline; no weights are downloaded to tell."""
    check_source(name)
    kind = _pipeline_class(name)
    if kind in ("WanPipeline", "WanImageToVideoPipeline"):
        return wan
    if kind is not None and not kind.startswith("CogVideoX"):
        raise DitflowError(
            f"backbone {name!r} is a {kind}, of no family that ditflow ships (CogVideoX, Wan); "
            "docs/extending.md says how to bring one's own."
        )
    return cogvideox  # which also says why what cannot be read cannot be loaded


def _pipeline_class(name: str) -> str | None:
    """As its configuration names it, of the hub where need be; none of what cannot be read."""
    if name in PUBLISHED_WAN:
        return "WanPipeline"
    if name in PUBLISHED:
        return "CogVideoXPipeline"
    try:
        return DiffusionPipeline.load_config(source_of(name))["_class_name"]
    except (OSError, ValueError, KeyError):
        return None


def default_device() -> str:
    """What `device=auto` is: a GPU of this process' own, if there is one."""
    if not torch.cuda.is_available():
        return "cpu"
    # Every process of several takes its own; SLURM may have given each only that one to see.
    rank = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0
    return f"cuda:{int(rank) % torch.cuda.device_count()}"


def _check(
    device: torch.device, dtype: Dtype, offload: Offload, quantization: Quantization
) -> None:
    """Refuse what cannot work, with the reason."""
    if device.type not in ("cpu", "cuda", "mps"):
        raise DitflowError(f"device={device} is not one that videos are made on; use auto or cpu.")
    gpus = torch.cuda.device_count()
    missing = device.type == "cuda" and not torch.cuda.is_available()
    missing |= device.type == "mps" and not torch.backends.mps.is_available()
    if missing:
        raise DitflowError(f"device={device} is not available on this machine; use device=cpu.")
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise DitflowError(
            f"device={device} is not available: this machine has cuda:0 to cuda:{gpus - 1}."
        )
    try:
        torch.zeros(1, device=device).item()
    except (AssertionError, ImportError, RuntimeError) as error:
        raise DitflowError(
            f"device={device} cannot be used on this machine ({shortened(reason_of(error))}); use "
            "device=auto or device=cpu."
        ) from error
    if offload == "model" and device.type == "cpu":
        raise DitflowError(
            "offload=model moves weights between main memory and a GPU, but device=cpu; "
            "use offload=none."
        )
    if dtype == "float16" and device.type == "cpu":
        raise DitflowError(
            "dtype=float16 has no fast kernels and too small a range on device=cpu; "
            "use dtype=float32 or dtype=bfloat16."
        )
    if quantization == "none":
        return
    if device.type == "cpu":
        raise DitflowError(f"quantization={quantization} needs a GPU, but device=cpu; use none.")
    if offload == "group":
        raise DitflowError(
            f"quantization={quantization} keeps its weights on the GPU, which offload=group "
            "would move; use offload=model or offload=none."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DitflowError(
            f"quantization={quantization} needs the package bitsandbytes: pip install bitsandbytes."
        )
