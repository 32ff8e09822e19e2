"""Train the Wan sprites: flow matching, on prompts that the other sprites' text encoder reads."""

import torch

from ditflow.sprites.recipe.models import FLOW_SHIFT
from ditflow.sprites.recipe.train_transformer import TransformerTraining


class WanTraining(TransformerTraining):
    """Velocity ε − x of x_t = (1 − σ) x + σ ε; arguments as `TransformerTraining`."""

    def noised(
        self, latents: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sigmas = FLOW_SHIFT * times / (1 + (FLOW_SHIFT - 1) * times)
        noise = torch.randn_like(latents)
        noisy = latents + sigmas[:, None, None, None, None] * (noise - latents)
        return noisy, noise - latents, sigmas * 1000

    def predicted(
        self, noisy: torch.Tensor, ids: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        # As the pipeline encodes: what fills a prompt up is neither read nor handed on.
        mask = ids != self.text_encoder.config.pad_token_id
        prompts = self.text_encoder(ids, mask)[0] * mask[..., None]
        return self.transformer(
            hidden_states=noisy.transpose(1, 2),
            encoder_hidden_states=prompts,
            timestep=timesteps,
            return_dict=False,
        )[0].transpose(1, 2)
