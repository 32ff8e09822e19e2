"""CogVideoX 2B, 5B and 1.5 over diffusers' own classes, with our attention processor."""

from contextlib import AbstractContextManager, nullcontext

import torch
from diffusers import CogVideoXPipeline
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch.nn import Module, ModuleList

from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.attention import CogVideoXProcessor
from ditflow.backbones.cogvideox.pipeline_hooks import CogVideoXHooks
from ditflow.backbones.cogvideox.positions import (
    added_positions,
    positions_at,
    stock_coordinates,
    stock_positions,
    token_grid,
)
from ditflow.backbones.cogvideox.shapes import CogVideoXShapes
from ditflow.backbones.cogvideox.solver import CogVideoXSolver
from ditflow.backbones.pipeline_hooks import Change
from ditflow.backbones.transformer import TransformerBackbone
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions


class CogVideoXBackbone(TransformerBackbone):
    """A `CogVideoXPipeline` seen as a `Backbone`; arguments as `TransformerBackbone`.

    Nothing about sizes is assumed: token grid, text length, frames and scheduler come from the
    pipeline's configurations.
    """

    family = "cogvideox"
    shapes_class = CogVideoXShapes
    pipeline: CogVideoXPipeline

    @property
    def blocks(self) -> ModuleList:
        return self.transformer.transformer_blocks

    def self_attention(self, block: CogVideoXBlock) -> Module:
        return block.attn1

    def new_processor(self) -> CogVideoXProcessor:
        return CogVideoXProcessor(self.options.get("attention", "auto"))

    def hooks(self, change: Change) -> CogVideoXHooks:
        return CogVideoXHooks(self.pipeline, change)

    def solver(self, num_steps: int) -> CogVideoXSolver:
        return CogVideoXSolver(self.pipeline.scheduler, num_steps, self.device)

    @property
    def rotary(self) -> bool:
        return self.transformer.config.use_rotary_positional_embeddings

    @property
    def prompt_length(self) -> int:
        return self.transformer.config.max_text_seq_length

    @property
    def latents_dtype(self) -> torch.dtype:
        return self.pipeline.text_encoder.dtype

    @property
    def fps(self) -> float:
        # 1.5, which joins frames in a temporal patch, was trained at twice the others' rate.
        return 8.0 if self.transformer.config.patch_size_t is None else 16.0

    @property
    def temporal_ratio(self) -> int:
        return self.pipeline.vae_scale_factor_temporal

    @property
    def size_multiple(self) -> int:
        # The stock pipeline also asks for multiples of 8.
        return max(8, self.pipeline.vae_scale_factor_spatial * self.transformer.config.patch_size)

    def default_size(self) -> tuple[int, int, int]:
        config, scale = self.transformer.config, self.pipeline.vae_scale_factor_spatial
        return config.sample_frames, config.sample_height * scale, config.sample_width * scale

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        frames = (num_frames - 1) // self.temporal_ratio + 1
        scale = self.pipeline.vae_scale_factor_spatial
        channels = self.transformer.config.out_channels  # an image's come in beside them
        return 1, frames + self._padding(frames), channels, height // scale, width // scale

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
        return embeds

    @torch.no_grad()
    def encode_video(self, frames: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        video = (frames * 2 - 1).transpose(0, 1)[None].to(self.device, vae.dtype)
        mean = vae.encode(video).latent_dist.mode()
        # Scaled as the pipeline's own decoding undoes it, in the transformer's layout.
        latents = mean.transpose(1, 2) * self.pipeline.vae_scaling_factor_image
        # The temporal patch of 1.5 takes an even count: the pipeline pads at the front.
        padding = self._padding(latents.shape[1])
        return torch.cat([latents[:, :1].expand(-1, padding, -1, -1, -1), latents], dim=1)

    @torch.no_grad()
    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        frames = (num_frames - 1) // self.temporal_ratio + 1
        latents = latents[:, self._padding(frames) :].to(self.device, self.pipeline.vae.dtype)
        # Of an even count of latent frames the stock VAE decodes the first, which stands for one
        # frame, to four: the last `num_frames` are those that keep time with the reference.
        video = self.pipeline.decode_latents(latents)[0][:, -num_frames:]
        return (video.float() / 2 + 0.5).clamp(0, 1).transpose(0, 1).cpu()

    def positions(self, latent_shape: tuple[int, ...]) -> Positions:
        return stock_positions(self.transformer, latent_shape, self.device)

    def coordinates(self, latent_shape: tuple[int, ...]) -> torch.Tensor:
        return stock_coordinates(self.transformer, latent_shape, self.device)

    def positions_at(self, coordinates: torch.Tensor) -> Positions:
        return positions_at(self.transformer, coordinates)

    def run(self, given: PassInput) -> torch.Tensor:
        latents, timestep, prompt, positions, _ = given
        # Of 1.5 with an image: what it was trained with, always the same.
        ofs = None if self.transformer.config.ofs_embed_dim is None else latents.new_full((1,), 2.0)
        with self.positioned(positions, tuple(latents.shape)):
            return self.transformer(
                hidden_states=self.model_input(given),
                encoder_hidden_states=prompt,
                timestep=torch.as_tensor(timestep, device=self.device).expand(latents.shape[0]),
                ofs=ofs,
                image_rotary_emb=positions if self.rotary else None,
                return_dict=False,
            )[0]

    def model_input(self, given: PassInput) -> torch.Tensor:
        """What the transformer is given of latents [B, F, C, h, w]; a model that is given more
        beside them, such as an image's, adds it here."""
        return given.latents.to(self.dtype)

    def positioned(
        self, positions: Positions, latent_shape: tuple[int, ...]
    ) -> AbstractContextManager[None]:
        """Context that makes a sinusoidal transformer add ρ; rotary ρ goes in as an argument."""
        if self.rotary:
            return nullcontext()
        return added_positions(self.transformer, positions[0], latent_shape)

    def _padding(self, latent_frames: int) -> int:
        return -latent_frames % (self.transformer.config.patch_size_t or 1)
