"""CogVideoX 2B, 5B and 1.5 over diffusers' own classes, with our attention processor."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Literal

import torch
from diffusers import CogVideoXPipeline, FirstBlockCacheConfig

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, KeyValues, PassInput
from ditflow.backbones.cogvideox.attention import (
    AttentionControl,
    BlockReached,
    controlled,
    install,
    stopped_after,
)
from ditflow.backbones.cogvideox.positions import (
    added_positions,
    positions_at,
    stock_coordinates,
    stock_positions,
    token_grid,
)
from ditflow.backbones.cogvideox.solver import CogVideoXSolver
from ditflow.functional.motion_flow import Grid
from ditflow.functional.parameterization import Positions
from ditflow.utils.hashing import hash_of, hash_of_tensors


class CogVideoXBackbone(Backbone):
    """A `CogVideoXPipeline` seen as a `Backbone`.

    All weights are frozen. Nothing about sizes is assumed: token grid, text length, frames and
    scheduler come from the pipeline's configurations.

    Args:
        pipeline: a loaded pipeline, on its device, where it stays; its attention processors are
            replaced by ours, which compute the same to the bit.
        name: what messages and motion embeddings call it.
        options: arguments of `load_backbone` that load it again; by default its name alone.
    """

    family = "cogvideox"

    def __init__(
        self, pipeline: CogVideoXPipeline, name: str, options: dict[str, Any] | None = None
    ):
        self.pipeline, self.name = pipeline, name
        self.options = options or {"name": name}
        # Asked once: it goes through every module, and a pass asks for it several times.
        self.device = pipeline._execution_device
        self.transformer = pipeline.transformer
        for component in (self.transformer, pipeline.vae, pipeline.text_encoder):
            if component is not None:
                component.requires_grad_(False).eval()
        install(self.transformer, self.options.get("attention", "auto"))

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.dtype

    @property
    def num_blocks(self) -> int:
        return len(self.transformer.transformer_blocks)

    @property
    def rotary(self) -> bool:
        return self.transformer.config.use_rotary_positional_embeddings

    @property
    def fps(self) -> float:
        # Of 1.5, whose temporal patch stands for as many seconds.
        return 8.0 if self.transformer.config.patch_size_t is None else 16.0

    @property
    def latents_dtype(self) -> torch.dtype:
        return self.pipeline.text_encoder.dtype

    @property
    def num_train_timesteps(self) -> int:
        return self.pipeline.scheduler.config.num_train_timesteps

    @property
    def temporal_ratio(self) -> int:
        return self.pipeline.vae_scale_factor_temporal

    @property
    def size_multiple(self) -> int:
        # The stock pipeline also asks for multiples of 8.
        return max(8, self.pipeline.vae_scale_factor_spatial * self.transformer.config.patch_size)

    def fingerprint(self) -> str:
        return fingerprint(self.pipeline)

    def default_size(self) -> tuple[int, int, int]:
        config, scale = self.transformer.config, self.pipeline.vae_scale_factor_spatial
        return config.sample_frames, config.sample_height * scale, config.sample_width * scale

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, ...]:
        frames = (num_frames - 1) // self.pipeline.vae_scale_factor_temporal + 1
        scale = self.pipeline.vae_scale_factor_spatial
        channels = self.transformer.config.in_channels
        return 1, frames + self._padding(frames), channels, height // scale, width // scale

    def token_grid(self, latent_shape: tuple[int, ...]) -> Grid:
        return token_grid(self.transformer, latent_shape)

    @torch.no_grad()
    def encode_prompt(self, prompt: str) -> torch.Tensor:
        embeds, _ = self.pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=self.transformer.config.max_text_seq_length,
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

    def encoder_identity(self) -> list[str]:
        vae = self.pipeline.vae
        tiles = [vae.tile_sample_min_height, vae.tile_sample_min_width] if vae.use_tiling else []
        weights = hash_of_tensors(*vae.state_dict().values())
        return [str(value) for value in (dict(vae.config), self.device.type, tiles, weights)]

    @torch.no_grad()
    def decode_video(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        frames = (num_frames - 1) // self.pipeline.vae_scale_factor_temporal + 1
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

    def query_keys(self, given: PassInput, blocks: Sequence[int]) -> list[BlockOutputs]:
        controls = self._run_to(given, blocks, "query_key")
        grid = self.token_grid(given.latents.shape)
        return [BlockOutputs(control.query[0], control.key[0], grid) for control in controls]

    def features(self, given: PassInput, block: int) -> BlockFeatures:
        self.check_block(block)
        with stopped_after(self.transformer, block) as reached, suppress(BlockReached):
            self._forward(given)
        return BlockFeatures(reached[0][0], self.token_grid(given.latents.shape))

    @torch.no_grad()
    def record_key_values(self, given: PassInput, block: int = 0) -> KeyValues:
        (control,) = self._run_to(given, [block], "key_value")
        return KeyValues(block, control.key, control.value)

    @contextmanager
    def injected(self, key_values: KeyValues | None) -> Iterator[None]:
        if key_values is None:
            yield
            return
        control = AttentionControl(replacement=(key_values.key, key_values.value))
        with controlled(self.transformer, {key_values.block: control}):
            yield

    @torch.no_grad()
    def denoise(
        self, given: PassInput, negative_prompt: torch.Tensor | None, guidance_scale: float
    ) -> torch.Tensor:
        def predict(given: PassInput, branch: str) -> torch.Tensor:
            with self.transformer.cache_context(branch):
                return self._forward(given).float()

        if negative_prompt is None:
            return predict(given, "conditional")
        if self.options.get("split_guidance"):
            unconditional = predict(given._replace(prompt=negative_prompt), "unconditional")
            conditional = predict(given, "conditional")
        else:
            latents = torch.cat([given.latents] * 2)
            prompts = torch.cat([negative_prompt, given.prompt])
            both = predict(given._replace(latents=latents, prompt=prompts), "both")
            unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    def solver(self, num_steps: int) -> CogVideoXSolver:
        return CogVideoXSolver(self.pipeline.scheduler, num_steps, self.device)

    @contextmanager
    def block_cache(self, threshold: float) -> Iterator[None]:
        if threshold == 0:
            yield
            return
        self.transformer.enable_cache(FirstBlockCacheConfig(threshold))
        try:
            yield
        finally:
            self.transformer.disable_cache()

    def _run_to(
        self, given: PassInput, blocks: Sequence[int], record: Literal["query_key", "key_value"]
    ) -> list[AttentionControl]:
        """Run up to the last block's attention and return what each recorded."""
        controls = {}
        for block in blocks:
            self.check_block(block)
            # A block may be recorded while its keys and values are replaced: keep the replacement.
            processor = self.transformer.transformer_blocks[block].attn1.processor
            replacement = processor.control.replacement
            stop = block == max(blocks)
            controls[block] = AttentionControl(record, stop, replacement)
        with controlled(self.transformer, controls):
            try:
                self._forward(given)
            except BlockReached:
                return [controls[block] for block in blocks]
        raise AssertionError(f"block {max(blocks)} was never reached")

    def _forward(self, given: PassInput) -> torch.Tensor:
        latents, timestep, prompt, positions = given
        with self.positioned(positions, latents.shape), self._kept_for_backward():
            return self.transformer(
                hidden_states=self.model_input(latents),
                encoder_hidden_states=prompt,
                timestep=torch.as_tensor(timestep, device=self.device).expand(latents.shape[0]),
                image_rotary_emb=positions if self.rotary else None,
                return_dict=False,
            )[0]

    def model_input(self, latents: torch.Tensor) -> torch.Tensor:
        """What the transformer is given of latents [B, F, C, h, w]; a model that is given more
        beside them, such as an image's, adds it here."""
        return latents.to(self.dtype)

    def positioned(
        self, positions: Positions, latent_shape: tuple[int, ...]
    ) -> AbstractContextManager[None]:
        """Context that makes a sinusoidal transformer add ρ; rotary ρ goes in as an argument."""
        if self.rotary:
            return nullcontext()
        return added_positions(self.transformer, positions[0], latent_shape)

    def _kept_for_backward(self) -> AbstractContextManager[None]:
        """Context in which the backward pass keeps what it needs under group offloading.

        That takes a weight's memory away after its layer has run, and puts the main memory's in
        its place; what autograd saved must be an alias that stays where it is.
        """
        if self.options.get("offload") != "group":
            return nullcontext()
        return torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, lambda kept: kept)

    def _padding(self, latent_frames: int) -> int:
        return -latent_frames % (self.transformer.config.patch_size_t or 1)


def fingerprint(pipeline: CogVideoXPipeline) -> str:
    """Hash of the transformer's and the VAE's configurations, versions and paths left out."""
    configs = [dict(part.config) for part in (pipeline.transformer, pipeline.vae)]
    kept = [{k: v for k, v in config.items() if not k.startswith("_")} for config in configs]
    return hash_of(kept)
