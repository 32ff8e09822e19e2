"""What takes a video from noise to z_0: the contract that a family's scheduler meets."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch


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
    """

    schedule: Schedule
    timesteps: torch.Tensor
    previous_prediction: torch.Tensor | None = None

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

    def replaced(self) -> None:  # noqa: B027, for most have nothing to forget
        """z_t is from now on another than the last step gave: forget what would undo that."""

    def state_dict(self) -> dict[str, torch.Tensor | None]:
        """Tensors in main memory, from which a fit goes on."""
        previous = self.previous_prediction
        return {"previous_prediction": None if previous is None else previous.cpu()}

    def load_state_dict(self, state: dict[str, torch.Tensor | None], device: torch.device) -> None:
        previous = state["previous_prediction"]
        self.previous_prediction = None if previous is None else previous.to(device)
