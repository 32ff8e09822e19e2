"""A model in shapes alone: how large its parts are, and passes through it on fake tensors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, Literal, TypeVar

import torch
from diffusers import ModelMixin

Component = Literal["text encoder", "image encoder", "VAE", "transformer", "second transformer"]

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
    def weights(self, dtype: torch.dtype, bits: int | None = None) -> Mapping[Component, list[int]]:
        """Bytes of each layer's weights.

        Args:
            dtype: that they are loaded in.
            bits: that text encoder and transformer are quantised to.
        """

    @abstractmethod
    def faked(
        self,
        num_blocks: int,
        dtype: torch.dtype,
        *,
        split_guidance: bool = False,
        gradient_checkpointing: bool = False,
        by_layer: bool = False,
    ) -> AbstractContextManager[Model]:
        """Context in which all tensors are fake, with a backbone of them.

        Args:
            num_blocks: that its transformer is cut to.
            dtype: of its weights.
            split_guidance, gradient_checkpointing: as of `load_backbone`.
            by_layer: whether weights come and go with their layers; see `brought_by_layer`.
        """

    @abstractmethod
    def prompt_encoding(
        self, dtype: torch.dtype, *, by_layer: bool = False
    ) -> AbstractContextManager[Callable[[], object]]:
        """Context in which all tensors are fake, with a pass of the text encoder over a prompt;
        arguments as of `faked`."""

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
    for layer, part in module.named_modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                made = torch.empty(weight.shape, dtype=dtype_of(module, f"{layer}.{name}", dtype))
                part._parameters[name] = torch.nn.Parameter(made, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                floating = buffer.is_floating_point()
                kind = dtype_of(module, f"{layer}.{name}", dtype) if floating else buffer.dtype
                part._buffers[name] = torch.empty(buffer.shape, dtype=kind)
    return module


def brought_by_layer(module: torch.nn.Module) -> torch.nn.Module:
    """Make copies of each layer's weights when it runs, which go after it, as group offloading
    does; what autograd keeps of them stays until the backward pass has used it."""

    waiting: dict[torch.nn.Module, dict[str, Any]] = {}

    def bring(part: torch.nn.Module, args: Any) -> None:
        waiting[part] = dict(part._parameters)
        for name, weight in part.named_parameters(recurse=False):
            part._parameters[name] = torch.nn.Parameter(weight.clone(), requires_grad=False)

    def send_away(part: torch.nn.Module, args: Any, output: Any) -> None:
        part._parameters.update(waiting.pop(part))

    for part in module.modules():
        if next(part.parameters(recurse=False), None) is not None:
            part.register_forward_pre_hook(bring)
            part.register_forward_hook(send_away, always_call=True)
    return module


def weights_of(module: torch.nn.Module, dtype: torch.dtype, bits: int | None = None) -> list[int]:
    """Bytes of each layer's weights; those that layers share count in the first of them.

    Args:
        module: of any device.
        dtype: that it is loaded in.
        bits: that the matrices of its linear layers are quantised to.
    """
    seen: set[torch.nn.Parameter] = set()
    sizes = []
    for layer, part in module.named_modules():
        size = 0
        for name, weight in part.named_parameters(recurse=False):
            if weight in seen:
                continue
            seen.add(weight)
            full = f"{layer}.{name}"
            quantised = isinstance(part, torch.nn.Linear) and weight.dim() > 1
            if bits is None or not quantised or _is_exact(module, full):
                size += weight.numel() * dtype_of(module, full, dtype).itemsize
            else:
                size += weight.numel() * bits // 8
        sizes.append(size)
    return sizes


def dtype_of(module: torch.nn.Module, weight: str, dtype: torch.dtype) -> torch.dtype:
    """Of a weight by its full name, where its model is loaded in `dtype`."""
    # Of transformers' models only where others are float16, which is too small for them.
    kept = dtype == torch.float16 or isinstance(module, ModelMixin)
    return torch.float32 if kept and _is_exact(module, weight) else dtype


def _is_exact(module: torch.nn.Module, weight: str) -> bool:
    """Whether a model's class keeps a weight in float32 when others are in half precision, and as
    it is when they are quantised; T5 does so with `wo`, Wan with its modulation."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or ()
    return any(name in kept for name in weight.split("."))
