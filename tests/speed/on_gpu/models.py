"""CogVideoX of random weights at the published sizes: nothing is downloaded."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from torch.nn import Module
from transformers import T5Config, T5EncoderModel

from ditflow.backbones import CogVideoXBackbone
from ditflow.backbones.base import BlockOutputs, PassInput
from ditflow.backbones.cogvideox.published import PUBLISHED, TEXT_ENCODER
from ditflow.sprites.recipe.models import SCHEDULE, build_tokenizer
from tests.speed.on_gpu.timing import Clock

TINY = (
    {
        "num_layers": 5,
        "num_attention_heads": 2,
        "text_embed_dim": 64,
        "max_text_seq_length": 16,
        "sample_height": 8,
        "sample_width": 12,
        "sample_frames": 13,
    },
    {"block_out_channels": (16, 16, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
    {"vocab_size": 128, "d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 4},
)


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        tiny: whether to be done in seconds on a CPU.
        frames: of videos, the few that most is measured with, and the many.
        height, width: of videos, in pixels.
    """

    tiny: bool
    frames: tuple[int, int]
    height: int
    width: int

    @classmethod
    def of(cls, tiny: bool) -> "Scale":
        return cls(True, (9, 13), 64, 96) if tiny else cls(False, (21, 49), 480, 720)

    def block(self, name: str) -> int:
        """Guided, of the paper."""
        return 3 if self.tiny else 15 if name.endswith("2b") else 20

    def configs(self, name: str) -> "Configs":
        transformer, vae = PUBLISHED[name]
        if not self.tiny:
            return transformer, vae, TEXT_ENCODER
        small, small_vae, text_encoder = TINY
        return transformer | small, vae | small_vae, text_encoder


Configs: TypeAlias = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""Of transformer, VAE and text encoder."""


def empty_pipeline(configs: Configs, dtype: torch.dtype) -> CogVideoXPipeline:
    """A pipeline of these on the meta device, with the embedded models' tokenizer."""
    transformer, vae, text_encoder = configs
    rotary = transformer.get("use_rotary_positional_embeddings", False)
    kind = CogVideoXDPMScheduler if rotary else CogVideoXDDIMScheduler
    # With numbers: its tables are no weights, which are filled later.
    scheduler = kind(**SCHEDULE | {"snr_shift_scale": 1.0 if rotary else 3.0})
    with torch.device("meta"):
        made = CogVideoXPipeline(
            build_tokenizer(),
            T5EncoderModel(T5Config(**text_encoder)),
            AutoencoderKLCogVideoX(**vae),
            Module.to(CogVideoXTransformer3DModel(**transformer), dtype),
            scheduler,
        )
    made.set_progress_bar_config(disable=True)
    return made


def random_pipeline(
    configs: Configs, dtype: torch.dtype, device: torch.device
) -> CogVideoXPipeline:
    """The same with random weights on a device."""
    made = empty_pipeline(configs, dtype)
    for part in (made.text_encoder, made.vae, made.transformer):
        fill(part, dtype, device)
    return made


def fill(module: Module, dtype: torch.dtype, device: torch.device) -> None:
    """Put random weights in the place of a module's meta tensors, as large as keep activations'
    size from block to block; in float32 what its class keeps there in float16."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or () if dtype == torch.float16 else ()
    generator = torch.Generator(device).manual_seed(0)
    made: dict[torch.nn.Parameter, torch.nn.Parameter] = {}  # once of what layers share
    for path, part in module.named_modules():
        kind = torch.float32 if set(path.split(".")) & set(kept) else dtype
        for name, weight in part._parameters.items():
            if weight is None:
                continue
            if weight not in made:
                values = torch.empty(weight.shape, dtype=kind, device=device)
                if weight.dim() > 1:
                    values.normal_(0, weight[0].numel() ** -0.5, generator=generator)
                else:
                    values.fill_(1.0 if name == "weight" else 0.0)
                made[weight] = torch.nn.Parameter(values, requires_grad=False)
            part._parameters[name] = made[weight]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                kind = dtype if buffer.is_floating_point() else buffer.dtype
                part._buffers[name] = torch.zeros(buffer.shape, dtype=kind, device=device)
    module.eval()


class Watched(CogVideoXBackbone):
    """The adapter, which notes what each phase of a run takes, by the names that plans have."""

    def __init__(self, pipeline: CogVideoXPipeline, name: str, options: dict[str, Any]):
        super().__init__(pipeline, name, {"name": name, **options})
        self.clock = Clock(self.device)

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        with self.clock.noted("encoding prompts"):
            return super().encode_prompt(prompt)

    def encode_video(self, frames: torch.Tensor) -> torch.Tensor:
        with self.clock.noted("encoding the reference"):
            return super().encode_video(frames)

    def query_keys(self, given: PassInput, blocks: Any) -> list[BlockOutputs]:
        if torch.is_grad_enabled():
            return super().query_keys(given, blocks)
        with self.clock.noted("reading its motion"):
            return super().query_keys(given, blocks)

    def denoise(self, given: PassInput, *args: Any) -> torch.Tensor:
        with self.clock.noted("denoising"):
            return super().denoise(given, *args)

    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        with self.clock.noted("decoding"):
            return super().decode_video(latents, num_frames)
