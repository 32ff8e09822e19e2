"""A backbone in shapes alone: the real classes on fake tensors, from configurations."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import T5Config, T5EncoderModel

from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.errors import DitflowError, reason_of
from ditflow.plan.published import PUBLISHED, TEXT_ENCODER
from ditflow.utils.shipped import source_of


@dataclass(frozen=True)
class Configs:
    """A pipeline's configurations, as arguments of its components' classes."""

    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]

    def build_transformer(self, num_layers: int | None = None) -> CogVideoXTransformer3DModel:
        """On the meta device; cut to `num_layers` blocks, which are all alike."""
        config = dict(self.transformer)
        if num_layers is not None:
            config["num_layers"] = min(num_layers, self.num_layers)
        with torch.device("meta"):
            return CogVideoXTransformer3DModel.from_config(config)

    def build_vae(self) -> AutoencoderKLCogVideoX:
        with torch.device("meta"):
            return AutoencoderKLCogVideoX.from_config(dict(self.vae))

    def build_text_encoder(self) -> T5EncoderModel:
        with torch.device("meta"):
            return T5EncoderModel(T5Config(**self.text_encoder))

    @property
    def num_layers(self) -> int:
        return self.transformer.get("num_layers", 30)


def read_configs(name: str) -> Configs:
    """Of an embedded pipeline, a folder, a published model, or any other of the hub.

    Raises:
        DitflowError: they cannot be had.
    """
    if name in PUBLISHED:
        return Configs(*PUBLISHED[name], TEXT_ENCODER)
    source = source_of(name)
    try:
        return Configs(
            CogVideoXTransformer3DModel.load_config(source, subfolder="transformer"),
            AutoencoderKLCogVideoX.load_config(source, subfolder="vae"),
            T5Config.from_pretrained(source, subfolder="text_encoder").to_dict(),
        )
    except (OSError, ValueError) as error:
        raise DitflowError(
            f"the configuration of backbone {name!r} could not be had ({reason_of(error)}); use an "
            f"embedded one, a folder in diffusers' layout, or {', '.join(PUBLISHED)}."
        ) from error


@contextmanager
def faked_backbone(
    transformer: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX, dtype: torch.dtype
) -> Iterator[CogVideoXBackbone]:
    """Context in which all tensors are fake, with a backbone of them."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        for component in (transformer, vae):
            fake(component, dtype)
        pipeline = CogVideoXPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=vae,
            transformer=transformer,
            scheduler=CogVideoXDPMScheduler(),
        )
        yield CogVideoXBackbone(pipeline, "shapes")


def fake(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Put fake CPU tensors in the place of a module's meta tensors, inside a fake mode.

    On the CPU device rather than the meta device, so that attention takes the kernel that never
    holds its whole matrix, as it does on a GPU.
    """
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                made = torch.empty(weight.shape, dtype=dtype)
                part._parameters[name] = torch.nn.Parameter(made, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                kind = dtype if buffer.is_floating_point() else buffer.dtype
                part._buffers[name] = torch.empty(buffer.shape, dtype=kind)
    return module
