"""CogVideoX's DDIM and DPM schedulers, step by step as the stock pipeline takes them."""

from fractions import Fraction
from typing import TypeAlias

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from ditflow.backbones.solver import Schedule, Solver
from ditflow.utils.hashing import hash_of

Scheduler: TypeAlias = CogVideoXDDIMScheduler | CogVideoXDPMScheduler

NOISE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "prediction_type",
    "rescale_betas_zero_snr",
    "snr_shift_scale",
    "set_alpha_to_one",
)
"""Of a scheduler's configuration, what says how noisy a timestep is."""


def schedule_of(scheduler: Scheduler) -> Schedule:
    """A scheduler's schedule, its number of steps set."""
    noise = {name: scheduler.config.get(name) for name in NOISE}
    timesteps = tuple(scheduler.timesteps.tolist())
    return Schedule(type(scheduler).__name__, hash_of(noise), timesteps)


class CogVideoXSolver(Solver):
    """Steps of a scheduler of its own, of the given one's configuration.

    Args:
        scheduler: the pipeline's.
        num_steps: denoising steps.
        device: of the latents.
    """

    def __init__(self, scheduler: Scheduler, num_steps: int, device: torch.device):
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.scheduler.set_timesteps(num_steps, device=device)
        self.schedule = schedule_of(self.scheduler)
        self.timesteps = self.scheduler.timesteps
        self.num_steps = num_steps
        self.stochastic = isinstance(self.scheduler, CogVideoXDPMScheduler)
        self._jump = 1

    def start(self, noise: torch.Tensor) -> torch.Tensor:
        return noise * self.scheduler.init_noise_sigma

    def step(
        self,
        step: int,
        latents: torch.Tensor,
        prediction: torch.Tensor,
        generator: torch.Generator,
        jump: int = 1,
    ) -> torch.Tensor:
        # The scheduler finds where a step ends from the number of steps alone: so many times
        # fewer of them lead so many times as far.
        self.scheduler.num_inference_steps = Fraction(self.num_steps, jump)
        back, self._jump = step - self._jump, jump
        timestep = self.timesteps[step]
        if not isinstance(self.scheduler, CogVideoXDPMScheduler):
            return self.scheduler.step(
                prediction, timestep, latents, generator=generator, return_dict=False
            )[0]
        latents, self.previous_prediction = self.scheduler.step(
            prediction,
            self.previous_prediction,
            timestep,
            self.timesteps[back] if step > 0 else None,
            latents,
            generator=generator,
            return_dict=False,
        )
        return latents

    def clean(self, step: int) -> tuple[float, float]:
        if self.scheduler.config.prediction_type != "v_prediction":
            return super().clean(step)
        signal = self.scheduler.alphas_cumprod[int(self.timesteps[step])].item()
        return signal**0.5, -((1 - signal) ** 0.5)

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        return self.scheduler.add_noise(latents, noise, self.timesteps[step][None])
