"""CogVideoX 5B-I2V and 1.5-5B-I2V, whose transformer is given an image's latents too."""

import torch
from diffusers import CogVideoXImageToVideoPipeline

from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.errors import DitflowError


class CogVideoXImageBackbone(CogVideoXBackbone):
    """A `CogVideoXImageToVideoPipeline` seen as a `Backbone`; arguments as `TransformerBackbone`.

    A condition is [1, F, C, h, w]: the image's latents in the first latent frame, zeros in the
    others. The transformer is given it as further channels.
    """

    takes_image = needs_image = True
    pipeline: CogVideoXImageToVideoPipeline

    def check_size(self, num_frames: int, height: int, width: int) -> None:
        super().check_size(num_frames, height, width)
        own = self.default_size()[1:]
        learned = self.transformer.config.use_learned_positional_embeddings
        if learned and (height, width) != own:
            raise DitflowError(
                f"height={height} and width={width} do not fit {self.name}, which has learned "
                f"positions of one size; use --height {own[0]} --width {own[1]}."
            )

    @torch.no_grad()
    def encode_image(
        self,
        image: torch.Tensor,
        latent_shape: tuple[int, ...],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        vae, factor = self.pipeline.vae, self.pipeline.vae_scaling_factor_image
        pixels = (image * 2 - 1)[None, :, None].to(self.device, vae.dtype)
        found = vae.encode(pixels).latent_dist
        # The stock pipeline draws the image's latents, then the noise.
        latents = found.mode() if generator is None else found.sample(generator)
        latents = latents.transpose(1, 2)
        # 1.5 was trained on images that were scaled the wrong way.
        scale = 1 / factor if vae.config.invert_scale_latents else factor
        _, frames, *size = latent_shape
        return torch.cat([scale * latents, latents.new_zeros(1, frames - 1, *size)], dim=1)

    def model_input(self, given: PassInput) -> torch.Tensor:
        latents = super().model_input(given)
        return torch.cat([latents, given.condition.to(latents).expand_as(latents)], dim=2)
