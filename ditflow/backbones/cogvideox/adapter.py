"""CogVideoX 2B, 5B and 1.5 over diffusers' own classes, with our attention processor."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import copy
from typing import Any, Literal, Self

import torch
from diffusers import CogVideoXPipeline, FirstBlockCacheConfig

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, KeyValues
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
from ditflow.backbones.cogvideox.shapes import CogVideoXShapes
from ditflow.errors import DitflowError
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
    def scheduler(self):
        return self.pipeline.scheduler

    @property
    def temporal_ratio(self) -> int:
        """Frames of video a latent frame stands for."""
        return self.pipeline.vae_scale_factor_temporal

    def fingerprint(self) -> str:
        return fingerprint(self.pipeline)

    def default_size(self) -> tuple[int, int, int]:
        """(frames, height, width) the transformer was trained on."""
        config, scale = self.transformer.config, self.pipeline.vae_scale_factor_spatial
        return config.sample_frames, config.sample_height * scale, config.sample_width * scale

    def check_size(self, num_frames: int, height: int, width: int) -> None:
        ratio = self.pipeline.vae_scale_factor_temporal
        if num_frames < 1 + ratio or (num_frames - 1) % ratio:
            nearest = max(1 + ratio, (num_frames - 1) // ratio * ratio + 1)
            raise DitflowError(
                f"num_frames={num_frames} does not fit {self.name}, whose videos have "
                f"{ratio}k+1 frames, k at least 1; use {nearest} or {nearest + ratio}."
            )
        # The stock pipeline also asks for multiples of 8.
        multiple = max(
            8, self.pipeline.vae_scale_factor_spatial * self.transformer.config.patch_size
        )
        for option, value in (("height", height), ("width", width)):
            if value < multiple or value % multiple:
                below = max(multiple, value // multiple * multiple)
                raise DitflowError(
                    f"{option}={value} does not fit the patching of {self.name}; "
                    f"use a multiple of {multiple}, such as {below} or {below + multiple}."
                )

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

    def query_key(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int,
    ) -> BlockOutputs:
        return self.query_keys(latents, timestep, prompt, positions, [block])[0]

    def query_keys(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        blocks: Sequence[int],
    ) -> list[BlockOutputs]:
        controls = self._run_to(blocks, "query_key", latents, timestep, prompt, positions)
        grid = self.token_grid(latents.shape)
        return [BlockOutputs(control.query[0], control.key[0], grid) for control in controls]

    def features(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int,
    ) -> BlockFeatures:
        self.check_block(block)
        with stopped_after(self.transformer, block) as reached, suppress(BlockReached):
            self._forward(latents, timestep, prompt, positions)
        return BlockFeatures(reached[0][0], self.token_grid(latents.shape))

    @torch.no_grad()
    def record_key_values(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
        block: int = 0,
    ) -> KeyValues:
        (control,) = self._run_to([block], "key_value", latents, timestep, prompt, positions)
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
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        prompt: torch.Tensor,
        negative_prompt: torch.Tensor | None,
        positions: Positions,
        guidance_scale: float,
    ) -> torch.Tensor:
        def predict(latents: torch.Tensor, prompt: torch.Tensor, branch: str) -> torch.Tensor:
            with self.transformer.cache_context(branch):
                return self._forward(latents, timestep, prompt, positions).float()

        if negative_prompt is None:
            return predict(latents, prompt, "conditional")
        if self.options.get("split_guidance"):
            unconditional = predict(latents, negative_prompt, "unconditional")
            conditional = predict(latents, prompt, "conditional")
        else:
            prompts = torch.cat([negative_prompt, prompt])
            both = predict(torch.cat([latents] * 2), prompts, "both")
            unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    @contextmanager
    def block_cache(self, threshold: float) -> Iterator[None]:
        """Context of one video's denoising passes, one after the other: diffusers' first-block
        cache, which keeps what all blocks but the first added until what the first adds has
        changed by more than `threshold` of itself; with 0 nothing is kept."""
        if threshold == 0:
            yield
            return
        self.transformer.enable_cache(FirstBlockCacheConfig(threshold))
        try:
            yield
        finally:
            self.transformer.disable_cache()

    def _run_to(
        self,
        blocks: Sequence[int],
        record: Literal["query_key", "key_value"],
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
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
                self._forward(latents, timestep, prompt, positions)
            except BlockReached:
                return [controls[block] for block in blocks]
        raise AssertionError(f"block {max(blocks)} was never reached")

    def check_block(self, block: int) -> None:
        """Raise `DitflowError` for a block that it has not."""
        if not 0 <= block < self.num_blocks:
            raise DitflowError(
                f"block={block} is out of range: {self.name} has blocks 0 to {self.num_blocks - 1}."
            )

    def _forward(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        prompt: torch.Tensor,
        positions: Positions,
    ) -> torch.Tensor:
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

    def shapes(self) -> CogVideoXShapes:
        return CogVideoXShapes(self.pipeline, self._over, type(self).__qualname__)

    def _over(self, pipeline: CogVideoXPipeline, options: dict[str, Any]) -> Self:
        """This adapter, with all that a subclass adds, over a pipeline like its own."""
        other = copy(self)
        CogVideoXBackbone.__init__(other, pipeline, self.name, options)
        return other

    def _padding(self, latent_frames: int) -> int:
        return -latent_frames % (self.transformer.config.patch_size_t or 1)


def fingerprint(pipeline: CogVideoXPipeline) -> str:
    """Hash of the transformer's and the VAE's configurations, versions and paths left out."""
    configs = [dict(part.config) for part in (pipeline.transformer, pipeline.vae)]
    kept = [{k: v for k, v in config.items() if not k.startswith("_")} for config in configs]
    return hash_of(kept)
