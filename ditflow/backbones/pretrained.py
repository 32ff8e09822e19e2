"""Load a diffusers pipeline of a family's class, or say in one line why it cannot be."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from diffusers import DiffusionPipeline, ModelMixin
from diffusers.quantizers import PipelineQuantizationConfig

from ditflow.errors import DitflowError, reason_of
from ditflow.utils.shipped import embedded_backbones, source_of


def from_pretrained(
    kinds: Sequence[type[DiffusionPipeline]],
    options: Mapping[str, Any],
    device: torch.device,
    exact_vae: bool = False,
) -> DiffusionPipeline:
    """A pipeline in main memory, or, if it is quantised, where it computes.

    Args:
        kinds: classes, of which its index names one; else the first is tried.
        options: of `load_backbone`, all of them.
        device: where it will compute.
        exact_vae: whether the VAE, and what encodes images, stay in float32 whatever the dtype.

    Raises:
        DitflowError: it cannot be had.
    """
    name, quantization = options["name"], options["quantization"]
    dtype = getattr(torch, options["dtype"])
    given: dict[str, Any] = {"dtype": dtype}
    if exact_vae:
        given["dtype"] = {"default": dtype} | dict.fromkeys(("vae", "image_encoder"), torch.float32)
    placed: AbstractContextManager[Any] = nullcontext()
    if quantization != "none":
        bits = quantization.removeprefix("bitsandbytes-").removesuffix("bit")
        kwargs = {f"load_in_{bits}bit": True}
        if bits == "4":  # by default float32, which is no quicker and holds twice as much
            kwargs["bnb_4bit_compute_dtype"] = dtype
        given["quantization_config"] = PipelineQuantizationConfig(
            quant_backend=f"bitsandbytes_{bits}bit",
            quant_kwargs=kwargs,
            components_to_quantize=["transformer", "transformer_2", "text_encoder"],
        )
        # A pipeline is placed on a kind of device; which one is torch's current one.
        given["device_map"] = device.type
        if device.index is not None:
            placed = torch.cuda.device(device.index)
    try:
        source = source_of(name)
        named = DiffusionPipeline.load_config(source).get("_class_name")
        kind = next((kind for kind in kinds if kind.__name__ == named), kinds[0])
        with placed:
            pipeline = kind.from_pretrained(source, **given)
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
    if options["vae_slicing"]:
        pipeline.vae.enable_slicing()
    return pipeline


def check_scheduler(options: Mapping[str, Any], names: Sequence[str], shifts: bool = False) -> None:
    """Refuse a scheduler that a family has not.

    Args:
        options: of `load_backbone`, all of them.
        names: that it has.
        shifts: whether their schedules have a flow shift.

    Raises:
        DitflowError: names those it has.
    """
    if options["scheduler"] not in ("own", *names):
        raise DitflowError(
            f"scheduler={options['scheduler']} is none that backbone {options['name']} samples "
            f"with; use {', '.join(['own', *names])}."
        )
    if options["flow_shift"] is not None and not shifts:
        raise DitflowError(
            f"flow_shift={options['flow_shift']}: the schedule of backbone {options['name']} has "
            "no such shift; leave it out."
        )


@contextmanager
def configurations(name: str, published: Mapping[str, Any]) -> Iterator[str]:
    """Context in which a backbone's configurations are read; gives where from.

    Args:
        name: of the backbone.
        published: models whose configurations are known, for the message.

    Raises:
        DitflowError: they cannot be had.
    """
    try:
        yield source_of(name)
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"the configuration of backbone {name!r} could not be had ({reason_of(error)}); use an "
            f"embedded one, a folder in diffusers' layout, or {', '.join(published)}."
        ) from error


def empty(kind: type[ModelMixin], config: Mapping[str, Any], dtype: torch.dtype) -> ModelMixin:
    """A model of a configuration, inside a context of the meta device."""
    # The class' own `to` warns of what weights that are loaded should be.
    return torch.nn.Module.to(kind.from_config(dict(config)), dtype)
