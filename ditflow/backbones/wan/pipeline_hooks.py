"""What `WanPipeline` passes to its transformer and its scheduler."""

from typing import Any

import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

from ditflow.backbones.pipeline_hooks import PipelineHooks
from ditflow.backbones.solver import Schedule
from ditflow.backbones.wan.positions import rotated_by
from ditflow.backbones.wan.solver import schedule_of
from ditflow.functional.parameterization import Positions


class WanHooks(PipelineHooks):
    """Hooks on a Wan pipeline, in whose latents channels come before frames."""

    def transformers(self) -> list[torch.nn.Module]:
        pipeline = self.pipeline
        return [part for part in (pipeline.transformer, pipeline.transformer_2) if part is not None]

    def schedule(self) -> Schedule:
        return schedule_of(self.scheduler)

    def latent_shape(self, hidden_states: torch.Tensor) -> tuple[int, ...]:
        batch, _, frames, height, width = hidden_states.shape  # an image's channels may be there
        return batch, frames, self.pipeline.transformer.config.out_channels, height, width

    def in_layout(self, latents: torch.Tensor) -> torch.Tensor:
        return latents.transpose(1, 2)

    def put_latents(self, hidden_states: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        changed = super().put_latents(hidden_states, latents)
        pipeline = self.pipeline
        if isinstance(pipeline, WanImageToVideoPipeline) and pipeline.config.expand_timesteps:
            changed[:, :, 0] = hidden_states[:, :, 0]  # the image's
        return changed

    def put_positions(self, positions: Positions, latent_shape: tuple[int, ...]) -> dict[str, Any]:
        self.entered.enter_context(rotated_by(self.pipeline.transformer, positions))
        return {}

    def step_arguments(self, model_output: torch.Tensor, args: list[Any]) -> list[Any]:
        timestep, sample, *others = args
        assert self.now.latents is not None, "the step of a pass whose latents are replaced"
        latents = self.in_layout(self.now.latents).to(sample).expand_as(sample)
        if isinstance(self.scheduler, UniPCMultistepScheduler):
            self.scheduler.last_sample = None  # from which the corrector would undo the change
            previous = self.now.previous_prediction
            if previous is not None:
                own = self.in_layout(previous).to(sample).expand_as(sample)
                self.scheduler.model_outputs[-1] = own
        return [timestep, latents, *others]
