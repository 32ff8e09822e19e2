"""A model in shapes alone: how large its parts are, and passes through it on fake tensors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, Literal, TypeVar

import torch

Component = Literal["text encoder", "VAE", "transformer"]

Model = TypeVar("Model", covariant=True)
"""What passes go through: a `Backbone`, whose file imports this one."""


class Shapes(ABC, Generic[Model]):
    """What a plan asks of a model, with none of its weights.

    Fake tensors have a shape and a type, but no numbers, and take no memory.
    """

    num_blocks: int
    """Of the transformer."""
    prompt_shape: tuple[int, int, int]
    """[1, L, C] of an encoded prompt."""

    @abstractmethod
    def identity(self) -> Any:
        """Plain values that tell all that passes depend on."""

    @abstractmethod
    def weights(self) -> Mapping[Component, list[int]]:
        """How many weights each layer has."""

    @abstractmethod
    def faked(
        self,
        num_blocks: int,
        dtype: torch.dtype,
        *,
        split_guidance: bool = False,
        gradient_checkpointing: bool = False,
    ) -> AbstractContextManager[Model]:
        """Context in which all tensors are fake, with a backbone of them.

        Args:
            num_blocks: that its transformer is cut to.
            dtype: of its weights.
            split_guidance, gradient_checkpointing: as of `load_backbone`.
        """

    @abstractmethod
    def prompt_encoding(self, dtype: torch.dtype) -> AbstractContextManager[Callable[[], object]]:
        """Context in which all tensors are fake, with a pass of the text encoder over a prompt."""

    def part_of_video(
        self, num_frames: int, height: int, width: int, *, decoding: bool, tiling: bool
    ) -> tuple[int, int, int]:
        """Frames, height and width that are enough to know what the VAE holds at most, beside the
        pixels of the whole video; by default all."""
        return num_frames, height, width


def fake(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Put fake CPU tensors in the place of a module's meta tensors, inside a fake mode.

    On the CPU device rather than the meta device, so that attention takes the kernel that never
    holds its whole matrix, as it does on a GPU.
    """
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                made = torch.empty(weight.shape, dtype=dtype)
                part._parameters[name] = torch.nn.Parameter(made, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                kind = dtype if buffer.is_floating_point() else buffer.dtype
                part._buffers[name] = torch.empty(buffer.shape, dtype=kind)
    return module


def weights_of(module: torch.nn.Module) -> list[int]:
    """How many weights each layer has; those that layers share count in the first of them."""
    seen: set[torch.nn.Parameter] = set()
    counts = []
    for part in module.modules():
        own = set(part.parameters(recurse=False)) - seen
        seen |= own
        counts.append(sum(weight.numel() for weight in own))
    return counts
