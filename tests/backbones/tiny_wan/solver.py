"""Euler's method along a flow, as diffusers' scheduler takes it."""

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from ditflow.backbones.solver import Schedule, Solver
from ditflow.utils.hashing import hash_of

NOISE = ("num_train_timesteps", "invert_sigmas")
"""Of a scheduler's configuration, what says how noisy a timestep is; a shift chooses timesteps."""


def schedule_of(scheduler: FlowMatchEulerDiscreteScheduler) -> Schedule:
    """A scheduler's schedule, its number of steps set."""
    noise = {name: scheduler.config[name] for name in NOISE}
    timesteps = tuple(scheduler.timesteps.tolist())
    return Schedule(type(scheduler).__name__, hash_of(noise), timesteps)


class EulerSolver(Solver):
    """Straight steps along the predicted velocity; nothing is remembered.

    Args:
        scheduler: the pipeline's.
        num_steps: denoising steps.
        device: of the latents.
    """

    def __init__(
        self, scheduler: FlowMatchEulerDiscreteScheduler, num_steps: int, device: torch.device
    ):
        own = type(scheduler).from_config(scheduler.config)
        own.set_timesteps(num_steps, device=device)
        self.schedule, self.timesteps, self.sigmas = schedule_of(own), own.timesteps, own.sigmas

    def step(
        self,
        step: int,
        latents: torch.Tensor,
        prediction: torch.Tensor,
        generator: torch.Generator,
        jump: int = 1,
    ) -> torch.Tensor:
        return latents + (self.sigmas[step + jump] - self.sigmas[step]) * prediction

    def clean(self, step: int) -> tuple[float, float]:
        return 1.0, -self.sigmas[step].item()

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        sigma = self.sigmas[step]
        return sigma * noise + (1 - sigma) * latents
