"""What every objective offers the optimisation."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch

from ditflow.backbones.base import Backbone, BlockFeatures, BlockOutputs, PassInput
from ditflow.errors import DitflowError


class Objective(ABC):
    """A motion signal read from the guided block, and the loss between two of them."""

    reads: ClassVar[Literal["query_key", "features"]]
    """What of the guided block: its queries and keys, or its output."""

    def read(
        self, backbone: Backbone, given: PassInput, block: int
    ) -> BlockOutputs | BlockFeatures:
        """Run one video to the guided block, no further, for what the objective reads of it."""
        if self.reads == "query_key":
            return backbone.query_key(given, block)
        return backbone.features(given, block)

    @abstractmethod
    def reference(self, outputs: BlockOutputs | BlockFeatures) -> torch.Tensor:
        """The reference's motion, computed once."""

    @abstractmethod
    def loss(self, outputs: BlockOutputs | BlockFeatures, reference: torch.Tensor) -> torch.Tensor:
        """Scalar, differentiable in the outputs; of an objective that gives weights, also with
        these as `weight`."""

    @abstractmethod
    def is_static(self, reference: torch.Tensor) -> bool:
        """Whether nothing moves in a reference; with weights likewise."""

    def flow(self, outputs: BlockOutputs | BlockFeatures) -> torch.Tensor | None:
        """The motion flow that it sees, [F, F, S, 2] hard displacements (column, row) in tokens,
        for pictures; None of an objective that sees none."""
        return None

    def reference_and_flow(
        self, outputs: BlockOutputs | BlockFeatures
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Both of the reference; an objective in which one is the other computes it once."""
        return self.reference(outputs), self.flow(outputs)

    def confidence_of(self, outputs: BlockOutputs | BlockFeatures) -> torch.Tensor | None:
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

    def weight(
        self, outputs: BlockOutputs | BlockFeatures, mask: torch.Tensor | None
    ) -> torch.Tensor | None:
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
