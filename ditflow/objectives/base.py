"""What every objective offers the optimisation."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, PassInput
from ditflow.errors import DitflowError


@dataclass(frozen=True)
class Prediction:
    """What objectives may read in place of a block: the model's prediction of one video.

    Attributes:
        latents: z_t, [1, F, C, h, w], by which alone gradients go.
        velocity: the guided prediction from them, held constant.
        coefficients: of `Solver.clean`.
        travelled: z_t - z_T, held constant; None at the first step, and of a stochastic solver.
    """

    latents: torch.Tensor
    velocity: torch.Tensor
    coefficients: tuple[float, float]
    travelled: torch.Tensor | None = None

    def clean(self, velocity: torch.Tensor) -> torch.Tensor:
        """The clean prediction [F, C, h, w], with this velocity."""
        of_latents, of_velocity = self.coefficients
        return (of_latents * self.latents + of_velocity * velocity)[0]

    def detach(self) -> "Prediction":
        return replace(self, latents=self.latents.detach())


Outputs = BlockOutputs | BlockFeatures | Prediction
"""What an objective reads of one video."""


class Objective(ABC):
    """A motion signal read from the model, and the loss between two of them."""

    reads: ClassVar[Literal["query_key", "features", "prediction"]]
    """What: the guided block's queries and keys, or its output, of the reference once, at t = 0; or
    the whole model's prediction, of the reference at every guided step."""
    reference_guidance: float = 1.0
    """Guidance scale at which the reference's prediction is read."""

    def read(
        self, backbone: Backbone, given: PassInput, block: int
    ) -> BlockOutputs | BlockFeatures:
        """Run one video to the guided block, no further, for what the objective reads of it."""
        if self.reads == "query_key":
            return backbone.query_key(given, block)
        return backbone.features(given, block)

    @abstractmethod
    def reference(self, outputs: Outputs) -> torch.Tensor:
        """The reference's motion, of what was read of it."""

    @abstractmethod
    def loss(self, outputs: Outputs, reference: torch.Tensor) -> torch.Tensor:
        """Scalar, differentiable in the outputs; of an objective that gives weights, also with
        these as `weight`."""

    @abstractmethod
    def is_static(self, reference: torch.Tensor) -> bool:
        """Whether nothing moves in a reference; with weights likewise."""

    def flow(self, outputs: Outputs) -> torch.Tensor | None:
        """The motion flow that it sees, [F, F, S, 2] hard displacements (column, row) in tokens,
        for pictures; None of an objective that sees none."""
        return None

    def reference_and_flow(self, outputs: Outputs) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Both of the reference; an objective in which one is the other computes it once."""
        return self.reference(outputs), self.flow(outputs)

    def confidence_of(self, outputs: Outputs) -> torch.Tensor | None:
        """How sure it is of each displacement, [F, F, S] in [0, 1]; None of one that cannot say."""
        return None

    def check_mask(self, mask: object | None) -> None:
        """Refuse a mask where what is compared cannot be restricted to a part of the reference.

        Raises:
            DitflowError: names the objective and what to do.
        """
        if mask is not None:
            raise DitflowError(
                f"mask: {type(self).__name__} compares whole frames and takes no mask; leave "
                "--mask and --crop none out, or use AttentionMotionFlow."
            )

    def weight(self, outputs: Outputs, mask: torch.Tensor | None) -> torch.Tensor | None:
        """How much each entry of the reference's motion counts; None where all count alike.

        Args:
            outputs: the reference's.
            mask: [F, S], the share of each patch that is to guide; None for all of it.

        Raises:
            DitflowError: a mask that cannot be heeded.
        """
        self.check_mask(mask)
        return None


def frames_first(outputs: BlockFeatures) -> torch.Tensor:
    """A block's output tokens as float32 [F, S, C]."""
    return outputs.features.float().unflatten(0, (outputs.grid[0], -1))
