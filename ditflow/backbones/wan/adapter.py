"""Wan 2.1 over diffusers' own classes, with our attention processor."""

from typing import Any

import torch
from diffusers import WanPipeline
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch.nn import Module, ModuleList

from ditflow.backbones.base import PassInput
from ditflow.backbones.pipeline_hooks import Change
from ditflow.backbones.transformer import TransformerBackbone
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions
from ditflow.backbones.wan.attention import WanProcessor
from ditflow.backbones.wan.pipeline_hooks import WanHooks
from ditflow.backbones.wan.positions import (
    positions_at,
    rotated_by,
    stock_coordinates,
    stock_positions,
    token_grid,
)
from ditflow.backbones.wan.solver import EulerSolver


class WanBackbone(TransformerBackbone):
    """A `WanPipeline` seen as a `Backbone`; further arguments as `TransformerBackbone`.

    Args:
        size: (frames, height, width) it was trained on, which no configuration says.
    """

    family = "wan"
    batched_guidance = False
    prompt_length = 512  # as the stock pipeline's default
    pipeline: WanPipeline

    def __init__(
        self,
        pipeline: WanPipeline,
        name: str,
        options: dict[str, Any] | None = None,
        install: bool = True,
        size: tuple[int, int, int] = (81, 480, 832),
    ):
        super().__init__(pipeline, name, options, install)
        self._size = size

    @property
    def blocks(self) -> ModuleList:
        return self.transformer.blocks

    def self_attention(self, block: WanTransformerBlock) -> Module:
        return block.attn1

    def new_processor(self) -> WanProcessor:
        return WanProcessor(self.options.get("attention", "auto"))

    def hooks(self, change: Change) -> WanHooks:
        return WanHooks(self.pipeline, change)

    def solver(self, num_steps: int) -> EulerSolver:
        return EulerSolver(self.pipeline.scheduler, num_steps, self.device)

    @property
    def rotary(self) -> bool:
        return True

    @property
    def latents_dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def fps(self) -> float:
        return 16.0

    @property
    def temporal_ratio(self) -> int:
        return self.pipeline.vae_scale_factor_temporal

    @property
    def size_multiple(self) -> int:
        # The stock pipeline also asks for multiples of 16.
        patch = self.transformer.config.patch_size[1]
        return max(16, self.pipeline.vae_scale_factor_spatial * patch)

    def default_size(self) -> tuple[int, int, int]:
        return self._size

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        frames = (num_frames - 1) // self.temporal_ratio + 1
        scale = self.pipeline.vae_scale_factor_spatial
        return 1, frames, self.transformer.config.in_channels, height // scale, width // scale

    def token_grid(self, latent_shape: tuple[int, ...]) -> Grid:
        return token_grid(self.transformer, latent_shape)

    @torch.no_grad()
    def encode_prompt(self, prompt: str) -> torch.Tensor:
        embeds, _ = self.pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=self.prompt_length,
            device=self.device,
        )
        return embeds.to(self.dtype)

    @torch.no_grad()
    def encode_video(self, frames: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        video = (frames * 2 - 1).transpose(0, 1)[None].to(self.device, vae.dtype)
        mean, deviation = self._statistics()
        latents = (vae.encode(video).latent_dist.mode() - mean) / deviation
        return latents.transpose(1, 2).to(self.latents_dtype)

    @torch.no_grad()
    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        vae = self.pipeline.vae
        latents = latents.transpose(1, 2).to(self.device, vae.dtype)
        mean, deviation = self._statistics()
        # Divided by the inverse, as the stock pipeline does.
        video = vae.decode(latents / (1 / deviation) + mean, return_dict=False)[0][0]
        return (video.float() / 2 + 0.5).clamp(0, 1).transpose(0, 1).cpu()

    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of the VAE's latents, [1, C, 1, 1, 1]."""
        vae = self.pipeline.vae
        numbers = torch.tensor([vae.config.latents_mean, vae.config.latents_std])
        mean, deviation = numbers.view(2, 1, -1, 1, 1, 1).to(self.device, vae.dtype)
        return mean, deviation

    def initial_noise(
        self, latent_shape: tuple[int, ...], generator: torch.Generator
    ) -> torch.Tensor:
        batch, frames, channels, height, width = latent_shape
        drawn = super().initial_noise((batch, channels, frames, height, width), generator)
        return drawn.transpose(1, 2)

    def positions(self, latent_shape: tuple[int, ...]) -> Positions:
        return stock_positions(self.transformer, latent_shape, self.device)

    def coordinates(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        return stock_coordinates(self.transformer, latent_shape, self.device)

    def positions_at(self, coordinates: torch.Tensor) -> Positions:
        return positions_at(self.transformer, coordinates)

    def run(self, given: PassInput) -> torch.Tensor:
        latents, timestep, prompt, positions = given
        with rotated_by(self.transformer, positions):
            prediction = self.transformer(
                hidden_states=latents.transpose(1, 2).to(self.dtype),
                timestep=torch.as_tensor(timestep, device=self.device).expand(latents.shape[0]),
                encoder_hidden_states=prompt,
                return_dict=False,
            )[0]
        return prediction.transpose(1, 2)
