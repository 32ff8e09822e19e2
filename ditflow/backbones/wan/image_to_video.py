"""Wan's image-to-video models: 2.1, 2.2 A14B, and 2.2 TI2V-5B, which may go without an image."""

from typing import Any, NamedTuple

import torch
from diffusers import WanImageToVideoPipeline, WanPipeline

from ditflow.backbones.base import PassInput
from ditflow.backbones.wan.adapter import WanBackbone


class Condition(NamedTuple):
    """What passes are given of an image.

    Attributes:
        latents: [1, C, F, h, w], channels that come beside the video's: which frames are given, and
            the latents of a video of the image and nothing after it. Of TI2V-5B the image's latents
            alone, F = 1.
        embeds: [1, L, width] of the CLIP model, of Wan 2.1 only.
    """

    latents: torch.Tensor
    embeds: torch.Tensor | None = None


class WanImageBackbone(WanBackbone):
    """A `WanImageToVideoPipeline` seen as a `Backbone`; arguments as `TransformerBackbone`."""

    takes_image = needs_image = True
    pipeline: WanImageToVideoPipeline

    @torch.no_grad()
    def encode_prompt(self, prompt: str) -> torch.Tensor:
        # The same as its own, which fails where the package ftfy is not installed.
        embeds = WanPipeline._get_t5_prompt_embeds(
            self.pipeline, prompt, max_sequence_length=self.prompt_length, device=self.device
        )
        return embeds.to(self.dtype)

    @torch.no_grad()
    def encode_image(
        self,
        image: torch.Tensor,
        latent_shape: tuple[int, ...],
        generator: torch.Generator | None = None,
    ) -> Condition:
        _, frames, _, height, width = latent_shape
        ratio = self.temporal_ratio
        nothing = image.new_zeros(1, 3, (frames - 1) * ratio, *image.shape[1:])
        video = torch.cat([(image * 2 - 1)[None, :, None], nothing], dim=2)
        given = torch.zeros(1, ratio, frames, height, width, device=self.device)
        given[:, :, 0] = 1
        latents = torch.cat([given, self._latents(video)], dim=1)
        return Condition(latents, self._embeds(image))

    def _latents(self, video: torch.Tensor) -> torch.Tensor:
        """[1, C, F, h, w] of [1, 3, T, height, width] in [-1, 1]."""
        vae = self.pipeline.vae
        mean, deviation = (part.to(self.latents_dtype) for part in self._statistics())
        latents = vae.encode(video.to(self.device, vae.dtype)).latent_dist.mode()
        # Times the inverse, as the stock pipeline does.
        return (latents.to(self.latents_dtype) - mean) * (1.0 / deviation)

    def _embeds(self, image: torch.Tensor) -> torch.Tensor | None:
        if self.transformer.config.image_dim is None:
            return None
        pipeline = self.pipeline
        if pipeline.image_processor is None:  # of an empty pipeline, of which shapes are asked
            size = pipeline.image_encoder.config.image_size
            seen = pipeline.image_encoder(
                image.new_empty(1, 3, size, size), output_hidden_states=True
            )
            return seen.hidden_states[-2].to(self.dtype)
        picture = pipeline.video_processor.numpy_to_pil(image.permute(1, 2, 0).cpu().numpy())
        return pipeline.encode_image(picture, self.device).to(self.dtype)

    def model_input(self, given: PassInput) -> dict[str, Any]:
        inputs, (beside, embeds) = super().model_input(given), given.condition
        count = len(given.latents)
        latents = torch.cat(
            [inputs["hidden_states"], beside.to(self.dtype).expand(count, -1, -1, -1, -1)], dim=1
        )
        image = None if embeds is None else embeds.expand(count, -1, -1)
        return inputs | {"hidden_states": latents, "encoder_hidden_states_image": image}


class WanFirstFrameBackbone(WanImageBackbone):
    """Wan 2.2 TI2V-5B: an image's latents take the place of the first frame's, whose tokens are at
    timestep 0. Without an image it makes videos of text alone."""

    needs_image = False

    @torch.no_grad()
    def encode_image(
        self,
        image: torch.Tensor,
        latent_shape: tuple[int, ...],
        generator: torch.Generator | None = None,
    ) -> Condition:
        return Condition(self._latents((image * 2 - 1)[None, :, None]))

    def model_input(self, given: PassInput) -> dict[str, Any]:
        inputs = WanBackbone.model_input(self, given)
        if given.condition is None:
            return inputs
        _, height, width = self.token_grid(tuple(given.latents.shape))
        timestep = inputs["timestep"].clone()
        timestep[:, : height * width] = 0
        latents = self.finished(given.latents, given.condition).transpose(1, 2)
        return {"hidden_states": latents.to(self.dtype), "timestep": timestep}

    def finished(self, latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:
        if condition is None:
            return latents
        first = condition.latents.transpose(1, 2).to(latents)
        return torch.cat([first.expand(len(latents), -1, -1, -1, -1), latents[:, 1:]], dim=1)
