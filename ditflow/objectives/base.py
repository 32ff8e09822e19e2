"""What every objective offers the optimisation."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch

from ditflow.backbones.base import BlockFeatures, BlockOutputs


class Objective(ABC):
    """A motion signal read from the guided block, and the loss between two of them."""

    reads: ClassVar[Literal["query_key", "features"]]
    """The backbone's method that gives what it reads: the block's queries and keys, or output."""

    @abstractmethod
    def reference(self, outputs: BlockOutputs | BlockFeatures) -> torch.Tensor:
        """The reference's motion, computed once."""

    @abstractmethod
    def loss(self, outputs: BlockOutputs | BlockFeatures, reference: torch.Tensor) -> torch.Tensor:
        """Scalar, differentiable in the outputs."""

    @abstractmethod
    def is_static(self, reference: torch.Tensor) -> bool:
        """Whether nothing moves in a reference."""


def frames_first(outputs: BlockFeatures) -> torch.Tensor:
    """A block's output tokens as float32 [F, S, C]."""
    return outputs.features.float().unflatten(0, (outputs.grid[0], -1))
