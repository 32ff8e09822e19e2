"""What `CogVideoXPipeline` passes to its transformer and its scheduler."""

from typing import Any

import torch
from diffusers import CogVideoXDPMScheduler

from ditflow.backbones.cogvideox.positions import added_positions
from ditflow.backbones.cogvideox.solver import schedule_of
from ditflow.backbones.pipeline_hooks import PipelineHooks
from ditflow.backbones.solver import Schedule
from ditflow.functional.parameterization import Positions


class CogVideoXHooks(PipelineHooks):
    """Hooks on a CogVideoX pipeline, whose layout is ours."""

    def schedule(self) -> Schedule:
        return schedule_of(self.scheduler)

    def latent_shape(self, hidden_states: torch.Tensor) -> tuple[int, ...]:
        batch, frames, _, *size = hidden_states.shape  # an image's channels may be among them
        return batch, frames, self.pipeline.transformer.config.out_channels, *size

    def in_layout(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def put_positions(self, positions: Positions, latent_shape: tuple[int, ...]) -> dict[str, Any]:
        if len(positions) > 1:
            return {"image_rotary_emb": positions}
        transformer = self.pipeline.transformer
        self.entered.enter_context(added_positions(transformer, positions[0], latent_shape))
        return {}

    def step_arguments(self, model_output: torch.Tensor, args: list[Any]) -> list[Any]:
        # (old prediction, timestep, timestep back, sample) or (timestep, sample).
        remembers = isinstance(self.scheduler, CogVideoXDPMScheduler)
        sample = 3 if remembers else 1
        assert self.now.latents is not None, "the step of a pass whose latents are replaced"
        args[sample] = self.now.latents.to(args[sample]).expand_as(args[sample])
        previous = self.now.previous_prediction
        if remembers and previous is not None:
            args[0] = previous.to(model_output).expand_as(model_output)
        return args
