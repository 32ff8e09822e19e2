"""What all sections are given: how large, where, and backbones of random weights."""

from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from diffusers import CogVideoXPipeline

from ditflow import load_backbone
from ditflow.backbones.base import PassInput
from ditflow.backbones.loading import Dtype
from tests.speed.on_gpu.fitting import PROMPT, moving_frames
from tests.speed.on_gpu.models import Scale, Watched, random_pipeline
from tests.speed.on_gpu.report import Report

LARGE, SMALL = "THUDM/CogVideoX-5b", "THUDM/CogVideoX-2b"


@dataclass(frozen=True)
class Bench:
    """Attributes: see `Scale` and `Report`; the device is where all is measured."""

    scale: Scale
    device: torch.device
    report: Report

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def dtype(self) -> Dtype:
        """Of most weights; CPUs take ten times as long to convolve in half precision."""
        return "bfloat16" if self.cuda else "float32"

    @property
    def size(self) -> tuple[int, int, int]:
        """Of the videos that most is measured with: frames, height and width."""
        return self.scale.frames[0], self.scale.height, self.scale.width

    @property
    def block(self) -> int:
        """The guided one of the large model."""
        return self.scale.block(LARGE)

    @property
    def frames(self) -> torch.Tensor:
        return moving_frames(*self.size)

    def load(
        self,
        name: str = LARGE,
        dtype: Dtype | None = None,
        num_layers: int | None = None,
        **options: Any,
    ) -> Watched:
        """A backbone of random weights, put together by ditflow's own loader; of all layers, or of
        as many as are said."""
        dtype, (transformer, *others) = dtype or self.dtype, self.scale.configs(name)
        if num_layers is not None:
            transformer = transformer | {"num_layers": num_layers}
        made = random_pipeline((transformer, *others), getattr(torch, dtype), self.device)
        with patch.object(CogVideoXPipeline, "from_pretrained", lambda *_, **__: made):
            backbone = load_backbone(name, dtype, str(self.device), **options)
        return Watched(backbone.pipeline, name, backbone.options)

    def given(self, backbone: Watched, num_frames: int, seed: int = 1) -> PassInput:
        """The input of a pass in the middle of denoising."""
        shape = backbone.latent_shape(num_frames, self.scale.height, self.scale.width)
        latents = backbone.initial_noise(shape, torch.Generator().manual_seed(seed))
        prompt, positions = backbone.encode_prompt(PROMPT), backbone.positions(shape)
        return PassInput(latents, 500, prompt, positions)


def checkpointing(backbone: Watched, on: bool) -> None:
    """Switch gradient checkpointing of a loaded backbone."""
    transformer = backbone.transformer
    switch = "enable_gradient_checkpointing" if on else "disable_gradient_checkpointing"
    getattr(transformer, switch)()
    backbone.options["gradient_checkpointing"] = on
