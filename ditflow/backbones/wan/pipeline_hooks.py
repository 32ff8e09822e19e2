"""What `WanPipeline` passes to its transformer and its scheduler."""

from typing import Any

import torch

from ditflow.backbones.pipeline_hooks import PipelineHooks
from ditflow.backbones.solver import Schedule
from ditflow.functional.parameterization import Positions
from ditflow.backbones.wan.positions import rotated_by
from ditflow.backbones.wan.solver import schedule_of


class WanHooks(PipelineHooks):
    """Hooks on a Wan pipeline, in whose latents channels come before frames."""

    def schedule(self) -> Schedule:
        return schedule_of(self.scheduler)

    def latent_shape(self, hidden_states: torch.Tensor) -> tuple[int, ...]:
        batch, channels, frames, height, width = hidden_states.shape
        return batch, frames, channels, height, width

    def in_layout(self, latents: torch.Tensor) -> torch.Tensor:
        return latents.transpose(1, 2)

    def put_positions(self, positions: Positions, latent_shape: tuple[int, ...]) -> dict[str, Any]:
        self.entered.enter_context(rotated_by(self.pipeline.transformer, positions))
        return {}

    def step_arguments(self, model_output: torch.Tensor, args: list[Any]) -> list[Any]:
        timestep, sample, *others = args
        latents = self.in_layout(self.now.latents).to(sample).expand_as(sample)
        return [timestep, latents, *others]
