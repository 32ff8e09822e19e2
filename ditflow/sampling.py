"""The denoising loop, cut into steps, equal to the stock pipeline's to the bit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ditflow.backbones.base import Backbone, PassInput
from ditflow.backbones.images import condition_on
from ditflow.errors import DitflowError
from ditflow.functional.parameterization import Positions
from ditflow.objectives import Objective, Prediction
from ditflow.objectives.base import Outputs


@dataclass(frozen=True)
class SamplerOptions:
    """How a video is sampled.

    Attributes:
        num_steps: denoising steps.
        guidance_scale: of classifier-free guidance; 1 or less turns it off.
        dynamic_guidance: let the scale vary over steps as the stock pipeline does.
        negative_prompt: what to steer away from.
        unguided_stride: after the guided steps, take every so many steps at once.
        unguided_cache: after the guided steps, keep what all blocks but the first added, until
            what the first adds has changed by more than this share; 0 computes everything.

    Raises:
        DitflowError: an option out of its range.
    """

    num_steps: int = 50
    guidance_scale: float = 6.0
    dynamic_guidance: bool = False
    negative_prompt: str = ""
    unguided_stride: int = 1
    unguided_cache: float = 0.0

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise DitflowError(f"num_inference_steps={self.num_steps} must be at least 1.")
        if self.unguided_stride < 1:
            raise DitflowError(f"unguided_stride={self.unguided_stride} must be at least 1.")
        if not 0 <= self.unguided_cache < 1:
            raise DitflowError(
                f"unguided_cache={self.unguided_cache} must be at least 0 and below 1."
            )

    def taken(self, guided: int) -> int:
        """How many steps are taken when so many of them are guided."""
        return guided + len(list(self.unguided(guided)))

    def unguided(self, first: int) -> Iterator[tuple[int, int]]:
        """The steps taken from `first` on, and how many each stands for."""
        for step in range(first, self.num_steps, self.unguided_stride):
            yield step, min(self.unguided_stride, self.num_steps - step)


def steps_of(share: float, num_steps: int) -> int:
    """How many denoising steps a share of them is, at least one."""
    return max(1, round(share * num_steps))


class Sampler:
    """The state of one video being denoised: z_t, the noise source and the solver's memory.

    Args:
        backbone: predicts.
        options: how to sample.
        prompt: the target prompt.
        seed: of the initial noise and of a stochastic solver's.
        latent_shape: [1, F, C, h, w].
        encode: a prompt; by default the backbone does.
        image: [3, height, width] in [0, 1] that the video begins with, of a model that takes one.
    """

    def __init__(
        self,
        backbone: Backbone,
        options: SamplerOptions,
        prompt: str,
        seed: int,
        latent_shape: tuple[int, ...],
        encode: Callable[[str], torch.Tensor] | None = None,
        image: torch.Tensor | None = None,
    ):
        self.backbone, self.options = backbone, options
        encode = encode or backbone.encode_prompt
        self.prompt, self.encoded_prompt = prompt, encode(prompt)
        self.negative = encode(options.negative_prompt) if options.guidance_scale > 1 else None
        self.solver = backbone.solver(options.num_steps)
        self.timesteps = self.solver.timesteps
        # On the CPU, so that a seed means the same on every machine.
        self.generator = torch.Generator().manual_seed(seed)
        self.condition = condition_on(backbone, image, latent_shape, self.generator)
        self.noise = backbone.initial_noise(latent_shape, self.generator)
        self.latents = self.solver.start(self.noise)

    def given(self, step: int, latents: torch.Tensor, positions: Positions) -> PassInput:
        """The input of a pass at a step, with this video's prompt and image."""
        timestep, prompt = self.timesteps[step], self.encoded_prompt
        return PassInput(latents, timestep, prompt, positions, self.condition)

    def predict(
        self, step: int, positions: Positions, latents: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The guided prediction at a step, fp32, from the current latents or from others."""
        given = self.given(step, self.latents if latents is None else latents, positions)
        return self.backbone.denoise(given, self.negative, self.guidance_scale(step))

    def read(
        self,
        objective: Objective,
        block: int,
        step: int,
        latents: torch.Tensor,
        positions: Positions,
    ) -> Outputs:
        """What an objective reads of this video at a step, from these latents."""
        if objective.reads != "prediction":
            return objective.read(self.backbone, self.given(step, latents, positions), block)
        with torch.no_grad():
            velocity = self.predict(step, positions, latents)
            known = step > 0 and not self.solver.stochastic
            travelled = latents - self.solver.start(self.noise) if known else None
        return Prediction(latents, velocity, self.solver.clean(step), travelled)

    def advance(self, step: int, prediction: torch.Tensor, jump: int = 1) -> None:
        """z_t → z_{t-1} (equation 1), or further.

        Args:
            step: of t.
            prediction: at t.
            jump: steps to go; more than one is for unguided steps only.

        Raises:
            DitflowError: the latents are not finite any more.
        """
        latents = self.solver.step(step, self.latents, prediction, self.generator, jump)
        self.latents = latents.to(self.noise.dtype)
        if not torch.isfinite(self.latents).all():
            raise DitflowError(
                f"the latents are not finite after denoising step {step + 1} of "
                f"{self.options.num_steps} (timestep {int(self.timesteps[step])}); use --dtype "
                "bfloat16 or --dtype float32, or a lower learning rate or guidance_scale."
            )

    def replace(self, latents: torch.Tensor) -> None:
        """Put an optimised z_t in the place of the last step's."""
        latents = latents.to(self.latents)
        if not torch.equal(latents, self.latents):
            self.latents = latents
            self.solver.replaced()

    def restart(self, latents: torch.Tensor, previous_prediction: torch.Tensor | None) -> None:
        """Take the place of a saved run: its z_t, and the solver's memory of the step before."""
        self.replace(latents)
        if previous_prediction is not None:
            self.solver.previous_prediction = previous_prediction.to(self.latents.device).float()

    def noised(self, latents: torch.Tensor, step: int) -> torch.Tensor:
        """Clean latents noised to a step with this run's own initial noise."""
        return self.solver.noised(latents.to(self.noise), self.noise, step)

    def guidance_scale(self, step: int) -> float:
        scale, steps = self.options.guidance_scale, self.options.num_steps
        if not self.options.dynamic_guidance:
            return scale
        # The stock pipeline mixes timesteps (0 to 999) with the step count: reproduced as it is.
        phase = math.pi * ((steps - self.timesteps[step].item()) / steps) ** 5.0
        return 1 + scale * (1 - math.cos(phase)) / 2

    def state_dict(self) -> dict[str, Any]:
        """Tensors in main memory only, for a Lightning checkpoint."""
        own = {"latents": self.latents.cpu(), "generator": self.generator.get_state()}
        return own | self.solver.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.latents = state["latents"].to(self.backbone.device)
        self.generator.set_state(state["generator"].cpu())
        self.solver.load_state_dict(state, self.backbone.device)
