"""Wan 2.1 over diffusers' own classes, with our attention processor."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline, WanPipeline
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch.nn import Module, ModuleList

from ditflow.backbones.base import PassInput
from ditflow.backbones.pipeline_hooks import Change
from ditflow.backbones.transformer import TransformerBackbone
from ditflow.backbones.wan.attention import WanProcessor
from ditflow.backbones.wan.pipeline_hooks import WanHooks
from ditflow.backbones.wan.positions import (
    positions_at,
    rotated_by,
    stock_coordinates,
    stock_positions,
    token_grid,
)
from ditflow.backbones.wan.shapes import WanShapes
from ditflow.backbones.wan.solver import FlowSolver, solver_of
from ditflow.errors import DitflowError
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions

TRAINED_ON = {4: (25, 64, 64, 8.0), 8: (81, 480, 832, 16.0), 16: (121, 704, 1280, 24.0)}
"""Frames, height, width and frame rate, which no configuration says, by the spatial compression
of the VAE: the embedded model's, Wan 2.1's (and 2.2 A14B's), and Wan 2.2 TI2V-5B's."""


class WanBackbone(TransformerBackbone):
    """A `WanPipeline` seen as a `Backbone`; arguments as `TransformerBackbone`.

    Of two transformers (Wan 2.2 A14B) the first denoises down to a boundary, the second from there
    on. A fit guides steps of the first only, which reads the reference too: queries and keys of two
    models do not compare.
    """

    family = "wan"
    batched_guidance = False
    shapes_class = WanShapes
    pipeline: WanPipeline
    second: "WanBackbone | None" = None
    """An adapter of the second transformer, if there is one."""

    def __init__(
        self,
        pipeline: WanPipeline,
        name: str,
        options: dict[str, Any] | None = None,
        install: bool = True,
    ):
        super().__init__(pipeline, name, options, install)
        if pipeline.transformer_2 is not None:
            second = self.second = copy(self)
            second.transformer = pipeline.transformer_2
            if install:
                second.transformer.requires_grad_(False).eval()
                second._install()

    def _over(self, pipeline: DiffusionPipeline, options: dict[str, Any]) -> Self:
        other = super()._over(pipeline, options)
        other.second = None  # it is as large as the first, and plans follow that one
        return other

    @property
    def blocks(self) -> ModuleList:
        return self.transformer.blocks

    def self_attention(self, block: WanTransformerBlock) -> Module:
        return block.attn1

    def new_processor(self) -> WanProcessor:
        return WanProcessor(self.options.get("attention", "auto"))

    def hooks(self, change: Change) -> WanHooks:
        return WanHooks(self.pipeline, change)

    def solver(self, num_steps: int) -> FlowSolver:
        return solver_of(self.pipeline.scheduler, num_steps, self.device)

    def check_guided(self, guided_steps: int, num_steps: int) -> None:
        if self.second is None:
            return
        solver = solver_of(self.pipeline.scheduler, num_steps, torch.device("cpu"))
        most = int((solver.timesteps >= self.boundary).sum())
        if guided_steps > most:
            raise DitflowError(
                f"guided_share={guided_steps / num_steps:g} guides {guided_steps} of {num_steps} "
                f"steps, but from step {most + 1} on {self.name} denoises with its second "
                "transformer, whose attention the reference was not read with; use "
                f"guided_share={most / num_steps:g} or less."
            )

    @property
    def boundary(self) -> float:
        """Timestep below which the second transformer denoises."""
        return self.pipeline.config.boundary_ratio * self.num_train_timesteps

    @property
    def prompt_length(self) -> int:
        # As the stock pipeline's default, or what is the most that the tokenizer was made for.
        tokenizer = self.pipeline.tokenizer
        return 512 if tokenizer is None else min(512, tokenizer.model_max_length)

    @property
    def rotary(self) -> bool:
        return True

    @property
    def latents_dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def fps(self) -> float:
        return TRAINED_ON[self.pipeline.vae_scale_factor_spatial][3]

    @property
    def temporal_ratio(self) -> int:
        return self.pipeline.vae_scale_factor_temporal

    @property
    def size_multiple(self) -> int:
        # The stock pipeline also asks for multiples of 16.
        patch = self.transformer.config.patch_size[1]
        return max(16, self.pipeline.vae_scale_factor_spatial * patch)

    def default_size(self) -> tuple[int, int, int]:
        return TRAINED_ON[self.pipeline.vae_scale_factor_spatial][:3]

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        frames = (num_frames - 1) // self.temporal_ratio + 1
        scale = self.pipeline.vae_scale_factor_spatial
        return 1, frames, self.transformer.config.out_channels, height // scale, width // scale

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
        with rotated_by(self.transformer, given.positions):
            prediction = self.transformer(
                **self.model_input(given), encoder_hidden_states=given.prompt, return_dict=False
            )[0]
        return prediction.transpose(1, 2)

    def model_input(self, given: PassInput) -> dict[str, Any]:
        """What the transformer is given beside a prompt; a model that is given more, such as an
        image's, adds it here."""
        latents = given.latents.transpose(1, 2)
        timestep = torch.as_tensor(given.timestep, device=self.device)
        if self.pipeline.config.expand_timesteps:  # a timestep for each token
            frames, height, width = self.token_grid(tuple(given.latents.shape))
            timestep = timestep.float().expand(latents.shape[0], frames * height * width)
        else:
            timestep = timestep.expand(latents.shape[0])
        return {"hidden_states": latents.to(self.dtype), "timestep": timestep}

    def denoise(
        self, given: PassInput, negative_prompt: torch.Tensor | None, guidance_scale: float
    ) -> torch.Tensor:
        if self.second is None or given.timestep >= self.boundary:
            return super().denoise(given, negative_prompt, guidance_scale)
        return self.second.denoise(given, negative_prompt, guidance_scale)

    @contextmanager
    def block_cache(self, threshold: float) -> Iterator[None]:
        second = nullcontext() if self.second is None else self.second.block_cache(threshold)
        with super().block_cache(threshold), second:
            yield
