"""What takes a video from noise to z_0: the contract that a family's scheduler meets."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch

from ditflow.errors import DitflowError


class Schedule(NamedTuple):
    """The noise levels that a solver visits, to be compared with those of a motion embedding.

    Attributes:
        name: of the solver, its scheduler's class.
        fingerprint: hash of how noisy a timestep is.
        timesteps: of every denoising step.
    """

    name: str
    fingerprint: str
    timesteps: tuple[int | float, ...]


class Solver(ABC):
    """The steps of one video being denoised, and what a step remembers of those before it.

    Attributes:
        schedule: name, noise and timesteps.
        timesteps: the same timesteps, as the transformer is given them.
        previous_prediction: [1, F, C, h, w], what the next step uses of the last one, which a
            motion embedding of latents carries; None of a solver that remembers nothing, and before
            its first step.
        stochastic: whether steps put new noise in, so that z_t - z_T is not the way that the
            predictions have led.
    """

    schedule: Schedule
    timesteps: torch.Tensor
    previous_prediction: torch.Tensor | None = None
    stochastic: bool = False

    def start(self, noise: torch.Tensor) -> torch.Tensor:
        """z_T of the initial noise."""
        return noise

    @abstractmethod
    def step(
        self,
        step: int,
        latents: torch.Tensor,
        prediction: torch.Tensor,
        generator: torch.Generator,
        jump: int = 1,
    ) -> torch.Tensor:
        """z_t → z_{t-1} (equation 1), or further.

        Args:
            step: of t, from 0.
            latents: z_t.
            prediction: at t.
            generator: of a stochastic solver's noise.
            jump: steps to go; more than one is for unguided steps only.
        """

    @abstractmethod
    def noised(self, latents: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
        """Clean latents with as much of the noise as a step's z_t has."""

    def clean(self, step: int) -> tuple[float, float]:
        """(a, b) of the video that a prediction tells of, ẑ_0 = a·z_t + b·prediction, at a step.

        Of flow matching they are (1, -σ), of a v-prediction √ᾱ and -√(1-ᾱ). The prediction is the
        derivative of z_t by the family's own time, σ or the angle with that cosine and sine.

        Raises:
            DitflowError: a family that does not tell it.
        """
        raise DitflowError(
            f"objective: {self.schedule.name} tells no clean prediction for it to read; use an "
            "objective that reads a block, such as AttentionMotionFlow."
        )

    def replaced(self) -> None:  # noqa: B027, for most have nothing to forget
        """z_t is from now on another than the last step gave: forget what would undo that."""

    def state_dict(self) -> dict[str, torch.Tensor | None]:
        """Tensors in main memory, from which a fit goes on."""
        previous = self.previous_prediction
        return {"previous_prediction": None if previous is None else previous.cpu()}

    def load_state_dict(self, state: dict[str, torch.Tensor | None], device: torch.device) -> None:
        previous = state["previous_prediction"]
        self.previous_prediction = None if previous is None else previous.to(device)
